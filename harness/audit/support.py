"""What two published shares can say about a difference: the unpaired test, and all that McNemar's could give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Range = tuple[float, float]
ALPHA = 0.05


@dataclass(frozen=True)
class McNemarRange:
    """The two-sided p-values that McNemar's test can give when only the two margins are known."""

    exact: Range  # smallest and largest p
    mid_p: Range
    discordant: tuple[
        int, int
    ]  # expressions that only one model gets right, at the smallest and at the largest p


def two_proportions(k_a: int, k_b: int, n: int) -> Range:
    """Two-proportion z test, pooled, two-sided, as if the two models had seen different expressions.

    z = (p_a - p_b) / sqrt(2 p (1 - p) / n) with p = (k_a + k_b) / (2 n).

    Returns:
        z and p. Equal counts give 0 and 1.
    """
    from scipy.stats import norm

    if k_a == k_b:
        return 0.0, 1.0
    pooled = (k_a + k_b) / (2 * n)
    z = (k_a - k_b) / n / math.sqrt(2 * pooled * (1 - pooled) / n)
    return z, float(2 * norm.sf(abs(z)))


def mcnemar_range(counts_a: Sequence[int], counts_b: Sequence[int], n: int) -> McNemarRange:
    """The range of McNemar's p over all pairings that two margins allow.

    Let b expressions be right with A only and c with B only. The margins fix D = k_a - k_b = b - c, and leave c free:
    for D >= 0 (swap A and B otherwise) the expressions that both get right are k_b - c >= 0 and those that neither
    does are n - k_a - c >= 0, so c = 0 ... min(k_b, n - k_a). With X ~ Bin(2c + D, 1/2) the exact test has
    p = min(1, 2 P(X <= c)) and mid-p is 2 P(X < c) + P(X = c).

    Both grow with c. A further discordant pair on each side adds Y ~ Bin(2, 1/2) to X, so
    P(X + Y <= c + 1) - P(X <= c) = (P(X = c + 1) - P(X = c)) / 4, and the same for mid-p with
    (P(X = c + 1) - P(X = c - 1)) / 8 in place of the right-hand side (before the factor 2). For D >= 1 the value
    c + 1 is at least as close to the middle, c + D / 2, as c and closer than c - 1, so neither is negative. For D = 0
    both are 1 throughout. The extremes are therefore at c = 0 and at the largest c.

    Args:
        counts_a, counts_b: the counts that a model may have, one or more each; the range covers all pairs of them.
        n: number of expressions.
    """
    k_a, k_b = (
        grid.ravel() for grid in np.meshgrid(np.array(counts_a, np.int64), np.array(counts_b, np.int64))
    )
    difference = np.abs(k_a - k_b)
    most = np.minimum(np.minimum(k_a, k_b), n - np.maximum(k_a, k_b))
    (low, low_mid), (high, high_mid) = _mcnemar(np.zeros_like(most), difference), _mcnemar(most, difference)
    first, last = int(low.argmin()), int(high.argmax())
    return McNemarRange(
        (float(low[first]), float(high[last])),
        (float(low_mid.min()), float(high_mid.max())),
        (int(difference[first]), int(2 * most[last] + difference[last])),
    )


def _mcnemar(c: Counts, difference: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Exact p and mid-p; 1 for equal margins, where there may be no discordant pair at all."""
    from scipy.stats import binom

    discordant = 2 * c + difference
    below, here = binom.cdf(c - 1, discordant, 0.5), binom.pmf(c, discordant, 0.5)
    exact, mid_p = np.minimum(1.0, 2 * (below + here)), np.minimum(1.0, 2 * below + here)
    return np.where(difference == 0, 1.0, exact), np.where(difference == 0, 1.0, mid_p)
