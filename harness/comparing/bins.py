"""Models compared within the bins of a breakdown: by category, by size of the object and so on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from harness.breakdowns import BREAKDOWNS, bin_of, breakdown
from harness.errors import HarnessError
from harness.statistics import compare
from harness.statistics.multiplicity import holm
from harness.statistics.pairing import cluster_column

Interval = tuple[float, float]


@dataclass(frozen=True)
class BinComparison:
    """One metric of the models on the expressions of a bin; in one cluster, without intervals and a test."""

    label: str
    n: int  # expressions
    values: tuple[float, ...]  # percent, mean over the seeds, in the models' order; () in an empty bin
    intervals: tuple[Interval | None, ...]  # of the values
    difference: float | None = None  # first - second; None unless there are two models
    interval: Interval | None = None  # of the difference
    p_value: float | None = None
    p_adjusted: float | None = None  # Holm over the bins

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which has lists for tuples."""
        return asdict(self)


def require_columns(tables: Mapping[str, pd.DataFrame], by: str) -> None:
    """Check that all tables have what a breakdown needs; `tables` by their files, or by the names of their models.

    Raises:
        HarnessError: one lacks a column.
    """
    for name, table in tables.items():
        missing = (
            [column for column in BREAKDOWNS[by].columns if column not in table] if by in BREAKDOWNS else []
        )
        if missing:
            raise HarnessError(
                f"{name} lacks the column {', '.join(missing)} that --by {by} needs: `harness evaluate` writes it, to "
                "a CSV file of your own add it (docs/comparing.md)"
            )


def compare_bins(
    tables: Mapping[str, pd.DataFrame], by: str, metric: str, **options: Any
) -> tuple[BinComparison, ...]:
    """Compare models bin by bin.

    Args:
        tables: per-sample tables by the models' names, on the same expressions.
        by: a breakdown, see `harness.breakdowns`.
        metric: which one.
        options: of `compare`, but for the tables.

    Raises:
        HarnessError: an unknown breakdown, a table without the columns that it needs, or tables that put the same
            expressions into different bins.
    """
    cluster = cluster_column("cluster_id", *tables.values())
    own = {name: value for name, value in options.items() if name != "n_permutations"}
    seeded = [table if "seed" in table else table.assign(seed=0) for table in tables.values()]
    broken = [breakdown(table, by, cluster=cluster, **own) for table in seeded]
    if any(
        [(one.label, one.n) for one in bins] != [(one.label, one.n) for one in broken[0]] for bins in broken
    ):
        raise HarnessError(
            f"the tables differ in the {by} of their expressions; evaluate all on the same data"
        )
    labels = [bin_of(table, by) for table in seeded]
    found = []
    for bins in zip(*broken, strict=True):
        label, measured = bins[0].label, [one.metrics[metric] for one in bins if one.n]
        row = BinComparison(
            label, bins[0].n, tuple(one.value for one in measured), tuple(one.interval for one in measured)
        )
        if len(measured) == 2:
            row = replace(row, difference=row.values[0] - row.values[1])
            if bins[0].n_clusters > 1:
                parts = [table[bin_ == label] for table, bin_ in zip(seeded, labels, strict=True)]
                one = compare(*parts, **options).metrics[metric]
                row = replace(row, interval=one.interval, p_value=one.p_value)
        found.append(row)
    adjusted = iter(holm([one.p_value for one in found if one.p_value is not None]))
    return tuple(one if one.p_value is None else replace(one, p_adjusted=next(adjusted)) for one in found)
