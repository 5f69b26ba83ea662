"""Two models compared on the same expressions: differences, intervals, p-values, effects."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import HarnessError
from harness.metrics import METRICS, metric_values
from harness.statistics.effects import HITS, cluster_means, cohen_dz, contributions, wins
from harness.statistics.multiplicity import floor_warning, holm
from harness.statistics.paired_tests import McNemar, Wilcoxon, mcnemar, wilcoxon
from harness.statistics.pairing import Pair, Subject, pair
from harness.statistics.resampling import (
    PermutationTest,
    bca_interval,
    bootstrap_sums,
    check_clusters,
    cluster_sums,
    effective_degrees,
    expanded_interval,
    jackknife,
    mean_metrics,
    permutation_test,
)
from harness.statistics.seeds import THESE_MODELS, THIS_WAY, images_alone, images_and_seeds

FAMILY = "the seven metrics of this comparison"
WELCH = "Welch's t over images and seeds, two-sided"
MCNEMAR = "McNemar, exact, two-sided"
POWER = 0.8

Floats = npt.NDArray[np.float64]
_OIOU, _MIOU = METRICS.index("oIoU"), METRICS.index("mIoU")


@dataclass(frozen=True)
class TheseModels:
    """What the images alone say: the trained networks are taken as fixed."""

    interval: tuple[float, float]  # of the difference, percentile bootstrap
    bca: (
        tuple[float, float] | None
    )  # bias-corrected and accelerated; None with several seeds, or where it has none
    p_value: float
    p_adjusted: float
    test: str


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two models, in percent; differences in points."""

    a: float  # mean over the seeds
    b: float
    difference: float  # a - b
    interval: tuple[float, float]  # of the difference, within the comparison's scope
    p_value: float  # two-sided, within the comparison's scope
    p_adjusted: float  # Holm over the family
    test: str  # which test, in words
    degrees: float | None  # of freedom of Welch's t; None where it is not the test
    effect: (
        float | None
    )  # Cohen's d_z: mean over standard deviation of the samples' differences; None without spread
    detectable: float  # the smallest true difference that is found with a power of 80%
    wins: tuple[int, int, int] | None  # expressions on which A is better, equal, worse; None for oIoU
    these_models: TheseModels
    mid_p: float | None  # of McNemar's test, where that is the test of these models
    wilcoxon: Wilcoxon | None  # a second opinion on mIoU


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
    scope: str  # what interval and p_value speak of
    interval_method: str
    family: str  # what p_adjusted is adjusted for
    resamples: int
    permutations: int
    seed: int
    confidence: float
    warnings: tuple[str, ...]
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
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Compare two models on the same expressions.

    With one seed on either side everything speaks of *these trained models*: the interval of each difference A - B is
    a paired percentile bootstrap over clusters, the p-value a paired permutation test that swaps the two models within
    clusters; for P@t on clusters of one sample McNemar's exact test. With several seeds on both sides interval and
    p-value speak of *models trained this way*: variance over images and over seeds, by Welch and Satterthwaite; what
    holds for these trained models stands in `these_models`. The seeds of A and B are independent, in number, too.

    Args:
        a, b: per-sample tables (columns ref_id, sentence, intersection, union, image_id or cluster_id, and
            optionally model, variant, seed, dataset, split, protocol, mask_area), rows in any order.
        n_resamples: of the bootstrap.
        n_permutations: of the test; as many as n_resamples by default.
        seed: of both. The result depends on it, not on chunks or threads.
        cluster: the column that groups dependent samples; image_id where it is absent.
        confidence: of the intervals.
        names: what errors call A and B; None: the models in the tables.

    Raises:
        HarnessError: the tables cannot be paired, hold a single cluster, or an argument is out of range.
    """
    n_permutations = n_resamples if n_permutations is None else n_permutations
    _check_arguments(n_resamples, n_permutations, seed, confidence)
    paired = pair(a, b, cluster=cluster, names=names)
    sums_a = cluster_sums(paired.features_a, paired.aligned.clusters)
    sums_b = cluster_sums(paired.features_b, paired.aligned.clusters)
    count = len(sums_a)
    check_clusters(count, paired.aligned.n)
    for_bootstrap, for_permutation = np.random.SeedSequence(seed).spawn(2)

    resampled = _differences(
        bootstrap_sums(np.concatenate([sums_a, sums_b], axis=1), n_resamples, for_bootstrap), sums_a.shape[1]
    )
    per_seed_a, per_seed_b = metric_values(sums_a.sum(axis=0)), metric_values(sums_b.sum(axis=0))
    value_a, value_b = per_seed_a.mean(axis=0), per_seed_b.mean(axis=0)
    difference = value_a - value_b
    left_out = jackknife(sums_a) - jackknife(sums_b)
    degrees = effective_degrees(left_out)
    images = images_alone(resampled, degrees)
    permuted = permutation_test(*_of_mean_seed(sums_a, sums_b), n_permutations, for_permutation)
    discordant = _discordant(paired, count)
    single = len(per_seed_a) == len(per_seed_b) == 1
    fixed = _these_models(
        resampled, difference, left_out, degrees, permuted, discordant, confidence, with_bca=single
    )

    anew = min(len(per_seed_a), len(per_seed_b)) > 1
    spread = images_and_seeds(images, per_seed_a, per_seed_b) if anew else images
    if anew:
        low, high = spread.interval(difference, confidence)
        p_values = [float(p) for p in spread.p_values(difference)]
        tests = [WELCH] * len(METRICS)
    else:
        low, high = np.array([one.interval for one in fixed]).T
        p_values, tests = [one.p_value for one in fixed], [one.test for one in fixed]
    adjusted = holm(p_values)
    detectable = spread.detectable(1 - confidence, POWER)
    compared = contributions(paired)
    warning = floor_warning(permuted.permutations, len(METRICS), 1 - confidence)
    return Comparison(
        a=paired.a,
        b=paired.b,
        split=paired.aligned.split,
        protocol=paired.aligned.protocol,
        dataset=paired.aligned.dataset,
        n=paired.aligned.n,
        n_clusters=count,
        cluster=paired.aligned.cluster,
        paired_on=paired.paired_on,
        scope=THIS_WAY if anew else THESE_MODELS,
        interval_method="Welch-Satterthwaite, images and seeds"
        if anew
        else "paired percentile bootstrap of clusters",
        family=FAMILY,
        resamples=n_resamples,
        permutations=permuted.permutations,
        seed=seed,
        confidence=confidence,
        warnings=(warning,) if warning and not anew else (),
        metrics={
            name: MetricComparison(
                a=float(value_a[column]),
                b=float(value_b[column]),
                difference=float(difference[column]),
                interval=(float(low[column]), float(high[column])),
                p_value=p_values[column],
                p_adjusted=adjusted[column],
                test=tests[column],
                degrees=float(spread.degrees[column]) if anew else None,
                effect=cohen_dz(compared[column]),
                detectable=float(detectable[column]),
                wins=None if column == _OIOU else wins(compared[column]),
                these_models=fixed[column],
                mid_p=discordant[column].mid_p if column in discordant else None,
                wilcoxon=wilcoxon(cluster_means(compared[column], paired)) if column == _MIOU else None,
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


def _differences(sums: Floats, runs_a: int) -> Floats:
    """A - B of the metrics, each the mean over its runs, from sums [..., runs of a and b, features]."""
    return mean_metrics(sums[..., :runs_a, :]) - mean_metrics(sums[..., runs_a:, :])


def _of_mean_seed(sums_a: Floats, sums_b: Floats) -> tuple[Floats, Floats]:
    """Each cluster's sums averaged over a model's seeds: [clusters, 1, features], the unit that is swapped.

    Not divided by the number of seeds, but multiplied by the other's, so that the sums stay exact: every metric is a
    ratio, from which the common factor goes.
    """
    return (
        sums_a.sum(axis=1, keepdims=True) * sums_b.shape[1],
        sums_b.sum(axis=1, keepdims=True) * sums_a.shape[1],
    )


def _discordant(paired: Pair, n_clusters: int) -> dict[int, McNemar]:
    """McNemar's test of each P@t, where samples are independent and a model passes a sample or does not."""
    a, b = paired.features_a, paired.features_b
    if n_clusters < paired.aligned.n or a.shape[1] > 1 or b.shape[1] > 1:
        return {}
    passed_a, passed_b = a[:, 0, :HITS] > 0, b[:, 0, :HITS] > 0
    only_a, only_b = (passed_a & ~passed_b).sum(axis=0), (passed_b & ~passed_a).sum(axis=0)
    return {column: mcnemar(int(only_a[column]), int(only_b[column])) for column in range(HITS)}


