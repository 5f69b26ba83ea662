"""The audit as blocks of text and rows, which the terminal, Markdown and HTML lay out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.audit.audit import Audit
from harness.audit.comparisons import MeanComparison, ShareComparison
from harness.audit.counts import Reach, in_print
from harness.audit.summary import NUMBERS, correlation, p_span, reached, shares, span
from harness.escaping import markdown as escaped
from harness.escaping import plain
from harness.markup import markdown_table
from harness.report.wording import MINUS, count, number, signed

SHORT = {"table1": "I", "table2": "II", "table3": "III"}
NOTHING = "\N{EM DASH}"  # a column that the table does not have
OUTCOMES = {"always": "yes", "depends": "open", "never": "no"}


@dataclass(frozen=True)
class Column:
    """A column of a block."""

    heading: str
    numeric: bool = False


@dataclass(frozen=True)
class Block:
    """A table with its title and a note on how to read it."""

    key: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    detail: bool = False  # beyond the findings: folded or left out where there is little room
    empty: str = "None."  # what stands there when there is no row


def document(audit: Audit) -> tuple[Block, ...]:
    """Every block, the findings first and the details last. All texts are plain: nothing in them is markup."""
    blocks = (
        _unreached(audit),
        _uncertain(audit),
        _support(audit),
        _means(audit),
        _claims(audit),
        _repeats(audit),
        _shares(audit),
        _spreads(audit),
    )
    return tuple(
        replace(block, rows=tuple(tuple(plain(text) for text in row) for row in block.rows))
        for block in blocks
    )


def _unreached(audit: Audit) -> Block:
    found = [cell for cell in audit.cells if cell.reach and cell.status != "rounding"]
    return Block(
        "unreached",
        "Cells not reachable by rounding",
        "Count: the k of n that prints so, with its exact share in percent; where there is none, the two around it. "
        "?: the number itself is uncertain.",
        _columns("Table", "Row", "Metric", ">Value", "Reached", "Count"),
        tuple(
            (
                _where(cell.table, cell.split),
                cell.row,
                cell.metric,
                in_print(cell.reach.printed) + (" ?" if cell.uncertain else ""),
                reached(cell.reach),
                shares(cell.reach),
            )
            for cell in found
            if cell.reach
        ),
        empty="Every P@t cell is reachable by rounding.",
    )


def _uncertain(audit: Audit) -> Block:
    rows = []
    for cell in audit.cells:
        readings = (cell.reach, *cell.readings) if cell.uncertain and cell.reach else ()
        for place, reading in enumerate(readings):
            rows.append(
                (
                    _where(cell.table, cell.split),
                    cell.row,
                    cell.metric,
                    in_print(reading.printed),
                    "preferred" if place == 0 else "possible",
                    reached(reading),
                    shares(reading),
                )
            )
    return Block(
        "uncertain",
        "Uncertain cells",
        "Numbers that could not be read with certainty, and what else they may be.",
        _columns("Table", "Row", "Metric", ">Value", "Reading", "Reached", "Count"),
        tuple(rows),
        empty="No P@t cell is marked as uncertain.",
    )


def _support(audit: Audit) -> Block:
    shares_of = [c for c in audit.comparisons if isinstance(c, ShareComparison)]
    metrics = sorted({c.metric for c in shares_of})
    found: dict[tuple[str, str], dict[str, str]] = {}
    for c in shares_of:
        sign = "" if c.support == "never" else " +" if c.difference > 0 else f" {MINUS}"
        outcome = f"{OUTCOMES[c.support]}{sign}" + ("?" if c.uncertain else "")
        found.setdefault((_where(c.pair.table, c.pair.split), c.pair.label), {})[c.metric] = outcome
    return Block(
        "shares",
        "P@t: can McNemar's test be significant?",
        "Two-sided exact p < 0.05 over all pairings of the expressions that the two counts allow: yes, for every "
        "pairing; open, for some, so the tables cannot tell; no, for none. The sign is that of the difference. "
        "?: a cell is uncertain.",
        _columns("Table", "Rows", *metrics),
        tuple(
            (*names, *(outcomes.get(metric, NOTHING) for metric in metrics))
            for names, outcomes in found.items()
        ),
        empty="No two rows have a P@t to compare.",
    )


def _means(audit: Audit) -> Block:
    return Block(
        "means",
        "mIoU: what a z test could give",
        "z and p: unpaired, over all standard deviations of IoU that P@t and mIoU allow. r: the correlation of the "
        "two models' IoU above which the paired test gives p < 0.05, over the same deviations; above 1, none is "
        "enough. No correlation is published.",
        _columns("Table", "Rows", ">Diff.", ">z", ">p", ">r needed"),
        tuple(
            (
                _where(c.pair.table, c.pair.split),
                c.pair.label,
                signed(c.difference) + ("?" if c.uncertain else ""),
                span(c.z, 1),
                p_span(c.p),
                correlation(c.correlation),
            )
            for c in audit.comparisons
            if isinstance(c, MeanComparison)
        ),
        empty="No two rows have a mean IoU to compare.",
    )


def _claims(audit: Audit) -> Block:
    rows = []
    for check in audit.claims:
        claim = check.claim
        rows.append(
            (
                claim.text,
                f"{_where(claim.table, claim.split)} {claim.metric}: {claim.a} {check.a or 'no number'} {MINUS} "
                f"{claim.b} {check.b or 'no number'}",
                signed(float(claim.printed)),
                "none" if check.difference is None else signed(float(check.difference)),
                check.verdict + (" (uncertain)" if check.uncertain else ""),
            )
        )
    return Block(
        "claims",
        "Stated differences",
        "A difference of two printed numbers may be off by 0.01. The arithmetic alone is checked: whether a sentence "
        "follows from its differences is for the reader. Uncertain: a cell may be another number.",
        _columns("Sentence", "Cells", ">Stated", ">Cells say", "Verdict"),
        tuple(rows),
        empty="The file states no differences.",
    )


def _repeats(audit: Audit) -> Block:
    rows = []
    for check in audit.repeats:
        apart = [cell for cell in check.cells if not cell.agree]
        rows.append(
            (
                "; ".join(f"{NUMBERS[table]} {name}" for table, name in check.repeat.rows),
                "one network" if check.repeat.certain else "perhaps one network",
                f"{len(check.cells) - len(apart)} of {count(len(check.cells), 'shared cell')} agree",
                "; ".join(f"{cell.split} {cell.metric} {', '.join(cell.printed)}" for cell in apart)
                or "none",
            )
        )
    return Block(
        "repeats",
        "Rows listed in several tables",
        "The same network, or what may be the same, must print the same numbers.",
        _columns("Rows", "Are", "Agreement", "Different"),
        tuple(rows),
        empty="The file names no row that stands in several tables.",
    )


def _shares(audit: Audit) -> Block:
    return Block(
        "share-details",
        "P@t, pair by pair",
        "k: counts; t: by truncation only; ~: the closest, as none prints so. z, p: two proportions, pooled, unpaired. "
        "McNemar: smallest and largest p over all pairings.",
        _columns(
            "Table",
            "Rows",
            "Metric",
            ">k, first",
            ">k, second",
            ">Diff.",
            ">z",
            ">p",
            ">McNemar, exact",
            ">mid-p",
        ),
        tuple(
            (
                _where(c.pair.table, c.pair.split),
                c.pair.label,
                c.metric,
                _k(c.a),
                _k(c.b),
                signed(c.difference) + ("?" if c.uncertain else ""),
                number(c.z),
                p_span((c.p, c.p)),
                p_span(c.mcnemar.exact),
                p_span(c.mcnemar.mid_p),
            )
            for c in audit.comparisons
            if isinstance(c, ShareComparison)
        ),
        detail=True,
        empty="No two rows have a P@t to compare.",
    )


def _where(table: str, split: str) -> str:
    return f"{SHORT[table]}, {split}"


def _k(reach: Reach) -> str:
    return {"rounding": "", "truncation": "t ", "unreachable": "~ "}[reach.status] + f"{reach.count:,}"


def _spreads(audit: Audit) -> Block:
    rows: dict[tuple[str, ...], None] = {}
    for c in audit.comparisons:
        if isinstance(c, MeanComparison):
            for name, mean, spread in ((c.pair.a, c.a, c.sd_a), (c.pair.b, c.b, c.sd_b)):
                rows[_where(c.pair.table, c.pair.split), name, mean, span(spread)] = None
    return Block(
        "spreads",
        "Spread of IoU",
        "Smallest and largest standard deviation of IoU, in points, that a row's P@t and mIoU allow.",
        _columns("Table", "Row", ">mIoU", ">Standard deviation"),
        tuple(rows),
        detail=True,
        empty="No row has a mean IoU and P@t.",
    )


def _columns(*headings: str) -> tuple[Column, ...]:
    """Columns by their headings; ">" before one aligns it to the right."""
    return tuple(Column(h.removeprefix(">"), h.startswith(">")) for h in headings)


def markdown(title: str, sentences: Sequence[str], blocks: Iterable[Block]) -> str:
    """The audit as Markdown, names from the file escaped."""
    lines = [f"# {escaped(title)}", "", *(f"- {escaped(sentence)}" for sentence in sentences)]
    for block in blocks:
        lines += ["", f"## {escaped(block.title)}", ""]
        if not block.rows:
            lines.append(escaped(block.empty))
            continue
        lines += [escaped(block.note), ""]
        lines += markdown_table(
            [escaped(column.heading) for column in block.columns],
            [column.numeric for column in block.columns],
            [[escaped(text) for text in row] for row in block.rows],
        )
    return "\n".join(lines) + "\n"
