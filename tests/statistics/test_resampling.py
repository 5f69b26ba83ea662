import numpy as np
import pytest
import scipy.stats
from sample_tables import counts_table, sample_table

from harness.errors import HarnessError
from harness.metrics import METRICS, sample_features, summarize
from harness.statistics.resampling import (
    BLOCK,
    bootstrap_sums,
    cluster_sums,
    mean_metrics,
    percentile_interval,
    permutation_test,
)

SEED = np.random.SeedSequence(5)
OIOU, MIOU = METRICS.index("oIoU"), METRICS.index("mIoU")


def one_run(table):
    return sample_features(table)[:, None]


def test_bootstrap_draws_as_many_clusters_as_there_are_each_alike():
    n, resamples = 20, 4000
    times = bootstrap_sums(np.eye(n), resamples, SEED)
    assert np.array_equal(times, np.rint(times))
    assert np.all(times >= 0)
    assert np.all(times.sum(axis=1) == n)
    # Multinomial: mean 1, variance 1 - 1/n, covariance -1/n; the standard errors are about 0.016.
    assert times.mean(axis=0) == pytest.approx(np.ones(n), abs=0.08)
    covariance = np.cov(times, rowvar=False)
    assert covariance == pytest.approx(np.eye(n) - 1 / n, abs=0.15)
    assert scipy.stats.chisquare(times.sum(axis=0)).pvalue > 0.001


def test_the_first_resamples_do_not_depend_on_how_many_follow():
    clusters = one_run(sample_table(30))
    many = bootstrap_sums(clusters, 3 * BLOCK + 7, SEED)
    for few in (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK):
        assert np.array_equal(bootstrap_sums(clusters, few, SEED), many[:few])


def test_blocks_draw_differently_and_the_seed_matters():
    times = bootstrap_sums(np.eye(30), 2 * BLOCK, SEED)
    assert not np.array_equal(times[:BLOCK], times[BLOCK:])
    assert not np.array_equal(times, bootstrap_sums(np.eye(30), 2 * BLOCK, np.random.SeedSequence(6)))


def test_a_resample_has_the_metrics_of_the_table_with_its_clusters_repeated():
    table = sample_table(45, images_a_cluster=3)
    clusters = table["cluster_id"].to_numpy()
    sums = cluster_sums(one_run(table), clusters)
    times = bootstrap_sums(np.eye(len(sums)), 20, SEED).astype(int)
    resampled = mean_metrics(bootstrap_sums(sums, 20, SEED))
    for values, drawn in zip(resampled, times, strict=True):
        repeated = table.loc[np.repeat(table.index, drawn[clusters])]
        assert values.tolist() == [summarize(repeated)[name] for name in METRICS]


def test_clusters_sum_their_samples_whatever_their_names_and_order():
    features = np.arange(12.0).reshape(6, 2)
    expected = [features[0] + features[2] + features[5], features[1], features[3] + features[4]]
    for names in ([7, 3, 7, 5, 5, 7], [0, 1, 0, 2, 2, 0], list("zazkkz")):
        assert np.array_equal(cluster_sums(features, np.array(names)), expected)
    assert np.array_equal(cluster_sums(features, np.arange(6)[::-1]), features)


def test_percentile_interval_is_scipys_on_the_same_resamples():
    sample = np.random.default_rng(3).random(50)
    referee = scipy.stats.bootstrap((sample,), np.mean, n_resamples=999, method="percentile", rng=1)
    ours = percentile_interval(referee.bootstrap_distribution, 0.95)
    assert ours == pytest.approx(referee.confidence_interval, rel=1e-12)


@pytest.mark.parametrize("column", [OIOU, MIOU])
def test_paired_bootstrap_agrees_with_scipy(column):
    a, b = sample_table(150), sample_table(150, model="rmsin", quality=-0.03)
    pairs = np.stack([table[["intersection", "union"]].to_numpy(float) for table in (a, b)])

    def statistic(index, axis):
        i, u = pairs[:, index.astype(int), 0], pairs[:, index.astype(int), 1]
        value = 100 * (i.sum(-1) / u.sum(-1) if column == OIOU else (i / u).mean(-1))
        return value[0] - value[1]

    resamples = 9999
    referee = scipy.stats.bootstrap(
        (np.arange(150),), statistic, n_resamples=resamples, method="percentile", vectorized=True, rng=2
    )
    sums = np.stack([one_run(a), one_run(b)], axis=1)
    resampled = mean_metrics(bootstrap_sums(sums, resamples, SEED))
    difference = resampled[:, 0, column] - resampled[:, 1, column]
    ours = percentile_interval(difference, 0.95)
    # Standard error of the difference of two simulated 2.5% points, in standard deviations: 0.038. Four of them.
    assert ours == pytest.approx(referee.confidence_interval, abs=0.15 * difference.std())
    assert difference.std() == pytest.approx(referee.standard_error, rel=0.04)


