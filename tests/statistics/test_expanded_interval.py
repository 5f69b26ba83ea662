import numpy as np
import pytest
import scipy.stats
from sample_tables import counts_table, sample_table

from harness.metrics import METRICS, sample_features, summarize
from harness.statistics.resampling import effective_degrees, expanded_interval, jackknife, percentile_interval


def test_the_jackknife_leaves_out_each_cluster_in_turn():
    table = sample_table(12)
    left_out = jackknife(sample_features(table)[:, None])
    for row in range(12):
        expected = summarize(table.drop(index=row))
        assert left_out[row].tolist() == [expected[name] for name in METRICS]


def test_normal_contributions_leave_all_degrees_and_heavy_tails_few():
    draw = np.random.default_rng(0)
    columns = [draw.normal(0, 1, 5000), draw.standard_t(5, 5000), np.zeros(5000)]
    normal, heavy, none = effective_degrees(np.stack(columns, axis=1))
    assert normal == pytest.approx(5000, rel=0.1)
    assert heavy < 0.6 * normal
    assert none == 4999
    # By hand: kurtosis of (-1, 1) is 1, of one outlier among four 4 * (3^4 + 3) / (9 + 3)^2 = 7/3.
    two, outlier = effective_degrees(np.array([[-1.0, 3], [1, -1], [-1, -1], [1, -1]]))
    assert two == 3
    assert outlier == 3


def test_the_levels_are_students_in_place_of_the_normals():
    values = np.random.default_rng(1).normal(0, 1, (200_000, 1))
    low, high = expanded_interval(values, 0.95, np.array([9.0]), 10)[:, 0]
    expected = (10 / 9) ** 0.5 * scipy.stats.t.ppf(0.975, 9)
    assert (low, high) == (pytest.approx(-expected, rel=0.03), pytest.approx(expected, rel=0.03))


def test_with_many_clusters_they_are_the_plain_percentiles():
    values = np.random.default_rng(2).normal(0, 1, (5000, 2))
    plain = percentile_interval(values, 0.95)
    found = expanded_interval(values, 0.95, np.array([1e6, 1e6]), 10**6)
    assert found == pytest.approx(plain, rel=1e-3)


def test_the_interval_of_two_equal_tables_is_a_point():
    features = sample_features(counts_table([(1, 2)] * 5))[:, None]
    assert effective_degrees(jackknife(features)).tolist() == [4.0] * 7
