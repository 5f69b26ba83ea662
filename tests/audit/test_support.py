import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from harness.audit.support import mcnemar_range, two_proportions


def pairings(k_a, k_b, n):
    """(b, c) of every 2 x 2 table with these margins."""
    for both in range(min(k_a, k_b) + 1):
        b, c = k_a - both, k_b - both
        if both + b + c <= n:
            yield b, c


def exact(b, c):
    return binomtest(b, b + c, 0.5).pvalue if b + c else 1.0


def mid_p(b, c):
    """Half the weight of the outcome itself; the smaller tail, doubled."""
    if b == c:
        return 1.0
    low = min(b, c)
    return 2 * (binom.cdf(low, b + c, 0.5) - binom.pmf(low, b + c, 0.5) / 2)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_the_range_is_that_of_all_pairings(n):
    for k_a in range(n + 1):
        for k_b in range(n + 1):
            tables = list(pairings(k_a, k_b, n))
            found = mcnemar_range((k_a,), (k_b,), n)
            for bounds, p_value in ((found.exact, exact), (found.mid_p, mid_p)):
                every = [p_value(b, c) for b, c in tables]
                assert bounds == pytest.approx((min(every), max(every)))
            assert found.discordant == (min(b + c for b, c in tables), max(b + c for b, c in tables))


@pytest.mark.parametrize(("k_a", "k_b", "n"), [(40, 33, 60), (10, 55, 60), (31, 30, 60)])
def test_p_never_falls_when_a_discordant_pair_is_added_on_each_side(k_a, k_b, n):
    tables = sorted(pairings(k_a, k_b, n), key=sum)
    for p_value in (exact, mid_p):
        values = [p_value(b, c) for b, c in tables]
        assert np.all(np.diff(values) >= -1e-12)


def test_by_hand():
    # Of 10, A has 6 and B has 4: b - c = 2. Least discordant: 2 and 0, p = 2 * 1/4. Most: c = 4, b = 6.
    found = mcnemar_range((6,), (4,), 10)
    assert found.exact == pytest.approx((0.5, binomtest(4, 10, 0.5).pvalue))
    assert found.mid_p[0] == pytest.approx(0.25)
    assert found.discordant == (2, 10)


def test_several_counts_widen_the_range():
    every = [exact(b, c) for k_a in (6, 7) for k_b in (3, 4) for b, c in pairings(k_a, k_b, 10)]
    assert mcnemar_range((6, 7), (3, 4), 10).exact == pytest.approx((min(every), max(every)))


def test_extremes_of_the_published_size():
    found = mcnemar_range((1328,), (1299,), 1740)  # MAFN and RMSIN on val, P@0.5
    assert found.exact[0] == pytest.approx(2 * 0.5**29)
    assert found.discordant == (29, 29 + 2 * 412)
    assert found.exact[1] == pytest.approx(binomtest(412, 29 + 2 * 412, 0.5).pvalue)


def test_two_proportions_by_hand():
    z, p = two_proportions(60, 45, 100)
    assert z == pytest.approx(0.15 / math.sqrt(2 * 0.525 * 0.475 / 100))
    assert p == pytest.approx(2 * norm.sf(z))
    assert two_proportions(45, 60, 100) == pytest.approx((-z, p))
    assert two_proportions(0, 0, 5) == (0.0, 1.0)
    assert two_proportions(5, 5, 5) == (0.0, 1.0)
    assert two_proportions(5, 0, 5)[0] == pytest.approx(math.sqrt(10))
