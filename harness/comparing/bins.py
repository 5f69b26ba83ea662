"""Models compared within the bins of a breakdown: by category, by size of the object and so on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from harness.breakdowns import bin_of
from harness.errors import HarnessError
from harness.metrics import summarize
from harness.statistics import compare
from harness.statistics.multiplicity import holm


@dataclass(frozen=True)
class BinComparison:
    """One metric of the models on the expressions of a bin."""

    label: str
    n: int  # expressions
    values: (
        tuple[float, ...] | None
    )  # percent, mean over the seeds, in the models' order; None in an empty bin
    difference: float | None  # first - second; None unless there are two models
    interval: tuple[float, float] | None  # None as well with fewer than two clusters
    p_value: float | None
    p_adjusted: float | None  # Holm over the bins

    def to_dict(self) -> dict[str, Any]:
        """Plain values, lists for tuples."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


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
        HarnessError: an unknown breakdown, a table without the columns that it needs, or tables that cannot be paired.
    """
    binned = [table.assign(_bin=bin_of(table, by)) for table in tables.values()]
    found = [
        _one_bin(label, [table[table["_bin"] == label] for table in binned], metric, options)
        for label in _labels(binned)
    ]
    tested = [one.p_value for one in found if one.p_value is not None]
    adjusted = iter(holm(tested)) if tested else iter(())
    return tuple(
        one if one.p_value is None else BinComparison(**{**vars(one), "p_adjusted": next(adjusted)})
        for one in found
    )


def _labels(binned: Sequence[pd.DataFrame]) -> list[str]:
    column = binned[0]["_bin"]
    return [str(label) for label in column.cat.categories]


def _one_bin(
    label: str, tables: Sequence[pd.DataFrame], metric: str, options: Mapping[str, Any]
) -> BinComparison:
    tables = [table.drop(columns="_bin") for table in tables]
    if any(table.empty for table in tables):
        return BinComparison(label, 0, None, None, None, None, None)
    values = tuple(_mean_over_seeds(table, metric) for table in tables)
    n = len(tables[0].drop_duplicates(["ref_id", "sentence"]))
    if len(tables) != 2:
        return BinComparison(label, n, values, None, None, None, None)
    try:
        one = compare(*tables, **options).metrics[metric]
    except HarnessError as error:
        if "in one cluster" not in str(error):
            raise
        return BinComparison(label, n, values, values[0] - values[1], None, None, None)
    return BinComparison(label, n, values, one.difference, one.interval, one.p_value, None)


def _mean_over_seeds(table: pd.DataFrame, metric: str) -> float:
    runs = [run for _, run in table.groupby("seed")] if "seed" in table else [table]
    return sum(summarize(run)[metric] for run in runs) / len(runs)
