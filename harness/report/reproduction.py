"""Whether the tables' measured values reproduce the published ones."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.report.tables import Table
from harness.report.wording import count, listing, number
from harness.statistics.equivalence import Reproduction, reproduction


@dataclass(frozen=True)
class ReproducedCell:
    """A cell of a table that was both measured and published."""

    row: str
    split: str
    metric: str
    seeds: int
    uncertain: str | None  # why the published number may be another one
    found: Reproduction


def verdicts(percent: str) -> dict[str, str]:
    """The verdicts and what they mean, where the intervals shown have this confidence."""
    return {
        "reproduced": "the 90% interval of the difference lies within the margin",
        "differs": f"its {percent} interval lies outside of the margin",
        "undecided": "neither: these data cannot tell",
    }


def reproduced_cells(table: Table, margin: float) -> tuple[ReproducedCell, ...]:
    """Judge every cell that has a measured value with its intervals and a published value.

    Args:
        table: one of the paper's tables.
        margin: how far off is still the same, points.
    """
    cells = []
    for row in table.measured:
        published = table.published_of(row.name)
        if published is None or row.gap:
            continue
        for place, cell in enumerate(row.cells):
            split = table.splits[place % len(table.splits)]
            printed, measure = published.cells.get((split, cell.metric)), cell.measure
            if printed is None or printed.value is None or measure is None:
                continue
            if measure.interval is None or measure.interval_90 is None:
                continue
            found = reproduction(measure.value, measure.interval, measure.interval_90, printed.value, margin)
            cells.append(
                ReproducedCell(row.name, split, cell.metric, len(measure.per_seed), printed.uncertain, found)
            )
    return tuple(cells)


def verdicts_in_words(cells: Iterable[ReproducedCell], margin: float) -> str:
    """How many cells have which verdict, in a sentence."""
    found = Counter(cell.found.verdict for cell in cells)
    if not found:
        return "No cell was both measured with an interval and published."
    parts = [f"{verdict} for {times}" for verdict, times in found.most_common()]
    total = count(sum(found.values()), "cell")
    return (
        f"{total} are both measured and published. The verdict, at a margin of {number(margin, 1)} points: "
        f"{listing(parts)}."
    )
