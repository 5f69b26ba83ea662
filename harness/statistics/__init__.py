"""Comparisons of models on per-sample tables: paired intervals and tests. No torch here."""

from harness.statistics.comparison import Comparison, MetricComparison, TheseModels, compare
from harness.statistics.equivalence import Reproduction, reproduction
from harness.statistics.pairing import Subject
from harness.statistics.ranking import Rank, Ranking, compare_all

__all__ = [
    "Comparison",
    "MetricComparison",
    "Rank",
    "Ranking",
    "Reproduction",
    "Subject",
    "TheseModels",
    "compare",
    "compare_all",
    "reproduction",
]
