"""What an audit found, in sentences."""

from collections.abc import Sequence

from harness.audit.audit import Audit, CellCheck, RowCheck
from harness.audit.comparisons import MeanComparison, Pair, ShareComparison
from harness.audit.counts import Reach, in_print
from harness.audit.support import Range
from harness.report.wording import MINUS, count, listing, number, signed

NUMBERS = {"table1": "Table I", "table2": "Table II", "table3": "Table III"}


def summary(audit: Audit) -> tuple[str, ...]:
    """The findings in sentences, the counts first."""
    return (
        *_counts(audit),
        *_rows(audit),
        *_uncertain(audit),
        *(sentence for pair in _main_pairs(audit) for sentence in _support(audit, pair)),
        *_claims(audit),
        *_repeats(audit),
    )


def reached(reach: Reach) -> str:
    """How a percentage is reached: "by rounding"."""
    return {"rounding": "by rounding", "truncation": "by truncation only", "unreachable": "not at all"}[
        reach.status
    ]


def shares(reach: Reach, most: int = 3) -> str:
    """Counts with their exact shares, "1,974 is 56.708": those possible, or where none is, the ones around."""
    counts = reach.counts or reach.around
    text = [f"{k:,} is {100 * k / reach.n:.3f}" for k in counts[:most]]
    return ", ".join(text) + (f" and {len(counts) - most:,} more" if len(counts) > most else "")


def place(cell: CellCheck) -> str:
    """Where a cell stands: "Table I, MAFN, test, P@0.7"."""
    return f"{NUMBERS[cell.table]}, {cell.row}, {cell.split}, {cell.metric}"


def span(bounds: Range, decimals: int = 2) -> str:
    """A range in words; one number where both ends print alike."""
    low, high = number(bounds[0], decimals), number(bounds[1], decimals)
    return low if low == high else f"{low} to {high}"


def p_span(bounds: Range) -> str:
    """A range of p-values with three decimals."""
    low, high = ("<0.001" if p < 0.0005 else f"{p:.3f}" for p in bounds)
    return low if low == high else f"{low} to {high}"


def correlation(bounds: Range) -> str:
    """The correlation that a paired test needs: "any" where every one is enough, ">1" where none is."""
    low, high = ("any" if r <= -1 else ">1" if r >= 1 else _below_one(r) for r in bounds)
    return low if low == high else f"{low} to {high}"


def _below_one(value: float) -> str:
    """Two decimals, or three where two would print a correlation of one."""
    return number(value) if round(value, 2) < 1 else number(min(value, 0.999), 3)


def _counts(audit: Audit) -> list[str]:
    present = [cell for cell in audit.cells if cell.status is not None]
    if not present:
        return ["No P@t cell has a number."]
    numbers = {status: len(audit.with_status(status)) for status in ("rounding", "truncation", "unreachable")}
    sizes = listing([f"{audit.sizes[split]:,} on {split}" for split in audit.by_chance])
    chance = listing([f"{share:.0%} on {split}" for split, share in audit.by_chance.items()])
    sentences = [
        f"P@t must be a count of the n expressions of a split (n = {sizes}). Of {count(len(present), 'cell')}, "
        f"{numbers['rounding']} can be reached by rounding, {numbers['truncation']} by truncation only and "
        f"{numbers['unreachable']} not at all. A number drawn at random would be reached by rounding with a chance of "
        f"{chance}."
    ]
    return sentences + [
        f"{place(cell)} = {in_print(cell.reach.printed)} is no count of {cell.n:,}: {shares(cell.reach)}."
        for cell in audit.with_status("unreachable")
        if cell.reach
    ]


def _rows(audit: Audit) -> list[str]:
    checked = [row for row in audit.rows if row.checked]
    sentences = []
    if cut := [row for row in checked if row.printed_by == ("truncation",)]:
        sentences.append(f"Rows that truncation explains as a whole and rounding does not: {_named(cut)}.")
    if neither := [row for row in checked if not row.printed_by]:
        sentences.append(f"Rows that neither explains as a whole: {_named(neither)}.")
    impossible = [
        f"{NUMBERS[row.table]}, {row.row}, {row.split}: {finding}."
        for row in audit.rows
        for finding in row.findings
    ]
    return sentences + (
        impossible or ["In no row does P@t grow with t, and every mean IoU lies within what P@t allows."]
    )


