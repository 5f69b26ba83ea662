import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sample_tables import counts_table, sample_table

from harness.errors import HarnessError
from harness.metrics import METRICS, summarize
from harness.statistics import compare
from harness.statistics.multiplicity import holm
from harness.statistics.summary import summarize_runs

FAST = {"n_resamples": 300, "n_permutations": 300}


@pytest.fixture(scope="module")
def mafn():
    return sample_table(quality=0.05, seeds=(0, 1))


@pytest.fixture(scope="module")
def rmsin():
    return sample_table(model="rmsin", seeds=(0, 1))


def test_values_and_differences_are_those_of_the_metrics_module(mafn, rmsin):
    one_seed = [table[table["seed"] == 0] for table in (mafn, rmsin)]
    comparison = compare(*one_seed, **FAST)
    a, b = map(summarize, one_seed)
    assert list(comparison.metrics) == list(METRICS)
    for name, metric in comparison.metrics.items():
        assert (metric.a, metric.b) == (a[name], b[name])
        assert metric.difference == a[name] - b[name]
        assert metric.interval[0] <= metric.difference <= metric.interval[1]


def test_several_seeds_average_each_runs_metric(mafn, rmsin):
    comparison = compare(mafn, rmsin, **FAST)
    runs = [summarize(run) for _, run in mafn.groupby("seed")]
    assert len(runs) == 2
    for name, metric in comparison.metrics.items():
        assert metric.a == pytest.approx((runs[0][name] + runs[1][name]) / 2, rel=1e-15)
    assert comparison.a.seeds == comparison.b.seeds == (0, 1)
    pooled = summarize(mafn)["oIoU"]  # a ratio of sums over both runs is another number
    assert comparison.metrics["oIoU"].a != pooled


def test_swapping_the_models_mirrors_everything(mafn, rmsin):
    there, back = compare(mafn, rmsin, **FAST), compare(rmsin, mafn, **FAST)
    assert (there.a, there.b) == (back.b, back.a)
    for name in METRICS:
        one, other = there.metrics[name], back.metrics[name]
        assert (one.a, one.b, one.difference) == (other.b, other.a, -other.difference)
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), rel=1e-12, abs=1e-12)
        assert (one.p_value, one.p_adjusted, one.test) == (other.p_value, other.p_adjusted, other.test)
        assert one.effect == (None if other.effect is None else pytest.approx(-other.effect, rel=1e-12))


def test_the_order_of_the_rows_and_the_names_of_the_clusters_change_nothing():
    a = sample_table(images_a_cluster=3, quality=0.05, seeds=(0, 1))
    b = sample_table(images_a_cluster=3, model="rmsin", seeds=(0, 1))
    expected = compare(a, b, **FAST).to_dict()
    renamed = np.random.default_rng(0).permutation(1000)
    a, b = (
        table.sample(frac=1, random_state=state).assign(cluster_id=lambda t: renamed[t["cluster_id"]])
        for state, table in enumerate((a, b))
    )
    assert compare(a, b, **FAST).to_dict() == expected


def test_the_inputs_are_left_as_they_were(mafn, rmsin):
    shuffled = mafn.sample(frac=1, random_state=0)
    before = shuffled.copy()
    compare(shuffled, rmsin, **FAST)
    pd.testing.assert_frame_equal(shuffled, before)


def test_a_sample_that_both_get_right_shrinks_the_difference_as_arithmetic_says():
    a, b = sample_table(49, quality=0.1), sample_table(49, model="rmsin")
    extra = a.iloc[[0]].assign(ref_id=1, intersection=700, union=1000, mask_area=800, cluster_id=-1)
    before = compare(a, b, **FAST).metrics
    after = compare(pd.concat([a, extra]), pd.concat([b, extra.assign(model="rmsin")]), **FAST).metrics
    assert after["mIoU"].difference == pytest.approx(before["mIoU"].difference * 49 / 50, rel=1e-12)
    assert after["mIoU"].a == pytest.approx((49 * before["mIoU"].a + 70) / 50, rel=1e-12)
    assert after["P@0.7"].a == pytest.approx((49 * before["P@0.7"].a + 100) / 50, rel=1e-12)


def test_equal_models_do_not_differ(mafn):
    one = mafn[mafn["seed"] == 0]
    for name, metric in compare(one, one.assign(model="rmsin"), **FAST).metrics.items():
        assert (metric.difference, metric.interval) == (0.0, (0.0, 0.0))
        assert (metric.p_value, metric.p_adjusted, metric.effect) == (1.0, 1.0, None)
        assert metric.detectable == 0.0
        assert metric.wins == (None if name == "oIoU" else (0, 60, 0))
    # With seeds nothing differs either, but other seeds might.
    for metric in compare(mafn, mafn.assign(model="rmsin"), **FAST).metrics.values():
        assert (metric.difference, metric.these_models.interval) == (0.0, (0.0, 0.0))
        assert (metric.p_value, metric.these_models.p_value) == (1.0, 1.0)
        assert metric.interval[0] < 0 < metric.interval[1]


