"""What interval and p-value speak of, which test is taken, and what it could have found."""

import numpy as np
import pytest
import scipy.stats
from sample_tables import counts_table, sample_table

from harness.metrics import summarize
from harness.statistics import compare

FAST = {"n_resamples": 300, "n_permutations": 300}


@pytest.fixture(scope="module")
def mafn():
    return sample_table(quality=0.05, seeds=(0, 1))


@pytest.fixture(scope="module")
def rmsin():
    return sample_table(model="rmsin", seeds=(0, 1))


def test_several_seeds_widen_the_interval_to_networks_trained_anew(mafn, rmsin):
    """By hand: the bootstrap's variance over images, and that of a mean of two over the seeds of either model."""
    comparison = compare(mafn, rmsin, n_resamples=4000)
    assert comparison.scope == "models trained this way"
    metric = comparison.metrics["mIoU"]
    runs = [[summarize(run)["mIoU"] for _, run in table.groupby("seed")] for table in (mafn, rmsin)]
    by_sample = [table.groupby("ref_id")["iou"].mean() for table in (mafn, rmsin)]
    images = (100 * (by_sample[0] - by_sample[1])).var(ddof=0) / 60
    seeds = [np.var(values, ddof=1) / 2 for values in runs]
    variance = images + sum(seeds)
    degrees = variance**2 / (images**2 / 59 + sum(one**2 / 1 for one in seeds))
    half = scipy.stats.t.ppf(0.975, degrees) * variance**0.5
    assert metric.degrees == pytest.approx(degrees, rel=0.1)
    assert np.ptp(metric.interval) / 2 == pytest.approx(half, rel=0.06)
    t = abs(metric.difference) / variance**0.5
    assert metric.p_value == pytest.approx(2 * scipy.stats.t.sf(t, degrees), rel=0.15)
    assert np.ptp(metric.these_models.interval) < np.ptp(metric.interval)
    assert metric.these_models.bca is None


def test_one_seed_against_three_speaks_of_these_models(mafn):
    other = sample_table(model="rmsin", seeds=(4, 5, 6))
    comparison = compare(mafn[mafn["seed"] == 1], other, **FAST)
    assert (comparison.a.seeds, comparison.b.seeds) == ((1,), (4, 5, 6))
    assert comparison.scope == "these trained models"
    metric = comparison.metrics["oIoU"]
    assert metric.b == pytest.approx(np.mean([summarize(run)["oIoU"] for _, run in other.groupby("seed")]))
    assert metric.interval == metric.these_models.interval
    assert metric.degrees is None
    assert comparison.metrics["P@0.5"].test.startswith("paired permutation"), (
        "a mean of three is no yes or no"
    )


def test_precision_of_single_runs_is_mcnemars(mafn, rmsin):
    one = [table[table["seed"] == 0].reset_index(drop=True) for table in (mafn, rmsin)]
    passed = [10 * table["intersection"] >= 5 * table["union"] for table in one]
    only_a, only_b = (passed[0] & ~passed[1]).sum(), (~passed[0] & passed[1]).sum()
    metric = compare(*one, **FAST).metrics["P@0.5"]
    assert metric.p_value == pytest.approx(scipy.stats.binomtest(int(only_a), int(only_a + only_b)).pvalue)
    assert metric.mid_p < metric.p_value
    assert (metric.test, metric.wins) == ("McNemar, exact, two-sided", (only_a, 60 - only_a - only_b, only_b))
    clustered = [table.assign(cluster_id=table["ref_id"] // 2) for table in one]
    assert compare(*clustered, **FAST).metrics["P@0.5"].test.startswith("paired permutation")


def test_the_bca_interval_is_scipys():
    a, b = sample_table(80, quality=0.05), sample_table(80, model="rmsin")
    counts = np.stack([table[["intersection", "union"]].to_numpy(float) for table in (a, b)])

    def statistic(index, axis):
        i, u = counts[:, index.astype(int), 0], counts[:, index.astype(int), 1]
        value = 100 * i.sum(-1) / u.sum(-1)
        return value[0] - value[1]

    referee = scipy.stats.bootstrap(
        (np.arange(80),), statistic, n_resamples=9999, method="BCa", vectorized=True, rng=4
    )
    bca = compare(a, b, n_resamples=10_000, n_permutations=10).metrics["oIoU"].these_models.bca
    assert bca == pytest.approx(referee.confidence_interval, abs=0.15 * referee.standard_error)


def test_too_few_permutations_for_the_family_are_a_warning(mafn, rmsin):
    one = [table[table["seed"] == 0] for table in (mafn, rmsin)]
    few = compare(*one, n_resamples=100, n_permutations=100)
    assert few.warnings == (
        "100 permutations cannot bring an adjusted p-value of 7 tests below 0.069; use 2,800",
    )
    assert compare(*one, n_resamples=100, n_permutations=200).warnings == ()


def test_what_is_detectable_is_found_in_four_of_five_cases():
    """By simulation: constant true difference of the size that one comparison named, on new images each time."""
    draw = np.random.default_rng(0)

    def tables(shift):
        base = draw.uniform(0.2, 0.6, 150)
        sides = [np.clip(base + draw.normal(0, 0.1, 150) + extra, 0, 1) for extra in (shift, 0)]
        return [counts_table([(int(1000 * iou), 1000) for iou in side], model="m") for side in sides]

    detectable = compare(*tables(0.0), n_resamples=2000, n_permutations=10).metrics["mIoU"].detectable / 100
    found = 0
    for _ in range(100):
        metric = compare(*tables(detectable), n_resamples=400, n_permutations=1).metrics["mIoU"]
        found += metric.interval[0] > 0
    assert 0.65 < found / 100 < 0.92