def _these_models(
    resampled: Floats,
    difference: Floats,
    left_out: Floats,
    degrees: Floats,
    permuted: PermutationTest,
    discordant: dict[int, McNemar],
    confidence: float,
    *,
    with_bca: bool,
) -> list[TheseModels]:
    count = len(left_out)
    low, high = expanded_interval(resampled, confidence, degrees, count)
    p_values = [
        discordant[column].exact if column in discordant else float(permuted.p_values[column])
        for column in range(len(METRICS))
    ]
    adjusted = holm(p_values)
    return [
        TheseModels(
            interval=(float(low[column]), float(high[column])),
            bca=bca_interval(resampled[:, column], difference[column], left_out[:, column], confidence)
            if with_bca
            else None,
            p_value=p_values[column],
            p_adjusted=adjusted[column],
            test=MCNEMAR if column in discordant else _permutation_in_words(permuted, count),
        )
        for column in range(len(METRICS))
    ]


def _permutation_in_words(tested: PermutationTest, n_clusters: int) -> str:
    how = (
        f"all {tested.permutations + 1:,} swaps of {n_clusters} clusters"
        if tested.exhaustive
        else f"{tested.permutations:,} random swaps"
    )
    return f"paired permutation, models swapped within clusters, {how}, two-sided"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
