"""The paired cluster bootstrap and the paired permutation test, for all metrics at once.

Both work on sums of `harness.metrics` features: a resample of clusters, or a swap of the two models within some of
them, is a row of weights, a block of such rows times the features one matrix product. The draws come in blocks of
fixed size, each from a generator of its own spawned from the seed, so they do not depend on how the work is cut.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.errors import HarnessError
from harness.metrics import metric_values

BLOCK = 256  # draws from one generator; part of the result's definition, with the seed
TIE = 1e-9  # points; two arrangements closer than this are tied, far above the rounding of a double

Floats = npt.NDArray[np.float64]


def cluster_sums(features: Floats, clusters: npt.NDArray[Any]) -> Floats:
    """Sum the features [n, ...] of each cluster: [clusters, ...], clusters in the order of their first sample."""
    _, first, codes = np.unique(clusters, return_index=True, return_inverse=True)
    if len(first) == len(clusters):
        return features
    rank = np.argsort(np.argsort(first))  # the names of the clusters do not matter, only who shares one
    codes = rank[codes]
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(first)))
    return np.add.reduceat(features[order], starts, axis=0)


def mean_metrics(sums: Floats) -> Floats:
    """Metrics of each run from its summed features [..., runs, features], averaged over the runs: [..., 7]."""
    means: Floats = metric_values(sums).mean(axis=-2)
    return means


def bootstrap_sums(clusters: Floats, n_resamples: int, seed: np.random.SeedSequence) -> Floats:
    """Sum the features over resamples of the clusters, drawn with replacement, as many as there are.

    Args:
        clusters: summed features of each cluster [clusters, ...]; two models side by side are resampled together.
        n_resamples: number of resamples; the first k of them are the same for any n_resamples >= k.
        seed: where the generators of the blocks are spawned from.

    Returns:
        float64 [n_resamples, ...].
    """
    count = len(clusters)
    flat = clusters.reshape(count, -1)
    sums = np.empty((n_resamples, flat.shape[1]))
    for rows, generator in _blocks(n_resamples, seed):
        drawn = generator.integers(count, size=(BLOCK, count))
        drawn += np.arange(BLOCK)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=BLOCK * count).reshape(BLOCK, count)
        sums[rows] = times[: rows.stop - rows.start].astype(np.float64) @ flat
    return sums.reshape(n_resamples, *clusters.shape[1:])


def percentile_interval(values: Floats, confidence: float) -> Floats:
    """The central interval of resampled values [n_resamples, ...] that holds `confidence` of them: [2, ...]."""
    return np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)


def jackknife(sums: Floats) -> Floats:
    """Metrics with each cluster left out in turn, averaged over the runs.

    Args:
        sums: features of each cluster [clusters, runs, features].

    Returns:
        [clusters, 7]
    """
    return mean_metrics(sums.sum(axis=0) - sums)


def effective_degrees(left_out: Floats) -> Floats:
    """With how many degrees of freedom the bootstrap knows a variance, from the jackknife [clusters, metrics].

    A sample variance of n values of kurtosis k varies like one of 2n / (k - 1) normal values. oIoU needs this: its sums
    are carried by a few large objects. n - 1 at most.
    """
    count = len(left_out)
    squares = (left_out - left_out.mean(axis=0)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        kurtosis = count * (squares**2).sum(axis=0) / squares.sum(axis=0) ** 2
        degrees = 2 * count / (kurtosis - 1)
    return np.where(np.isfinite(degrees) & (degrees > 0), np.minimum(degrees, count - 1.0), count - 1.0)


def expanded_interval(values: Floats, confidence: float, degrees: Floats, count: int) -> Floats:
    """Percentiles of resampled values [n_resamples, metrics], further out as t is than the normal: [2, metrics].

    Percentiles of a bootstrap cover too little for the same reason as a normal interval with an estimated variance
    (Hesterberg 2015, The American Statistician 69).

    Args:
        values: metrics, or their differences.
        confidence: of the interval.
        degrees: of freedom of each metric, see `effective_degrees`.
        count: clusters that were resampled.
    """
    tail = special.ndtr(math.sqrt(count / (count - 1)) * special.stdtrit(degrees, (1 - confidence) / 2))
    columns = zip(values.T, tail, strict=True)
    return np.array([np.quantile(column, [share, 1 - share]) for column, share in columns]).T


def bca_interval(
    resampled: Floats, value: float, left_out: Floats, confidence: float
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval of one metric (Efron 1987, JASA 82).

    Args:
        resampled: bootstrap values [n_resamples].
        value: of the data itself.
        left_out: values with each cluster left out in turn [clusters].
        confidence: of the interval.

    Returns:
        (low, high); None where all resamples lie on one side of the value.
    """
    below = ((resampled < value).mean() + (resampled <= value).mean()) / 2  # ties count half
    if not 0 < below < 1:
        return None
    deviation = left_out.mean() - left_out
    squares = float(np.sum(deviation**2))
    acceleration = float(np.sum(deviation**3)) / (6 * squares**1.5) if squares > 0 else 0.0
    bias = special.ndtri(below)
    z = bias + special.ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(resampled, special.ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


@dataclass(frozen=True)
class PermutationTest:
    """Two-sided p-values of a paired permutation test."""

    p_values: Floats  # one a metric
    permutations: int  # rearrangements besides the observed one, m of p = (b + 1) / (m + 1)
    exhaustive: bool  # whether these are all there are


def permutation_test(
    a: Floats, b: Floats, n_permutations: int, seed: np.random.SeedSequence
) -> PermutationTest:
    """Test whether it matters which of two models a cluster's results come from.

    A coin for each cluster says whether its results are swapped, in all runs at once; b counts the rearrangements
    whose metric differs between "A" and "B" by at least as much as observed, in either direction. With so few
    clusters that n_permutations covers all swaps, each is taken once.

    Args:
        a, b: summed features of each cluster [clusters, runs, features], run s of `a` paired with run s of `b`.
        n_permutations: number of random rearrangements.
        seed: where the generators of the blocks are spawned from.
    """
    count, *shape = a.shape
    total_a, total_b = a.sum(axis=0), b.sum(axis=0)
    threshold = np.abs(mean_metrics(total_a) - mean_metrics(total_b)) - TIE
    change = (b - a).reshape(count, -1)
    exhaustive = count < 63 and 2**count - 1 <= n_permutations
    blocks = _all_swaps(count) if exhaustive else _random_swaps(count, n_permutations, seed)
    extreme = np.zeros(threshold.shape, dtype=np.int64)
    for swaps in blocks:
        moved = (swaps @ change).reshape(len(swaps), *shape)
        difference = mean_metrics(total_a + moved) - mean_metrics(total_b - moved)
        extreme += (np.abs(difference) >= threshold).sum(axis=0)
    if exhaustive:  # the observed arrangement is among them
        return PermutationTest(extreme / 2**count, 2**count - 1, True)
    return PermutationTest((extreme + 1) / (n_permutations + 1), n_permutations, False)


def _random_swaps(count: int, n_permutations: int, seed: np.random.SeedSequence) -> Iterator[Floats]:
    for rows, generator in _blocks(n_permutations, seed):
        octets = generator.integers(256, size=(BLOCK, -(-count // 8)), dtype=np.uint8)
        coins = np.unpackbits(octets, axis=1, count=count)
        yield coins[: rows.stop - rows.start].astype(np.float64)


def _all_swaps(count: int) -> Iterator[Floats]:
    for start in range(0, 2**count, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, 2**count))
        yield (numbers[:, None] >> np.arange(count) & 1).astype(np.float64)


def _blocks(n: int, seed: np.random.SeedSequence) -> Iterator[tuple[slice, np.random.Generator]]:
    if n < 1:
        raise HarnessError(f"{n} resamples: at least one is needed")
    # A fresh copy: spawning from the caller's object would count up its children and change the next call.
    root = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    for number, child in enumerate(root.spawn(-(-n // BLOCK))):
        start = number * BLOCK
        yield slice(start, min(start + BLOCK, n)), np.random.default_rng(child)


def check_clusters(n_clusters: int, n: int) -> None:
    """Refuse what cannot be resampled.

    Raises:
        HarnessError: all samples lie in one cluster, a single sample included.
    """
    if n_clusters < 2:
        raise HarnessError(
            f"{n} expression{'s' if n > 1 else ''} in one cluster: an interval or a test needs at least two clusters; "
            "`harness.metrics.summarize` gives the plain values"
        )
