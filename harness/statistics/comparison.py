"""Two models compared on the same expressions: differences, intervals, p-values."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import HarnessError
from harness.metrics import FEATURES, METRICS
from harness.statistics.multiplicity import holm
from harness.statistics.pairing import Pair, Seeds, Subject, pair
from harness.statistics.resampling import (
    PermutationTest,
    bootstrap_sums,
    check_clusters,
    cluster_sums,
    mean_metrics,
    percentile_interval,
    permutation_test,
)

SCOPE = "these trained models"
FAMILY = "the seven metrics of this comparison"


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two models, in percent; differences in points."""

    a: float
    b: float
    difference: float  # a - b
    interval: tuple[float, float]  # of the difference
    p_value: float  # two-sided
    p_adjusted: float  # Holm over the family
    test: str  # which test, in words
    effect: float | None  # Cohen's d_z of the samples' IoU for mIoU; None elsewhere and where it is undefined


@dataclass(frozen=True)
class Comparison:
    """Model A against model B, and how they were paired."""

    a: Subject
    b: Subject
    split: str | None
    protocol: str | None
    dataset: str | None
    n: int  # expressions
    n_clusters: int
    cluster: str  # the column that clusters them: image_id where the one asked for is absent
    paired_on: tuple[str, ...]
    seeds_left_out: dict[str, tuple[int, ...]]  # of "a" and "b": no partner among the other's
    scope: str  # what the intervals and p-values speak of
    family: str  # what p_adjusted is adjusted for
    resamples: int
    permutations: int
    seed: int
    confidence: float
    metrics: dict[str, MetricComparison]

    def to_dict(self) -> dict[str, Any]:
        """Return the record in statistics.json: plain dicts, lists, numbers and strings."""
        return {
            **{name: _plain(value) for name, value in vars(self).items()},
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "metrics": {name: _plain(asdict(metric)) for name, metric in self.metrics.items()},
        }


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    n_resamples: int = 10_000,
    n_permutations: int | None = None,
    seed: int = 0,
    cluster: str = "cluster_id",
    confidence: float = 0.95,
    seeds: Seeds = "common",
) -> Comparison:
    """Compare two models on the same expressions.

    Each metric's difference A - B gets a percentile interval from a paired bootstrap that resamples clusters and a
    two-sided p-value from a paired permutation test that swaps the two models within clusters. With several seeds
    each metric is the mean over a model's runs. The trained networks are taken as fixed: nothing here speaks of
    networks trained anew.

    Args:
        a, b: per-sample tables (columns ref_id, sentence, intersection, union, image_id or cluster_id, and
            optionally model, variant, seed, dataset, split, protocol, mask_area), rows in any order.
        n_resamples: of the bootstrap.
        n_permutations: of the test; as many as n_resamples by default.
        seed: of both. The result depends on it, not on chunks or threads.
        cluster: the column that groups dependent samples; image_id where it is absent.
        confidence: of the intervals.
        seeds: "common": runs of equal seed are paired, others left out (and named in the result); "all": a model's
            only run is paired with every run of the other.

    Raises:
        HarnessError: the tables cannot be paired, hold a single cluster, or an argument is out of range.
    """
    n_permutations = n_resamples if n_permutations is None else n_permutations
    _check_arguments(n_resamples, n_permutations, seed, confidence)
    paired = pair(a, b, cluster=cluster, seeds=seeds)
    sums_a = cluster_sums(paired.features_a, paired.aligned.clusters)
    sums_b = cluster_sums(paired.features_b, paired.aligned.clusters)
    check_clusters(len(sums_a), paired.aligned.n)
    for_bootstrap, for_permutation = np.random.SeedSequence(seed).spawn(2)

    resampled = bootstrap_sums(np.stack([sums_a, sums_b], axis=1), n_resamples, for_bootstrap)
    differences = mean_metrics(resampled[:, 0]) - mean_metrics(resampled[:, 1])
    low, high = percentile_interval(differences, confidence)
    tested = permutation_test(sums_a, sums_b, n_permutations, for_permutation)
    value_a, value_b = mean_metrics(sums_a.sum(axis=0)), mean_metrics(sums_b.sum(axis=0))
    adjusted = holm(tested.p_values.tolist())
    return Comparison(
        a=paired.a,
        b=paired.b,
        split=paired.aligned.split,
        protocol=paired.aligned.protocol,
        dataset=paired.aligned.dataset,
        n=paired.aligned.n,
        n_clusters=len(sums_a),
        cluster=paired.aligned.cluster,
        paired_on=paired.paired_on,
        seeds_left_out={"a": paired.left_out[0], "b": paired.left_out[1]},
        scope=SCOPE,
        family=FAMILY,
        resamples=n_resamples,
        permutations=tested.permutations,
        seed=seed,
        confidence=confidence,
        metrics={
            name: MetricComparison(
                a=float(value_a[column]),
                b=float(value_b[column]),
                difference=float(value_a[column] - value_b[column]),
                interval=(float(low[column]), float(high[column])),
                p_value=float(tested.p_values[column]),
                p_adjusted=adjusted[column],
                test=_test_in_words(tested, len(sums_a)),
                effect=_cohen_dz(paired) if name == "mIoU" else None,
            )
            for column, name in enumerate(METRICS)
        },
    )


def _check_arguments(n_resamples: int, n_permutations: int, seed: int, confidence: float) -> None:
    for name, number in (("n_resamples", n_resamples), ("n_permutations", n_permutations)):
        if number < 1:
            raise HarnessError(f"{name}={number}: at least 1")
    if seed < 0:
        raise HarnessError(f"seed={seed}: 0 or more")
    if not 0 < confidence < 1:
        raise HarnessError(f"confidence={confidence}: between 0 and 1, such as 0.95")


def _test_in_words(tested: PermutationTest, n_clusters: int) -> str:
    how = (
        f"all {tested.permutations + 1:,} swaps of {n_clusters} clusters"
        if tested.exhaustive
        else f"{tested.permutations:,} random swaps"
    )
    return f"paired permutation, models swapped within clusters, {how}, two-sided"


def _cohen_dz(paired: Pair) -> float | None:
    """Mean over standard deviation of the samples' IoU difference, each averaged over the runs."""
    iou, rest = FEATURES.index("iou"), FEATURES.index("iou_rest")
    by_run = [side[..., iou] + side[..., rest] for side in (paired.features_a, paired.features_b)]
    difference: npt.NDArray[np.float64] = by_run[0].mean(axis=1) - by_run[1].mean(axis=1)
    spread = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    # A spread of a few bits is rounding: all samples differ alike and d_z would be infinite.
    return float(difference.mean()) / spread if spread > 1e-12 and math.isfinite(spread) else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
