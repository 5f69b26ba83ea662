"""The comparisons under the tables whose rows they compare, and the two sanity checks."""

from dataclasses import dataclass

from harness.config import Params
from harness.report.inputs import Comparison, Measure, Statistics
from harness.report.tables import TITLES, TRIVIAL_NAMES
from harness.report.wording import is_significant, verdict


@dataclass(frozen=True)
class NamedComparison:
    """A comparison with the names that its table gives to the two sides."""

    a: str
    b: str
    comparison: Comparison

    def verdict(self, metric: str, alpha: float) -> str:
        """The test of one metric in words."""
        return verdict(self.comparison.metrics[metric], alpha, self.a, self.b)

    def significant(self, metric: str, alpha: float) -> bool | None:
        """Whether one metric differs significantly; None where it was not tested."""
        return is_significant(self.comparison.metrics[metric], alpha)


@dataclass(frozen=True)
class ComparisonGroup:
    """The comparisons among one table's rows on one split."""

    title: str
    table: str | None
    split: str
    pairs: tuple[NamedComparison, ...]


def comparison_groups(params: Params, statistics: Statistics) -> tuple[ComparisonGroup, ...]:
    """Sort the comparisons under the tables whose rows they compare; test before val, the rest last."""
    split_order = {"test": 0, "val": 1}
    left = list(statistics.comparisons)
    groups = []
    for key in ("table1", "table2", "table3"):
        names = {variant: row for row, variant in getattr(params.tables, key).rows.items()}
        mine = [c for c in left if c.a in names and c.b in names]
        left = [c for c in left if not (c.a in names and c.b in names)]
        for split in sorted({c.split for c in mine}, key=lambda s: (split_order.get(s, 2), s)):
            pairs = tuple(NamedComparison(names[c.a], names[c.b], c) for c in mine if c.split == split)
            groups.append(ComparisonGroup(f"{TITLES[key][0]}, {split}", key, split, pairs))
    for split in sorted({c.split for c in left}, key=lambda s: (split_order.get(s, 2), s)):
        pairs = tuple(NamedComparison(c.a, c.b, c) for c in left if c.split == split)
        groups.append(ComparisonGroup(f"Other comparisons, {split}", None, split, pairs))
    return tuple(groups)


@dataclass(frozen=True)
class SanityRow:
    """Whether a model beats the trivial predictors, and whether it reads the sentence."""

    name: str
    variant: str
    measure: Measure | None
    trivial_name: str | None
    trivial: Measure | None
    above_trivial: bool | None  # the whole interval above every trivial predictor's interval
    shuffled: NamedComparison | None
    uses_sentence: bool | None  # shuffling the sentences lowers mIoU significantly


def _top(measure: Measure) -> float:
    return measure.value if measure.interval is None else measure.interval[1]


def sanity_rows(params: Params, statistics: Statistics, split: str = "test") -> tuple[SanityRow, ...]:
    """The two sanity checks of Table I's models on a split, from mIoU."""
    trivial = {
        variant: summary.metrics["mIoU"]
        for variant in statistics.trivial_variants()
        if (summary := statistics.summary(variant, split)) is not None and "mIoU" in summary.metrics
    }
    best = max(trivial, key=lambda variant: trivial[variant].value, default=None)
    rows = []
    for name, variant in params.tables.table1.rows.items():
        summary = statistics.summary(variant, split)
        measure = summary.metrics.get("mIoU") if summary else None
        above = None
        if measure is not None and measure.interval is not None and trivial:
            above = measure.interval[0] > max(map(_top, trivial.values()))
        comparison = next((c for c in statistics.shuffled if c.a == variant and c.split == split), None)
        uses = None
        if comparison is not None and "mIoU" in comparison.metrics:
            metric = comparison.metrics["mIoU"]
            significant = is_significant(metric, statistics.alpha)
            uses = None if significant is None else significant and metric.difference > 0
        else:
            comparison = None
        rows.append(
            SanityRow(
                name,
                variant,
                measure,
                TRIVIAL_NAMES.get(best, best) if best else None,
                trivial[best] if best else None,
                above,
                NamedComparison("right sentences", "shuffled", comparison) if comparison else None,
                uses,
            )
        )
    return tuple(rows)
