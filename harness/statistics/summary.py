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
    mean_metrics,
    percentile_interval,
)


@dataclass(frozen=True)
class MetricSummary:
    """One metric of one model, in percent."""

    value: float  # mean over the seeds
    interval: tuple[float, float]  # of the value, the trained networks taken as fixed
    per_seed: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """The seven metrics of one model on one split under one protocol."""

    subject: Subject
    split: str | None
    protocol: str | None
    condition: str  # "sentence", or "shuffled": evaluated with the sentences of other images
    n: int  # expressions
    n_clusters: int
    metrics: dict[str, MetricSummary]

    def to_dict(self) -> dict[str, Any]:
        """Return the record in statistics.json."""
        return {
            **self.subject.to_dict(),
            **{name: getattr(self, name) for name in ("split", "protocol", "condition", "n", "n_clusters")},
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
    """Compute one model's metrics over its runs, with percentile intervals from a bootstrap by cluster.

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
    low, high = percentile_interval(resampled, confidence)
    total = sums.sum(axis=0)
    value, per_seed = mean_metrics(total), metric_values(total)
    return Summary(
        subject=aligned.subject,
        split=aligned.split,
        protocol=aligned.protocol,
        condition=condition,
        n=aligned.n,
        n_clusters=len(sums),
        metrics={
            name: MetricSummary(
                float(value[column]),
                (float(low[column]), float(high[column])),
                tuple(per_seed[:, column].tolist()),
            )
            for column, name in enumerate(METRICS)
        },
    )