def test_a_plain_difference_is_found_and_has_its_sign():
    comparison = compare(sample_table(200, quality=0.3), sample_table(200, model="rmsin"), n_resamples=999)
    for name, metric in comparison.metrics.items():
        assert metric.interval[0] > 0
        assert metric.p_value == pytest.approx(1 / 1000) if "IoU" in name else metric.p_value < 1e-3
    assert comparison.metrics["mIoU"].p_adjusted == 2 / 1000, "the five of P@t come before"


def test_clusters_widen_the_interval_of_dependent_samples():
    # Ten copies of each image say no more than one does.
    a, b = sample_table(30, quality=0.05), sample_table(30, model="rmsin")
    copies = [
        pd.concat([t.assign(ref_id=t["ref_id"] + 1000 * k) for k in range(10)], ignore_index=True)
        for t in (a, b)
    ]
    once = compare(a, b, n_resamples=2000).metrics["mIoU"]
    together = compare(*copies, n_resamples=2000)
    apart = compare(*(t.assign(cluster_id=np.arange(300)) for t in copies), n_resamples=2000)
    assert (together.n, together.n_clusters, apart.n_clusters) == (300, 30, 300)
    assert together.metrics["mIoU"].interval == pytest.approx(once.interval, rel=1e-12)
    assert together.metrics["mIoU"].p_value == once.p_value
    width = [np.ptp(comparison.metrics["mIoU"].interval) for comparison in (together, apart)]
    assert width[0] / width[1] == pytest.approx(10**0.5, rel=0.15)


def test_effect_is_the_paired_t_over_root_n(mafn, rmsin):
    by_sample = [table.groupby("ref_id")["iou"].mean().to_numpy() for table in (mafn, rmsin)]
    t = scipy.stats.ttest_rel(*by_sample).statistic
    metrics = compare(mafn, rmsin, **FAST).metrics
    assert metrics["mIoU"].effect == pytest.approx(t / 60**0.5, rel=1e-9)
    passed = [
        table.assign(hit=10 * table["intersection"] >= 7 * table["union"]).groupby("ref_id")["hit"].mean()
        for table in (mafn, rmsin)
    ]
    t = scipy.stats.ttest_rel(*passed).statistic
    assert metrics["P@0.7"].effect == pytest.approx(t / 60**0.5, rel=1e-9)


def test_the_effect_on_oiou_is_that_of_its_linearisation():
    """The jackknife's pseudo-values of a ratio are its linearised contributions, but for terms of order 1 / n."""
    a, b = sample_table(400, quality=0.05), sample_table(400, model="rmsin")

    def without(table, row):
        rest = table.drop(index=row)
        return rest["intersection"].sum() / rest["union"].sum()

    difference = summarize(a)["oIoU"] / 100 - summarize(b)["oIoU"] / 100
    pseudo = [400 * difference - 399 * (without(a, row) - without(b, row)) for row in range(400)]
    effect = compare(a, b, **FAST).metrics["oIoU"].effect
    assert effect == pytest.approx(np.mean(pseudo) / np.std(pseudo, ddof=1), rel=0.02)


def test_wins_ties_and_losses_are_counted_by_expression():
    a = counts_table([(6, 10), (6, 10), (9, 10), (3, 10)])
    b = counts_table([(5, 10), (6, 10), (4, 10), (4, 10)], model="b")
    metrics = compare(a, b).metrics
    assert metrics["mIoU"].wins == (2, 1, 1)
    assert metrics["P@0.6"].wins == (2, 2, 0)
    assert metrics["P@0.5"].wins == (1, 3, 0)
    assert metrics["oIoU"].wins is None


def test_adjusted_p_values_are_holms_over_the_seven(mafn, rmsin):
    metrics = compare(mafn, rmsin, **FAST).metrics.values()
    assert [metric.p_adjusted for metric in metrics] == holm([metric.p_value for metric in metrics])


def test_seed_and_confidence_matter_and_are_recorded(mafn, rmsin):
    base = compare(mafn, rmsin, **FAST)
    other = compare(mafn, rmsin, seed=1, confidence=0.5, **FAST)
    assert (other.seed, other.confidence, other.resamples, other.permutations) == (1, 0.5, 300, 300)
    assert np.ptp(other.metrics["mIoU"].interval) < np.ptp(base.metrics["mIoU"].interval)
    p_values = [[metric.p_value for metric in one.metrics.values()] for one in (base, other)]
    assert p_values[0] != p_values[1]


def test_few_clusters_are_permuted_exhaustively():
    comparison = compare(sample_table(8), sample_table(8, model="rmsin"))
    assert comparison.permutations == 255
    test = comparison.metrics["mIoU"].test
    assert (
        test == "paired permutation, models swapped within clusters, all 256 swaps of 8 clusters, two-sided"
    )