def _named(rows: Sequence[RowCheck]) -> str:
    """ "Table I CMPC on val, BRINet on val and test"."""
    splits: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        splits.setdefault((row.table, row.row), []).append(row.split)
    tables: dict[str, list[str]] = {}
    for (table, name), on in splits.items():
        tables.setdefault(table, []).append(f"{name} ({listing(on)})")
    return "; ".join(f"{NUMBERS[table]} {listing(names)}" for table, names in tables.items())


def _uncertain(audit: Audit) -> list[str]:
    cells = [cell for cell in audit.cells if cell.uncertain and cell.reach]
    return [
        f"Uncertain, {place(cell)}: {cell.uncertain}. {in_print(cell.reach.printed)} is reached {reached(cell.reach)}"
        + "".join(f", {in_print(reading.printed)} {reached(reading)}" for reading in cell.readings)
        + "."
        for cell in cells
        if cell.reach
    ]


def _main_pairs(audit: Audit) -> list[Pair]:
    """The first pair of the first table on each split: its last row against the one before it."""
    pairs = list(dict.fromkeys(comparison.pair for comparison in audit.comparisons))
    first = pairs[0] if pairs else None
    return [
        pair for pair in pairs if first and (pair.table, pair.a, pair.b) == (first.table, first.a, first.b)
    ]


def _support(audit: Audit, pair: Pair) -> list[str]:
    of_pair = [comparison for comparison in audit.comparisons if comparison.pair == pair]
    sentences = []
    for mean in of_pair:
        if isinstance(mean, MeanComparison):
            sentences.append(
                f"{pair.a} against {pair.b} on {pair.split}, mIoU {signed(mean.difference)}: unpaired, "
                f"p is {p_span(mean.p)}, depending on the spread of IoU within what P@t allows. A paired test "
                f"reaches p < 0.05 {_needed(mean.correlation)}."
            )
    by_support: dict[str, list[str]] = {"always": [], "depends": [], "never": []}
    for share in of_pair:
        if isinstance(share, ShareComparison):
            by_support[share.support].append(share.metric + (" (lower)" if share.difference < 0 else ""))
    words = {"always": "significant for every pairing", "depends": "for some", "never": "for none"}
    if found := [
        f"{listing(metrics)} {words[support]}" for support, metrics in by_support.items() if metrics
    ]:
        sentences.append(
            f"{pair.a} against {pair.b} on {pair.split}, exact McNemar over all pairings that the counts allow: "
            f"{'; '.join(found)}."
        )
    return sentences


def _needed(bounds: Range) -> str:
    if bounds[0] >= 1:
        return "with no correlation of the two models' IoU"
    if bounds[1] <= -1:
        return "with any correlation of the two models' IoU"
    return f"when the two models' IoU correlate by more than {correlation(bounds)}, depending on the spread"


def _claims(audit: Audit) -> list[str]:
    if not audit.claims:
        return []
    verdicts = [claim.verdict for claim in audit.claims]
    wrong = [
        f"{c.claim.a} {MINUS} {c.claim.b}, {c.claim.split} {c.claim.metric}: {number(float(c.claim.printed))} stated, "
        f"{number(float(c.difference))} in {NUMBERS[c.claim.table]}"
        for c in audit.claims
        if c.verdict == "differs" and c.difference is not None
    ]
    text = f"Of {count(len(verdicts), 'stated difference')}, {verdicts.count('agrees')} agree with the cells"
    text += f" and {len(wrong)} differ" + (f" ({'; '.join(wrong)})" if wrong else "")
    if unknown := verdicts.count("cannot be computed"):
        text += f"; {unknown} cannot be computed"
    sentences = [text + "."]
    if lower := [
        f"{c.claim.a} {MINUS} {c.claim.b} ({c.claim.split} {c.claim.metric})" for c in audit.claims if c.lower
    ]:
        sentences.append(f"In {len(lower)} of them the first row is the lower one: {listing(lower)}.")
    return sentences


def _repeats(audit: Audit) -> list[str]:
    sentences = []
    for check in audit.repeats:
        rows = listing([f"{NUMBERS[table]} {name}" for table, name in check.repeat.rows])
        apart = [cell for cell in check.cells if not cell.agree]
        if not check.cells:
            outcome = "they share no cell with a number"
        elif not apart:
            outcome = f"all {len(check.cells)} shared cells agree"
        else:
            outcome = f"{len(apart)} of {count(len(check.cells), 'shared cell')} differ"
        sentences.append(f"{rows} ({check.repeat.text}): {outcome}.")
    return sentences
