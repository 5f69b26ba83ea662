"""What a mean IoU and the histogram behind P@t say about the spread of IoU, and so about a difference of means."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.audit.support import ALPHA, Range

SLACK = 0.0002  # of a mean in shares: each printed percentage is off by less than 0.01, cut off or rounded


class ImpossibleHistogram(ValueError):
    """The printed numbers belong to no distribution of IoU; the message says why."""


@dataclass(frozen=True)
class Histogram:
    """Masses of IoU in adjacent bins that cover [0, 1]."""

    edges: tuple[float, ...]  # 0, the thresholds, 1
    masses: tuple[float, ...]  # shares, one a bin; they sum to 1

    @property
    def mean_range(self) -> Range:
        """Smallest and largest mean that the bins allow."""
        return (
            math.fsum(mass * edge for mass, edge in zip(self.masses, self.edges[:-1], strict=True)),
            math.fsum(mass * edge for mass, edge in zip(self.masses, self.edges[1:], strict=True)),
        )


def histogram(shares: Mapping[float, float]) -> Histogram:
    """The bins that P@t at some thresholds implies.

    Args:
        shares: threshold t in (0, 1) -> share of expressions with IoU >= t.

    Raises:
        ImpossibleHistogram: a share grows with the threshold.
    """
    thresholds = sorted(shares)
    above = [1.0, *(shares[t] for t in thresholds), 0.0]
    masses = [high - low for high, low in pairwise(above)]
    if min(masses) < 0:
        raise ImpossibleHistogram("P@t grows with t")
    return Histogram((0.0, *thresholds, 1.0), tuple(masses))


def spread_range(bins: Histogram, mean: float) -> Range:
    """Smallest and largest standard deviation (population) of IoU with these bins and this mean.

    Let bin i have mass w_i on [a_i, b_i] and mean u_i there, so that sum w_i u_i is the mean. The standard deviation
    is extreme where the second moment is.

    *Largest.* x^2 is convex, so within a bin the second moment is at most that of two masses at the ends:
    (a_i + b_i) u_i - a_i b_i. The total is linear in the w_i u_i, with slopes a_i + b_i that grow with i: start with
    every u_i = a_i and raise the highest bins to b_i until the mean is reached.

    *Smallest.* By Jensen's inequality each bin's mass sits at one point u_i. Minimising sum w_i u_i^2 under the mean
    has the Lagrange condition that u_i is a common value clipped to [a_i, b_i]: the bins below it stand at b_i, those
    above it at a_i, and the one that holds it makes up the mean. As the bins are adjacent: start with every u_i = a_i
    and raise the lowest bins until the mean is reached.

    Bins are half-open, [a_i, b_i), so an extreme that needs mass at b_i is approached and not attained.

    Args:
        bins: the histogram.
        mean: mean IoU in [0, 1].

    Raises:
        ImpossibleHistogram: no distribution with these bins has this mean, further off than rounding explains.
    """
    low, high = bins.mean_range
    if not low - SLACK <= mean <= high + SLACK:
        raise ImpossibleHistogram(
            f"P@t allows a mean IoU from {100 * low:.2f} to {100 * high:.2f}, not {100 * mean:.2f}"
        )
    mean = min(max(mean, low), high)
    ends = list(zip(bins.masses, bins.edges[:-1], bins.edges[1:], strict=True))

    def raised(order: Sequence[int]) -> list[float]:
        """The u_i when the bins are raised in this order until the mean is reached."""
        means, missing = [start for _, start, _ in ends], mean - low
        for place in order:
            mass, start, end = ends[place]
            if mass > 0:
                step = min(end - start, max(missing, 0.0) / mass)
                means[place] = start + step
                missing -= mass * step
        return means

    def deviation(second_moment: float) -> float:
        return math.sqrt(max(second_moment - mean * mean, 0.0))

    places = range(len(ends))
    pairs_low = zip(ends, raised(places), strict=True)
    pairs_high = zip(ends, raised(places[::-1]), strict=True)
    return (
        deviation(math.fsum(mass * point**2 for (mass, _, _), point in pairs_low)),
        deviation(math.fsum(mass * ((a + b) * point - a * b) for (mass, a, b), point in pairs_high)),
    )


def unpaired_z(difference: float, sd_a: Range, sd_b: Range, n: int) -> Range:
    """The range of z = difference / sqrt((s_a^2 + s_b^2) / n) over the standard deviations, the smaller |z| first.

    Two samples of n expressions each, taken as independent. Difference and deviations in the same unit.
    """
    low, high = math.hypot(sd_a[0], sd_b[0]), math.hypot(sd_a[1], sd_b[1])
    if difference == 0:
        return 0.0, 0.0
    return tuple(  # type: ignore[return-value]
        difference * math.sqrt(n) / spread if spread > 0 else math.copysign(math.inf, difference)
        for spread in (high, low)
    )


def two_sided(z: float) -> float:
    """The two-sided p-value of z."""
    from scipy.stats import norm

    return float(2 * norm.sf(abs(z)))


def needed_correlation(difference: float, sd_a: Range, sd_b: Range, n: int, alpha: float = ALPHA) -> Range:
    """The correlation of the two models' IoU above which the paired z test gives p < alpha.

    var(A - B) = s_a^2 + s_b^2 - 2 r s_a s_b, so |difference| > z sqrt(var / n) means r > f with
    f = (s_a^2 + s_b^2 - n (difference / z)^2) / (2 s_a s_b).

    The range is that of f over the box of possible s_a and s_b. Along one side f falls to s_a^2 = s_b^2 - c and then
    grows, c = n (difference / z)^2, so its largest value is at a corner and its smallest at a corner or at such a
    point of a side. A value of 1 or more means that no correlation is enough; one below -1, that any is.

    Args:
        difference: of the means.
        sd_a, sd_b: ranges of the standard deviations, in the same unit.
        n: pairs.
        alpha: level, two-sided.

    Returns:
        Smallest and largest f.
    """
    from scipy.stats import norm

    c = n * (difference / float(norm.isf(alpha / 2))) ** 2

    def f(a: float, b: float) -> float:
        rest = a * a + b * b - c
        return rest / (2 * a * b) if a * b > 0 else math.copysign(math.inf, rest)

    corners = [f(a, b) for a in sd_a for b in sd_b]
    sides = []
    for (low, high), other in ((sd_a, sd_b), (sd_b, sd_a)):
        for fixed in other:
            turn = fixed * fixed - c
            if turn > 0 and low < math.sqrt(turn) < high:
                sides.append(f(math.sqrt(turn), fixed))
    return min(corners + sides), max(corners)