@pytest.mark.parametrize("column", range(len(METRICS)))
def test_all_swaps_agree_with_scipys_exact_permutation_test(column):
    a, b = sample_table(11), sample_table(11, model="rmsin", quality=-0.1)
    features = np.concatenate([sample_features(a), sample_features(b)])

    def statistic(rows_a, rows_b, axis):
        sums = [features[np.moveaxis(rows, axis, -1).astype(int)].sum(-2) for rows in (rows_a, rows_b)]
        return (
            mean_metrics(sums[0][..., None, :])[..., column]
            - mean_metrics(sums[1][..., None, :])[..., column]
        )

    referee = scipy.stats.permutation_test(
        (np.arange(11), np.arange(11, 22)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    ours = permutation_test(one_run(a), one_run(b), 10_000, SEED)
    assert ours.exhaustive
    assert ours.permutations == 2**11 - 1
    assert ours.p_values[column] == pytest.approx(referee.pvalue, abs=1e-12)


def test_random_swaps_come_close_to_all_swaps():
    a, b = sample_table(14), sample_table(14, model="rmsin", quality=-0.05)
    exact = permutation_test(one_run(a), one_run(b), 2**14, SEED)
    drawn = permutation_test(one_run(a), one_run(b), 2**14 - 2, SEED)
    assert exact.exhaustive
    assert not drawn.exhaustive
    # The standard error of an estimated p is at most 0.004.
    assert drawn.p_values == pytest.approx(exact.p_values, abs=0.016)


def test_precision_p_value_is_mcnemars_exact_one():
    # 13 samples: A alone passes 0.5 in 8, B alone in 2, both or none in 3.
    hit, miss = (9, 10), (1, 10)
    a = sample_features(counts_table([hit] * 8 + [miss] * 2 + [hit, miss, miss]))[:, None]
    b = sample_features(counts_table([miss] * 8 + [hit] * 2 + [hit, miss, miss]))[:, None]
    expected = scipy.stats.binomtest(8, 10).pvalue
    assert permutation_test(a, b, 10_000, SEED).p_values[0] == pytest.approx(expected, rel=1e-12)


def test_two_clusters_by_hand():
    # IoU 1 against 0 twice: the differences of the four arrangements are 100, 0, 0, -100 points.
    a, b = (sample_features(counts_table([pair] * 2))[:, None] for pair in ((10, 10), (0, 10)))
    result = permutation_test(a, b, 3, SEED)
    assert result.permutations == 3
    assert result.p_values.tolist() == [0.5] * 7


def test_ties_are_counted_however_the_doubles_round():
    # 0.3 - 0.2 and 0.1 differ in floating point; all 16 arrangements tie in absolute value with two others.
    a = sample_features(counts_table([(3, 10), (1, 10), (7, 10), (8, 10)]))[:, None]
    b = sample_features(counts_table([(2, 10), (2, 10), (6, 10), (9, 10)]))[:, None]
    result = permutation_test(a, b, 100, SEED)
    assert result.p_values[MIOU] == 1.0  # the observed difference is 0 and every one is at least that


def test_swaps_move_whole_clusters():
    # Two clusters of five samples each are two coins, not ten: p cannot be below 1/2.
    a, b = (sample_features(counts_table([pair] * 10))[:, None] for pair in ((10, 10), (0, 10)))
    clusters = np.repeat([0, 1], 5)
    result = permutation_test(cluster_sums(a, clusters), cluster_sums(b, clusters), 1000, SEED)
    assert result.p_values.tolist() == [0.5] * 7


def test_the_p_value_counts_the_observed_arrangement():
    a, b = (sample_features(counts_table([pair] * 40))[:, None] for pair in ((10, 10), (0, 10)))
    result = permutation_test(a, b, 99, SEED)
    assert result.p_values.tolist() == [1 / 100] * 7  # (0 + 1) / (99 + 1)


def test_no_resamples_is_an_error():
    with pytest.raises(HarnessError, match="at least one"):
        bootstrap_sums(np.eye(3), 0, SEED)
