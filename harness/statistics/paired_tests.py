"""Tests of pairs besides the permutation: McNemar for shares of samples, Wilcoxon as a second opinion on means.

scipy.special alone: scipy.stats takes longer to import than a comparison takes. It is the referee of the tests.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
SAME = 12  # decimals to which two IoUs have to agree to be tied: 0.3 - 0.2 and 0.1 do


@dataclass(frozen=True)
class McNemar:
    """Whether A and B pass a threshold on equally many samples, from those on which one alone does."""

    only_a: int
    only_b: int
    exact: float  # two-sided p of the binomial test
    mid_p: float  # less conservative: half of the observed outcome's probability is left out


def mcnemar(only_a: int, only_b: int) -> McNemar:
    """McNemar's test, conditional on the number of discordant samples.

    Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13, of whom the mid-p version is.

    Args:
        only_a, only_b: samples that A passes and B does not, and the reverse.

    Returns:
        Both p-values; 1 where no sample is discordant.
    """
    count, least = only_a + only_b, min(only_a, only_b)
    if count == 0:
        return McNemar(0, 0, 1.0, 1.0)
    log_choose = special.gammaln(count + 1) - special.gammaln(least + 1) - special.gammaln(count - least + 1)
    point = math.exp(log_choose - count * math.log(2))
    if only_a == only_b:
        return McNemar(only_a, only_b, 1.0, 1 - point / 2)
    exact = min(1.0, 2 * float(special.bdtr(least, count, 0.5)))
    return McNemar(only_a, only_b, exact, exact - point)


@dataclass(frozen=True)
class Wilcoxon:
    """Whether the differences of pairs are as often and as far above zero as below."""

    p_value: float  # two-sided, normal approximation
    rank_biserial: float  # (W+ - W-) / (W+ + W-), from -1 to 1; 0 where all differences are 0


def wilcoxon(differences: Floats) -> Wilcoxon:
    """Wilcoxon's signed-rank test with zeros ranked and then left out (Pratt 1959), ties at their mean rank.

    Args:
        differences: A - B, one an independent unit, [n].

    Returns:
        Its p-value, which for fewer than some twenty differences is rough, and the matched-pairs rank-biserial
        correlation (Kerby 2014). The variance is the one given the ranks, sum(r^2) / 4 over the non-zero differences.
    """
    differences = np.round(differences, SAME)
    _, place, times = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    signed = float(np.sum(np.sign(differences) * ranks))
    used = ranks[differences != 0]
    if not len(used):
        return Wilcoxon(1.0, 0.0)
    z = signed / math.sqrt(float(np.sum(used**2)))
    return Wilcoxon(2 * float(special.ndtr(-abs(z))), signed / float(np.sum(used)))
