import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as referee

from harness.statistics.paired_tests import mcnemar, wilcoxon


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 1), (8, 2), (2, 8), (5, 5), (30, 51), (700, 640), (1500, 1400)]
)
def test_mcnemar_is_statsmodels_exact_one(only_a, only_b):
    found = mcnemar(only_a, only_b)
    table = [[3, only_a], [only_b, 4]]
    assert found.exact == pytest.approx(referee(table, exact=True).pvalue, rel=1e-9)
    point = scipy.stats.binom.pmf(min(only_a, only_b), only_a + only_b, 0.5)
    expected = 1 - point / 2 if only_a == only_b else found.exact - point
    assert found.mid_p == pytest.approx(expected, rel=1e-9)
    assert mcnemar(only_b, only_a).exact == found.exact


def test_mcnemar_by_hand():
    found = mcnemar(3, 0)
    assert (found.exact, found.mid_p) == (pytest.approx(0.25), pytest.approx(0.125))
    assert (mcnemar(0, 0).exact, mcnemar(0, 0).mid_p) == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_is_scipys_with_zeros_and_ties(seed):
    draw = np.random.default_rng(seed)
    differences = draw.integers(-4, 6, 80) / 10
    expected = scipy.stats.wilcoxon(differences, zero_method="pratt", correction=False, method="approx")
    assert wilcoxon(differences).p_value == pytest.approx(expected.pvalue, rel=1e-9)
    without = draw.normal(0.1, 1, 200)
    expected = scipy.stats.wilcoxon(without, zero_method="pratt", correction=False, method="approx")
    assert wilcoxon(without).p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_rank_biserial_by_hand():
    # Ranks 1, 2, 3, 4, the third below zero: (1 + 2 + 4 - 3) / 10.
    assert wilcoxon(np.array([0.1, 0.2, -0.3, 0.4])).rank_biserial == pytest.approx(0.4)
    assert wilcoxon(np.array([0.1, 0.2])).rank_biserial == 1.0
    assert wilcoxon(np.zeros(5)) == wilcoxon(np.zeros(3))
    assert (wilcoxon(np.zeros(5)).p_value, wilcoxon(np.zeros(5)).rank_biserial) == (1.0, 0.0)


def test_differences_that_only_rounding_tells_apart_are_ties():
    exact, rounded = np.array([0.1, -0.1, 0.2]), np.array([0.3 - 0.2, -0.1, 0.2])
    assert wilcoxon(exact) == wilcoxon(rounded)