def test_to_dict_is_json_and_has_the_shared_shape(mafn, rmsin):
    record = compare(mafn, rmsin[rmsin["seed"] == 1], **FAST).to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    metrics = record.pop("metrics")
    assert list(metrics) == list(METRICS)
    assert list(metrics["mIoU"]) == [
        "a", "b", "difference", "interval", "p_value", "p_adjusted", "test", "degrees", "effect", "detectable", "wins",
        "these_models", "mid_p", "wilcoxon",
    ]  # fmt: skip
    assert record == {
        "a": {"model": "mafn", "variant": "full", "seeds": [0, 1]},
        "b": {"model": "rmsin", "variant": "full", "seeds": [1]},
        "split": "test",
        "protocol": "resized",
        "dataset": "mini-rrsis",
        "n": 60,
        "n_clusters": 60,
        "cluster": "cluster_id",
        "paired_on": ["dataset", "split", "protocol", "ref_id", "sentence"],
        "scope": "these trained models",
        "interval_method": "paired percentile bootstrap of clusters",
        "family": "the seven metrics of this comparison",
        "resamples": 300,
        "permutations": 300,
        "seed": 0,
        "confidence": 0.95,
        "warnings": [],
    }


def test_the_result_is_frozen(mafn, rmsin):
    comparison = compare(mafn, rmsin, **FAST)
    with pytest.raises(FrozenInstanceError):
        comparison.n = 1


def test_bare_tables_without_the_optional_columns():
    a = counts_table([(3, 4), (1, 4), (2, 4)])
    b = counts_table([(1, 4), (1, 4), (1, 4)], model="b")
    comparison = compare(a, b)
    assert comparison.metrics["mIoU"].difference == 25.0
    assert comparison.paired_on == ("ref_id", "sentence")
    assert comparison.cluster == "image_id"
    assert (comparison.split, comparison.a.seeds, comparison.a.name) == (None, (), "a")
    json.dumps(comparison.to_dict())


def test_empty_unions_count_zero():
    a = counts_table([(0, 0), (2, 4), (4, 4)])
    b = counts_table([(0, 0), (4, 4), (4, 4)])
    metric = compare(a, b).metrics["mIoU"]
    assert (metric.a, metric.b) == (50.0, pytest.approx(200 / 3))
    nothing = counts_table([(0, 0)] * 3)
    assert compare(nothing, nothing).metrics["oIoU"].difference == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_resamples": 0}, "n_resamples=0: at least 1"),
        ({"n_permutations": 0}, "n_permutations=0"),
        ({"seed": -1}, "seed=-1: 0 or more"),
        ({"confidence": 95}, "confidence=95: between 0 and 1"),
    ],
)
def test_arguments_out_of_range(mafn, rmsin, arguments, message):
    with pytest.raises(HarnessError, match=message):
        compare(mafn, rmsin, **arguments)


def test_a_single_sample_or_cluster_is_an_error():
    one = sample_table(1)
    with pytest.raises(
        HarnessError, match="1 expression in one cluster: an interval or a test needs at least two"
    ):
        compare(one, one)
    copies = sample_table(5, images_a_cluster=5)
    with pytest.raises(HarnessError, match="5 expressions in one cluster"):
        compare(copies, copies)
    with pytest.raises(HarnessError, match="one cluster"):
        summarize_runs(one)


def test_summary_has_the_same_values_and_a_sensible_interval(mafn):
    summary = summarize_runs(mafn, n_resamples=2000, condition="shuffled")
    runs = [summarize(run) for _, run in mafn.groupby("seed")]
    for name, metric in summary.metrics.items():
        assert metric.per_seed == (runs[0][name], runs[1][name])
        assert metric.value == pytest.approx(sum(metric.per_seed) / 2, rel=1e-15)
        assert metric.interval[0] < metric.value < metric.interval[1]
    again = summarize_runs(mafn, n_resamples=2000, seed=1)
    assert again.metrics["mIoU"].interval != summary.metrics["mIoU"].interval
    iou = mafn.groupby("ref_id")["iou"].mean()
    width = 2 * 1.96 * 100 * iou.std() / 60**0.5  # the normal approximation for a mean
    assert np.ptp(summary.metrics["mIoU"].these_models) == pytest.approx(width, rel=0.08)
    assert summary.scope == "models trained this way"
    one = summarize_runs(mafn[mafn["seed"] == 0], n_resamples=2000)
    assert one.scope == "these trained models"
    for metric in one.metrics.values():
        assert metric.interval == metric.these_models
        assert np.ptp(metric.interval_90) < np.ptp(metric.interval)
    record = summary.to_dict()
    assert json.loads(json.dumps(record)) == record
    assert (record["condition"], record["n"], record["n_clusters"]) == ("shuffled", 60, 60)
    assert list(record["metrics"]["mIoU"]) == ["value", "interval", "per_seed", "interval_90", "these_models"]


def test_the_number_of_threads_changes_no_bit():
    code = (
        "import hashlib, json; from sample_tables import sample_table; from harness.statistics import compare\n"
        "a = sample_table(700, seeds=(0, 1, 2), quality=0.02); b = sample_table(700, model='rmsin', seeds=(0, 1, 2))\n"
        "text = json.dumps(compare(a, b, n_resamples=1000).to_dict())\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    digests = set()
    for threads in "12":
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        environment = {**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1
