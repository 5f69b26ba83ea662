"""Comparisons of models on per-sample tables: paired intervals and tests. No torch here."""

from harness.statistics.comparison import Comparison, MetricComparison, compare
from harness.statistics.pairing import Subject

__all__ = ["Comparison", "MetricComparison", "Subject", "compare"]
