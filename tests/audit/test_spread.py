import math

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

from harness.audit.spread import (
    ImpossibleHistogram,
    histogram,
    needed_correlation,
    spread_range,
    unpaired_z,
)

FIVE = (0.5, 0.6, 0.7, 0.8, 0.9)
STEP = 1 / 2000


def by_linear_programming(bins, mean):
    """Extreme standard deviations over masses on a fine grid that holds every edge."""
    points, owner = [], []
    for place, (start, end) in enumerate(zip(bins.edges[:-1], bins.edges[1:], strict=True)):
        inside = np.linspace(start, end, round((end - start) / STEP) + 1)
        points.append(inside)
        owner.append(np.full(len(inside), place))
    x, of_bin = np.concatenate(points), np.concatenate(owner)
    masses = (of_bin == np.arange(len(bins.masses))[:, None]).astype(float)
    equal, right = np.vstack([masses, x]), [*bins.masses, mean]
    found = []
    for sign in (1, -1):
        solved = linprog(sign * x**2, A_eq=equal, b_eq=right, bounds=(0, None), method="highs")
        assert solved.status == 0, solved.message
        found.append(math.sqrt(max(sign * solved.fun - mean**2, 0)))
    return tuple(found)


@pytest.mark.parametrize("seed", range(6))
def test_extreme_deviations_against_linear_programming(seed):
    generator = np.random.default_rng(seed)
    thresholds = FIVE if seed % 2 else (0.5, 0.7, 0.9)
    shares = np.sort(generator.random(len(thresholds)))[::-1]
    bins = histogram(dict(zip(thresholds, shares, strict=True)))
    low, high = bins.mean_range
    mean = low + (high - low) * generator.uniform(0.02, 0.98)
    assert spread_range(bins, mean) == pytest.approx(by_linear_programming(bins, mean), abs=2e-4)


def test_published_row_against_linear_programming():
    bins = histogram(dict(zip(FIVE, (0.7632, 0.6931, 0.5833, 0.4454, 0.2471), strict=True)))
    found = spread_range(bins, 0.6603)
    assert found == pytest.approx(by_linear_programming(bins, 0.6603), abs=2e-4)
    assert found == pytest.approx((0.2097, 0.3765), abs=5e-5)


def test_by_hand():
    # Half below 0.5, half above, mean 0.5. Least: 0.5 and 0.5. Most: the upper half at 1, the lower at 0.
    bins = histogram({0.5: 0.5})
    assert bins.masses == (0.5, 0.5)
    assert spread_range(bins, 0.5) == pytest.approx((0.0, 0.5))
    # Mean 0.6: the lower half at 0.5, the upper at 0.7. Most: at 1 above, below a fifth at 0.5 and the rest at 0.
    assert spread_range(bins, 0.6) == pytest.approx((0.1, math.sqrt(0.5 + 0.2 * 0.25 - 0.36)))
    # Nobody reaches 0.5: one bin. All at the mean, or at 0 and 0.5.
    assert spread_range(histogram({0.5: 0.0}), 0.2) == pytest.approx((0.0, math.sqrt(0.4 * 0.25 - 0.04)))


def test_a_mean_at_the_end_of_its_range_leaves_one_distribution():
    bins = histogram({0.5: 0.4, 0.7: 0.1})
    low, high = bins.mean_range
    assert (low, high) == pytest.approx((0.6 * 0 + 0.3 * 0.5 + 0.1 * 0.7, 0.6 * 0.5 + 0.3 * 0.7 + 0.1))
    for mean in (low, high):
        least, most = spread_range(bins, mean)
        assert least == pytest.approx(most)


def test_what_cannot_be_is_said():
    with pytest.raises(ImpossibleHistogram, match=r"grows with t"):
        histogram({0.5: 0.3, 0.6: 0.4})
    bins = histogram({0.5: 0.8})
    with pytest.raises(ImpossibleHistogram, match=r"from 40\.00 to 90\.00, not 30\.00"):
        spread_range(bins, 0.3)
    with pytest.raises(ImpossibleHistogram):
        spread_range(bins, 0.91)
    assert spread_range(bins, 0.4 - 1e-4) == spread_range(bins, 0.4)  # a rounding away


def test_unpaired_z_takes_the_extremes_of_both():
    low, high = unpaired_z(-1.0, (3.0, 6.0), (4.0, 8.0), 100)
    assert (low, high) == pytest.approx((-1.0, -2.0))
    assert unpaired_z(0.0, (0.0, 1.0), (0.0, 1.0), 9) == (0.0, 0.0)
    assert unpaired_z(1.0, (0.0, 1.0), (0.0, 1.0), 9)[1] == math.inf


@pytest.mark.parametrize(
    ("difference", "sd_a", "sd_b", "n"),
    [
        (0.93, (20.97, 37.65), (22.08, 38.34), 1740),
        (-0.28, (16.63, 39.04), (16.56, 39.14), 1740),
        (5.0, (10.0, 40.0), (10.0, 40.0), 100),
        (0.0, (10.0, 40.0), (20.0, 25.0), 100),
    ],
)
def test_needed_correlation_against_a_grid(difference, sd_a, sd_b, n):
    a, b = np.meshgrid(np.linspace(*sd_a, 801), np.linspace(*sd_b, 801))
    reached = difference / norm.isf(0.025)
    needed = (a**2 + b**2 - n * reached**2) / (2 * a * b)
    found = needed_correlation(difference, sd_a, sd_b, n)
    assert found == pytest.approx((needed.min(), needed.max()), abs=1e-4)
    assert found[0] <= needed.min() + 1e-12


def test_at_the_needed_correlation_p_is_alpha():
    r, _ = needed_correlation(2.0, (30.0, 30.0), (33.0, 33.0), 500)
    z = 2.0 / math.sqrt((30**2 + 33**2 - 2 * r * 30 * 33) / 500)
    assert 2 * norm.sf(z) == pytest.approx(0.05)
    assert needed_correlation(0.0, (30.0, 30.0), (30.0, 30.0), 500) == pytest.approx((1.0, 1.0))
    assert needed_correlation(1.0, (0.0, 1.0), (1.0, 1.0), 1)[1] == math.inf
