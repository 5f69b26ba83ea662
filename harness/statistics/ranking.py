"""Several models at once: all pairs as one family of tests, and how sure their ranks are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import HarnessError, suggestion
from harness.metrics import METRICS
from harness.statistics.comparison import MCNEMAR, Comparison, compare
from harness.statistics.multiplicity import enough_permutations, floor_warning, holm
from harness.statistics.pairing import pair
from harness.statistics.resampling import bootstrap_sums, cluster_sums, mean_metrics, percentile_interval

OTHER_NAMES = {  # what the literature calls them
    "giou": " gIoU is mIoU in part of the literature, oIoU in other papers.",
    "ciou": " cIoU, cumulative IoU, is oIoU.",
}


def count(n: int, thing: str) -> str:
    """ "1 pair", "3 pairs"."""
    return f"{n} {thing}{'s' if n != 1 else ''}"


@dataclass(frozen=True)
class Rank:
    """A model's place by one metric, over resamples of the images; the trained networks are taken as fixed."""

    model: str
    value: float  # percent, mean over the seeds
    rank: float  # 1 is the highest; equal values share the mean of their places
    interval: tuple[float, float]  # of the rank
    first: float  # share of the resamples in which it is first, alone or with others


@dataclass(frozen=True)
class Ranking:
    """All pairs of several models."""

    models: tuple[str, ...]
    comparisons: tuple[Comparison, ...]  # in the order of combinations(models, 2), adjusted over all of them
    ranks: dict[str, tuple[Rank, ...]]  # by metric, best first

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        pairs = combinations(self.models, 2)
        return {
            "models": list(self.models),
            "comparisons": [
                {"names": list(names), **comparison.to_dict()}
                for names, comparison in zip(pairs, self.comparisons, strict=True)
            ],
            "ranks": {
                metric: [{**asdict(rank), "interval": list(rank.interval)} for rank in ranks]
                for metric, ranks in self.ranks.items()
            },
        }


def compare_all(
    tables: Mapping[str, pd.DataFrame],
    *,
    n_resamples: int = 10_000,
    n_permutations: int | None = None,
    seed: int = 0,
    cluster: str = "cluster_id",
    confidence: float = 0.95,
    metrics: Sequence[str] = METRICS,
) -> Ranking:
    """Compare every two of several models; Holm over all pairs and metrics.

    Args:
        tables: per-sample tables as `compare` takes them, by the models' names.
        n_resamples, seed, cluster, confidence: as for `compare`.
        n_permutations: of each test, as many as n_resamples by default; with more than two models as many as the family
            wants, if that is more.
        metrics: those that are looked at: the others are left out of the result and of the family.

    Raises:
        HarnessError: fewer than two models, an unknown metric, or as `compare`.
    """
    names = tuple(tables)
    if len(names) < 2:
        raise HarnessError(f"{len(names)} model: a comparison needs two at least")
    for metric in metrics:
        if metric not in METRICS:
            hint = OTHER_NAMES.get(metric.lower()) or suggestion(metric, list(METRICS))
            raise HarnessError(f"there is no metric {metric!r}.{hint} There are {', '.join(METRICS)}")
    alpha = 1 - confidence
    pairs = list(combinations(names, 2))
    tests = len(pairs) * len(metrics)
    n_permutations = n_permutations or n_resamples
    if len(pairs) > 1:
        n_permutations = max(n_permutations, enough_permutations(tests, alpha))
    found = [
        compare(
            tables[a],
            tables[b],
            n_resamples=n_resamples,
            n_permutations=n_permutations,
            seed=seed,
            cluster=cluster,
            confidence=confidence,
            names=(a, b),
        )
        for a, b in pairs
    ]
    ranks = _ranks(tables, n_resamples, seed, cluster, confidence)
    return Ranking(names, _one_family(found, metrics, alpha), {metric: ranks[metric] for metric in metrics})


def _one_family(found: list[Comparison], metrics: Sequence[str], alpha: float) -> tuple[Comparison, ...]:
    """Leave out all but some metrics, and adjust the p-values over these and all comparisons."""
    every = [(number, name) for number in range(len(found)) for name in METRICS if name in metrics]
    adjusted = dict(
        zip(every, holm([found[number].metrics[name].p_value for number, name in every]), strict=True)
    )
    fixed = holm([found[number].metrics[name].these_models.p_value for number, name in every])
    adjusted_fixed = dict(zip(every, fixed, strict=True))
    family = found[0].family
    if len(every) != len(METRICS):
        what = count(len(every) // len(found), "metric")
        family = f"{what} of {count(len(found), 'pair')}" if len(found) > 1 else f"{what} of this comparison"
    changed = []
    for number, one in enumerate(found):
        kept = {
            name: replace(
                metric,
                p_adjusted=adjusted[number, name],
                these_models=replace(metric.these_models, p_adjusted=adjusted_fixed[number, name]),
            )
            for name, metric in one.metrics.items()
            if (number, name) in adjusted
        }
        permuted = any(metric.test == metric.these_models.test != MCNEMAR for metric in kept.values())
        warning = floor_warning(one.permutations, len(every), alpha) if permuted else None
        changed.append(replace(one, metrics=kept, family=family, warnings=(warning,) if warning else ()))
    return tuple(changed)


def _ranks(
    tables: Mapping[str, pd.DataFrame], n_resamples: int, seed: int, cluster: str, confidence: float
) -> dict[str, tuple[Rank, ...]]:
    first, *others = tables.values()
    pairs = [pair(first, other, cluster=cluster) for other in others]
    sums = [
        cluster_sums(one, pairs[0].aligned.clusters)
        for one in (pairs[0].features_a, *(p.features_b for p in pairs))
    ]
    values = np.stack([mean_metrics(one.sum(axis=0)) for one in sums])  # [models, metrics]
    stream = np.random.SeedSequence(seed).spawn(1)[0]
    together = bootstrap_sums(np.concatenate(sums, axis=1), n_resamples, stream)
    ends = np.cumsum([one.shape[1] for one in sums])[:-1]
    resampled = np.stack([mean_metrics(part) for part in np.split(together, ends, axis=1)], axis=1)
    ranked, observed = _places(resampled), _places(values[None])[0]
    low, high = percentile_interval(ranked, confidence)
    best = (resampled == resampled.max(axis=1, keepdims=True)).mean(axis=0)
    return {
        metric: tuple(
            sorted(
                (
                    Rank(
                        name,
                        float(values[row, column]),
                        float(observed[row, column]),
                        (float(low[row, column]), float(high[row, column])),
                        float(best[row, column]),
                    )
                    for row, name in enumerate(tables)
                ),
                key=lambda rank: rank.rank,
            )
        )
        for column, metric in enumerate(METRICS)
    }


def _places(values: np.ndarray) -> np.ndarray:
    """The mean rank of each model, 1 for the highest: [resamples, models, metrics]."""
    higher = (values[:, None] > values[:, :, None]).sum(axis=2)
    equal = (values[:, None] == values[:, :, None]).sum(axis=2)
    places: np.ndarray = higher + (equal + 1) / 2
    return places
