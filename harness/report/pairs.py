"""All pairs of Table I's models as one family of tests, with effect sizes, and how sure their ranks are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.comparisons import NamedComparison
from harness.report.inputs import Difference, Rank

if TYPE_CHECKING:
    from harness.report.sections import Inputs

RANKED = ("mIoU", "oIoU")


@dataclass(frozen=True)
class PairRow:
    """One metric of one pair."""

    pair: NamedComparison
    metric: str
    found: Difference
    significant: bool | None
    verdict: str


@dataclass(frozen=True)
class RankRow:
    """A model's place by one metric."""

    metric: str
    name: str
    rank: Rank

    @property
    def span(self) -> str:
        """The range of its ranks, "1" or "1 to 2.5"."""
        low, high = (f"{end:g}" for end in self.rank.interval)
        return low if low == high else f"{low} to {high}"

    @property
    def first(self) -> str:
        """In how many of 100 resamples it is first."""
        return f"{100 * self.rank.first:.0f}%"


@dataclass(frozen=True)
class AllPairs:
    """The pairs on one split."""

    split: str
    family: str  # what Holm's correction covers
    rows: tuple[PairRow, ...]
    ranks: tuple[RankRow, ...]


def all_pairs(inputs: "Inputs", split: str = "test") -> AllPairs | None:
    """Statistics.json's ranking with the names of Table I; None where it has none."""
    statistics = inputs.statistics
    names = {variant: name for name, variant in inputs.params.tables.table1.rows.items()}
    ranking = next((one for one in statistics.rankings if one.split == split), None)
    if ranking is None or not ranking.comparisons:
        return None
    rows = []
    for comparison in ranking.comparisons:
        pair = NamedComparison(
            names.get(comparison.a, comparison.a), names.get(comparison.b, comparison.b), comparison
        )
        for metric, found in comparison.metrics.items():
            significant = pair.significant(metric, statistics.alpha)
            rows.append(PairRow(pair, metric, found, significant, pair.verdict(metric, statistics.alpha)))
    ranks = tuple(
        RankRow(metric, names.get(rank.variant, rank.variant), rank)
        for metric in RANKED
        for rank in ranking.ranks.get(metric, ())
    )
    return AllPairs(split, ranking.comparisons[0].family, tuple(rows), ranks)
