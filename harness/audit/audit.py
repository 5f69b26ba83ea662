"""The audit of a file of published tables: every check that needs the tables alone."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from harness.audit.claims import ClaimCheck, RepeatCheck, check_claims, check_repeats
from harness.audit.comparisons import MeanComparison, NotCompared, ShareComparison, compare_rows
from harness.audit.counts import Reach, in_print, reach, reachable_share
from harness.audit.histograms import row_histogram, thresholds
from harness.audit.spread import ImpossibleHistogram, spread_range
from harness.published import Published, PublishedRow

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CellCheck:
    """A P@t cell; `reach` is None where it has no number."""

    table: str
    row: str
    split: str
    metric: str
    n: int
    reach: Reach | None
    uncertain: str | None  # why the number may be another one
    readings: tuple[Reach, ...]  # of the numbers that it may be

    @property
    def status(self) -> str | None:
        """rounding, truncation (by truncation only) or unreachable; None without a number."""
        return self.reach.status if self.reach else None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return {
            "table": self.table,
            "row": self.row,
            "split": self.split,
            "metric": self.metric,
            "value": float(self.reach.printed) if self.reach else None,
            "n": self.n,
            "status": self.status,
            "counts": list(self.reach.counts) if self.reach else [],
            "around": list(self.reach.around) if self.reach else [],
            "reason": None if self.reach else "no number in the table",
            "uncertain": self.uncertain,
            "readings": [
                {"value": float(reading.printed), "status": reading.status, "counts": list(reading.counts)}
                for reading in self.readings
            ],
        }


@dataclass(frozen=True)
class RowCheck:
    """A row on one split: how its P@t cells can have been printed, and whether they and mIoU go together."""

    table: str
    row: str
    split: str
    printed_by: tuple[str, ...]  # that explain all certain P@t cells: rounding, truncation, both or none
    checked: int  # P@t cells that `printed_by` stands on
    findings: tuple[str, ...]  # what cannot be: P@t that grows with t, a mean outside what P@t allows

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return {
            "table": self.table,
            "row": self.row,
            "split": self.split,
            "printed_by": list(self.printed_by),
            "checked": self.checked,
            "findings": list(self.findings),
        }


@dataclass(frozen=True)
class Audit:
    """Everything that was found."""

    sizes: dict[str, int]  # split -> expressions
    by_chance: dict[str, float]  # split -> share of all two-decimal percentages that some count rounds to
    cells: tuple[CellCheck, ...]  # P@t only: mIoU and oIoU are no counts
    rows: tuple[RowCheck, ...]
    comparisons: tuple[ShareComparison | MeanComparison, ...]
    not_compared: tuple[NotCompared, ...]
    claims: tuple[ClaimCheck, ...]
    repeats: tuple[RepeatCheck, ...]

    def with_status(self, status: str) -> tuple[CellCheck, ...]:
        """The cells of one status, in the order of the tables."""
        return tuple(cell for cell in self.cells if cell.status == status)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `--format json`: plain dicts, lists, numbers and strings, no NaN or infinity."""
        return {
            "schema_version": SCHEMA_VERSION,
            "n": self.sizes,
            "reachable_by_chance": self.by_chance,
            **{
                name: [entry.to_dict() for entry in getattr(self, name)]
                for name in ("cells", "rows", "comparisons", "not_compared", "claims", "repeats")
            },
        }


def audit(published: Published) -> Audit:
    """Check published tables: counts, rows, what the tables can support, stated differences, repeated rows.

    Args:
        published: the tables; percentages as printed.

    Returns:
        The findings. Nothing here is an error: what cannot be is said.
    """
    places = [
        (table, row, split)
        for table, rows in published.tables.items()
        for row in rows
        for split in dict.fromkeys(split for split, _ in row.cells)
    ]
    cells = {
        (table, row.name, split): _cells(table, row, split, published.sizes[split])
        for table, row, split in places
    }
    comparisons, not_compared = compare_rows(published)
    splits = dict.fromkeys(split for _, _, split in places)
    return Audit(
        sizes=published.sizes,
        by_chance={split: reachable_share(published.sizes[split]) for split in splits},
        cells=tuple(cell for found in cells.values() for cell in found),
        rows=tuple(
            RowCheck(
                table,
                row.name,
                split,
                *_conventions(cells[table, row.name, split]),
                _impossible(row, split),
            )
            for table, row, split in places
        ),
        comparisons=comparisons,
        not_compared=not_compared,
        claims=check_claims(published),
        repeats=check_repeats(published),
    )


def _cells(table: str, row: PublishedRow, split: str, n: int) -> list[CellCheck]:
    found = []
    for metric in thresholds(row, split):
        cell = row.cells[split, metric]
        found.append(
            CellCheck(
                table,
                row.name,
                split,
                metric,
                n,
                None if cell.printed is None else reach(in_print(cell.printed), n),
                cell.uncertain,
                tuple(reach(in_print(reading), n) for reading in cell.readings),
            )
        )
    return found


def _conventions(cells: list[CellCheck]) -> tuple[tuple[str, ...], int]:
    """A table prints a row in one way, so one convention should explain all cells that are not uncertain."""
    printed = [cell.reach for cell in cells if cell.reach is not None and not cell.uncertain]
    by = {"rounding": [r.rounding for r in printed], "truncation": [r.truncation for r in printed]}
    return tuple(name for name, counts in by.items() if all(counts)), len(printed)


def _impossible(row: PublishedRow, split: str) -> tuple[str, ...]:
    present = [
        (metric, Decimal(printed))
        for metric in thresholds(row, split)
        if (printed := row.cells[split, metric].printed) is not None
    ]
    findings = [
        f"{later} is {in_print(str(high))}, above {earlier} with {in_print(str(low))}"
        for (earlier, low), (later, high) in pairwise(present)
        if high > low
    ]
    mean = row.cells[split, "mIoU"].value
    if not findings and mean is not None:
        try:
            spread_range(row_histogram(row, split), mean / 100)
        except ImpossibleHistogram as error:
            findings.append(str(error))
    return tuple(findings)
