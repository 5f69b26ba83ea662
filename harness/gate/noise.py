"""How much a metric moves when nothing is wrong, and so what a gate can see.

Two networks that differ in their seed alone differ in every metric. A drop has to stand out from two kinds of noise,
and each condition of the retrained layer answers to one:

- *seeds*: the drop exceeds the tolerance. With s the standard deviation of a metric over seeds, the means over m
  reference and k fresh networks differ with a standard deviation of s sqrt(1/m + 1/k). The tolerance is at least 2 s.
- *images*: the interval of the drop, a paired bootstrap over clusters of images with the networks taken as fixed,
  lies above zero.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from harness import metrics
from harness.gate.reference import Noise
from harness.metrics import METRICS
from harness.statistics.pairing import align
from harness.statistics.resampling import bootstrap_sums, cluster_sums, percentile_interval

CONFIDENCE = 0.95
FALSE_ALARM = 0.05  # of a whole gate, all metrics of all models, when only seeds differ
SEED_DEVIATIONS = 2.0  # the tolerance is never less
POWER = 0.8
Z_POWER = 0.8416212335729143  # of the standard normal, at POWER


@dataclass(frozen=True)
class Limits:
    """What a metric of a variant has to exceed, in points."""

    tolerance: float
    smallest: float  # the true drop that is caught with a probability of POWER


def measure_noise(profile: str, samples: dict[str, pd.DataFrame], resamples: int) -> Noise:
    """Measure seed noise on networks that differ in their seed alone.

    Args:
        profile: the name of theirs.
        samples: by variant, per-sample tables of at least two seeds; the same seeds everywhere.
        resamples: of the bootstrap over images.
    """
    sd: dict[str, dict[str, float]] = {}
    margin: dict[str, dict[str, float]] = {}
    for variant, table in samples.items():
        aligned = align(table)
        sums = cluster_sums(aligned.features, aligned.clusters)
        values = metrics.metric_values(sums.sum(axis=0))
        drawn = metrics.metric_values(bootstrap_sums(sums, resamples, np.random.SeedSequence(0)))
        widths = []
        for one, other in combinations(range(sums.shape[1]), 2):
            low, high = percentile_interval(drawn[:, one] - drawn[:, other], CONFIDENCE)
            widths.append((high - low) / 2)
        sd[variant] = dict(zip(METRICS, values.std(axis=0, ddof=1).tolist(), strict=True))
        margin[variant] = dict(zip(METRICS, np.mean(widths, axis=0).tolist(), strict=True))
    seeds = tuple(int(seed) for seed in sorted(next(iter(samples.values()))["seed"].unique()))
    return Noise(profile=profile, seeds=seeds, sd=sd, margin=margin)


def limits(noise: Noise, variant: str, metric: str, runs: tuple[int, int]) -> Limits:
    """The tolerance of a metric, and the smallest drop that the gate would catch.

    Args:
        noise: of the reference.
        variant, metric: whose.
        runs: how many reference and fresh networks are averaged.

    Returns:
        The tolerance is the larger of 2 s, s of this variant, and t s' sqrt(1/m + 1/k), s' pooled over the variants
        and t the quantile of Student's distribution (as s' is itself an estimate) at which a harmless change fails
        in one of twenty gates: FALSE_ALARM is divided by the number of metrics and variants.
        A drop is caught when it exceeds tolerance and margin. Around a true drop D the observed one has the standard
        deviation s' sqrt(1/m + 1/k), so it exceeds both with 80% probability from D = max(tolerance, margin) +
        0.84 s' sqrt(1/m + 1/k) on.
    """
    variants = list(noise.sd)
    spread = math.sqrt(1 / runs[0] + 1 / runs[1])
    pooled = math.sqrt(sum(noise.sd[name][metric] ** 2 for name in variants) / len(variants))
    freedom = len(variants) * (len(noise.seeds) - 1)
    quantile = float(stdtrit(freedom, 1 - FALSE_ALARM / (len(variants) * len(METRICS))))
    tolerance = max(SEED_DEVIATIONS * noise.sd[variant][metric], quantile * pooled * spread)
    margin = noise.margin[variant][metric] * spread / math.sqrt(2)  # measured between single networks
    return Limits(tolerance, max(tolerance, margin) + Z_POWER * pooled * spread)
