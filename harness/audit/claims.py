"""Sentences and repeated rows that arithmetic can check against the tables."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from harness.audit.counts import decimals, in_print
from harness.published import Published, Repeat, StatedDifference

Verdict = Literal["agrees", "differs", "cannot be computed"]


@dataclass(frozen=True)
class ClaimCheck:
    """A stated difference in points against the difference of the two cells."""

    claim: StatedDifference
    a: str | None  # the cells as printed; None where there is no number
    b: str | None
    difference: str | None  # a - b, exact
    verdict: Verdict
    uncertain: bool  # one of the cells may be another number

    @property
    def lower(self) -> bool:
        """Whether row a is the lower one."""
        return self.difference is not None and Decimal(self.difference) < 0

    def to_dict(self) -> dict[str, Any]:
        """Plain strings and numbers; the cells are named by table, row, split and metric."""
        claim = self.claim
        return {
            "text": claim.text,
            "table": claim.table,
            "split": claim.split,
            "metric": claim.metric,
            "a": {"row": claim.a, "value": _float(self.a)},
            "b": {"row": claim.b, "value": _float(self.b)},
            "stated": float(claim.printed),
            "difference": _float(self.difference),
            "status": self.verdict,
            "uncertain": self.uncertain,
        }


@dataclass(frozen=True)
class RepeatedCell:
    """A metric of rows that stand for one network, as each of them prints it."""

    split: str
    metric: str
    printed: tuple[str, ...]  # in the order of the rows
    agree: bool


@dataclass(frozen=True)
class RepeatCheck:
    """Rows of several tables that stand for one network, or may: the cells that they share."""

    repeat: Repeat
    cells: tuple[RepeatedCell, ...]

    @property
    def agree(self) -> bool:
        """Whether all shared cells print the same numbers."""
        return all(cell.agree for cell in self.cells)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return {
            "text": self.repeat.text,
            "rows": [{"table": table, "row": row} for table, row in self.repeat.rows],
            "certain": self.repeat.certain,
            "status": "agrees" if self.agree else "differs",
            "cells": [
                asdict(cell) | {"printed": [float(printed) for printed in cell.printed]}
                for cell in self.cells
            ],
        }


def check_claims(published: Published) -> tuple[ClaimCheck, ...]:
    """Check every stated difference.

    It agrees when it can be that of two numbers that print as the cells do: off by at most half a unit of the last
    digit of each of the three numbers, so by up to 0.01 where all have two decimals.
    """
    return tuple(_check(published, claim) for claim in published.claims)


def _check(published: Published, claim: StatedDifference) -> ClaimCheck:
    rows = [published.row(claim.table, name) for name in (claim.a, claim.b)]
    a, b = (row.cells[claim.split, claim.metric] for row in rows if row is not None)
    uncertain = a.uncertain is not None or b.uncertain is not None
    printed_a, printed_b = (None if cell.printed is None else in_print(cell.printed) for cell in (a, b))
    if printed_a is None or printed_b is None:
        return ClaimCheck(claim, printed_a, printed_b, None, "cannot be computed", uncertain)
    difference = Decimal(printed_a) - Decimal(printed_b)
    units = [Decimal(1).scaleb(-decimals(printed)) for printed in (printed_a, printed_b)]
    units.append(Decimal(1).scaleb(int(Decimal(claim.printed).as_tuple().exponent)))
    agrees = abs(difference - Decimal(claim.printed)) <= sum(units) / 2
    return ClaimCheck(
        claim, printed_a, printed_b, f"{difference:f}", "agrees" if agrees else "differs", uncertain
    )


def check_repeats(published: Published) -> tuple[RepeatCheck, ...]:
    """Compare the cells that the rows of each repeat share; a cell without a number is left out."""
    found = []
    for repeat in published.repeats:
        rows = [row for table, name in repeat.rows if (row := published.row(table, name)) is not None]
        cells = []
        for split, metric in rows[0].cells:
            printed = [row.cells[split, metric].printed for row in rows if (split, metric) in row.cells]
            present = tuple(in_print(text) for text in printed if text is not None)
            if len(present) == len(rows):
                agree = len({Decimal(text) for text in present}) == 1
                cells.append(RepeatedCell(split, metric, present, agree))
        found.append(RepeatCheck(repeat, tuple(cells)))
    return tuple(found)


def _float(printed: str | None) -> float | None:
    return None if printed is None else float(printed)
