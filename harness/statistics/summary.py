"""One model's metrics with their intervals."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.metrics import METRICS, metric_values
from harness.statistics.pairing import Subject, align
from harness.statistics.resampling import (
    bootstrap_sums,
    check_clusters,
    cluster_sums,
    effective_degrees,
    expanded_interval,
    jackknife,
    mean_metrics,
)
from harness.statistics.seeds import THESE_MODELS, THIS_WAY, images_alone, images_and_seeds

EQUIVALENCE = 0.9  # confidence of the interval that stands for two one-sided tests at 5%


@dataclass(frozen=True)
class MetricSummary:
    """One metric of one model, in percent."""

    value: float  # mean over the seeds
    interval: tuple[float, float]  # of the value, within the summary's scope
    per_seed: tuple[float, ...]
    interval_90: tuple[float, float]  # what a judgement of equivalence at 5% takes
    these_models: tuple[
        float, float
    ]  # of the value, the trained networks taken as fixed: percentile bootstrap


@dataclass(frozen=True)
class Summary:
    """The seven metrics of one model on one split under one protocol."""

    subject: Subject
    split: str | None
    protocol: str | None
    condition: str  # "sentence", or "shuffled": evaluated with the sentences of other images
    n: int  # expressions
    n_clusters: int
    scope: str  # what the intervals speak of
    metrics: dict[str, MetricSummary]

    def to_dict(self) -> dict[str, Any]:
        """Return the record in statistics.json."""
        return {
            **self.subject.to_dict(),
            **{
                name: getattr(self, name)
                for name in ("split", "protocol", "condition", "n", "n_clusters", "scope")
            },
            "metrics": {
                name: {
                    key: list(item) if isinstance(item, tuple) else item
                    for key, item in asdict(metric).items()
                }
                for name, metric in self.metrics.items()
            },
        }


def summarize_runs(
    samples: pd.DataFrame,
    *,
    condition: str = "sentence",
    n_resamples: int = 10_000,
    seed: int = 0,
    cluster: str = "cluster_id",
    confidence: float = 0.95,
) -> Summary:
    """Compute one model's metrics over its runs, with their intervals.

    Of a model with one seed percentile intervals from a bootstrap by cluster, which speak of this trained network; with
    several seeds the variance over seeds is added (`harness.statistics.seeds`).

    Args:
        samples: a per-sample table of one model with one or several seeds.
        condition: written into the result.
        n_resamples, seed, cluster, confidence: as for `harness.statistics.compare`.

    Raises:
        HarnessError: as for `harness.statistics.pairing.align`, or a single cluster.
    """
    aligned = align(samples, cluster=cluster)
    sums = cluster_sums(aligned.features, aligned.clusters)
    check_clusters(len(sums), aligned.n)
    resampled = mean_metrics(bootstrap_sums(sums, n_resamples, np.random.SeedSequence(seed)))
    degrees = effective_degrees(jackknife(sums))
    low, high = fixed = expanded_interval(resampled, confidence, degrees, len(sums))
    narrow = expanded_interval(resampled, EQUIVALENCE, degrees, len(sums))
    per_seed = metric_values(sums.sum(axis=0))
    value = per_seed.mean(axis=0)
    anew = len(per_seed) > 1
    if anew:
        spread = images_and_seeds(images_alone(resampled, degrees), per_seed)
        (low, high), narrow = spread.interval(value, confidence), spread.interval(value, EQUIVALENCE)
    return Summary(
        subject=aligned.subject,
        split=aligned.split,
        protocol=aligned.protocol,
        condition=condition,
        n=aligned.n,
        n_clusters=len(sums),
        scope=THIS_WAY if anew else THESE_MODELS,
        metrics={
            name: MetricSummary(
                float(value[column]),
                (float(low[column]), float(high[column])),
                tuple(per_seed[:, column].tolist()),
                (float(narrow[0, column]), float(narrow[1, column])),
                (float(fixed[0, column]), float(fixed[1, column])),
            )
            for column, name in enumerate(METRICS)
        },
    )
