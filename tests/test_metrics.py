import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from harness.errors import HarnessError
from harness.metrics import (
    FEATURES,
    METRICS,
    features,
    intersection_union,
    metric_values,
    sample_features,
    summarize,
)


def table(pairs):
    return pd.DataFrame(pairs, columns=["intersection", "union"])


def random_table(seed, n):
    rng = np.random.default_rng(seed)
    union = rng.integers(0, 5000, n)
    return table(np.stack([(union * rng.random(n)).astype(int), union], axis=1))


def test_intersection_union_counts_pixels_of_drawn_rectangles():
    pred = np.zeros((2, 6, 8), dtype=bool)
    target = np.zeros((2, 6, 8), dtype=bool)
    pred[0, 1:4, 2:6] = True  # 12 pixels
    target[0, 2:6, 4:8] = True  # 16 pixels, 2 x 2 shared
    intersection, union = intersection_union(pred, target)
    assert intersection.tolist() == [4, 0]
    assert union.tolist() == [24, 0]
    assert intersection.dtype == union.dtype == np.int64


def test_intersection_union_of_one_mask_is_a_pair_of_integers():
    square = np.ones((3, 5), dtype=bool)
    intersection, union = intersection_union(square, ~square)
    assert (int(intersection), int(union)) == (0, 15)


def test_intersection_union_of_torch_is_that_of_numpy():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    pred, target = rng.random((2, 3, 2, 17, 23)) < 0.4
    expected = intersection_union(pred, target)
    counted = intersection_union(torch.from_numpy(pred), torch.from_numpy(target))
    for ours, reference in zip(counted, expected, strict=True):
        assert ours.dtype == torch.int64
        assert np.array_equal(ours.numpy(), reference)


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), bool), "pred must be boolean masks, not float64"),
        (np.zeros((2, 2), bool), np.zeros((2, 2), np.uint8), "target must be boolean masks, not uint8"),
        (np.zeros((2, 2), bool), np.zeros((2, 3), bool), r"\(2, 2\) and target \(2, 3\)"),
        (np.zeros(4, bool), np.zeros(4, bool), "same shape"),
    ],
)
def test_intersection_union_refuses_what_is_no_pair_of_masks(pred, target, message):
    with pytest.raises(HarnessError, match=message):
        intersection_union(pred, target)


def test_summary_by_hand():
    # IoU 0.5, 0.9, 0.25, 0.8
    summary = summarize(table([(1, 2), (9, 10), (25, 100), (4, 5)]))
    assert summary == {
        "P@0.5": 75.0, "P@0.6": 50.0, "P@0.7": 50.0, "P@0.8": 50.0, "P@0.9": 25.0,
        "oIoU": pytest.approx(100 * 39 / 117), "mIoU": pytest.approx(61.25), "n": 4,
    }  # fmt: skip
    assert list(summary) == [*METRICS, "n"]


@pytest.mark.parametrize("tenths", [5, 6, 7, 8, 9])
def test_a_sample_exactly_on_a_threshold_passes_and_one_pixel_less_does_not(tenths):
    # 0.7 in floating point is above 7/10 of many unions, so a division would lose some of these.
    union = np.arange(10, 4001, 10)
    on = tenths * union // 10
    name = f"P@0.{tenths}"
    assert summarize(table(np.stack([on, union], axis=1)))[name] == 100.0
    assert summarize(table(np.stack([on - 1, union], axis=1)))[name] == 0.0


def test_mean_iou_against_exact_fractions():
    samples = random_table(1, 300)
    exact = sum(Fraction(int(i), max(int(u), 1)) for i, u in samples.to_numpy()) / len(samples)
    assert summarize(samples)["mIoU"] == pytest.approx(float(100 * exact), rel=1e-15)


def test_the_order_of_the_samples_changes_no_bit():
    samples = random_table(2, 5000)
    shuffled = samples.sample(frac=1, random_state=1)
    assert summarize(shuffled) == summarize(samples)


def test_weighted_sums_are_exact_whatever_the_order():
    matrix = sample_features(random_table(3, 4000))
    weights = np.random.default_rng(0).integers(0, 6, len(matrix)).astype(float)
    backwards = (weights[::-1][None] @ matrix[::-1])[0]
    one_by_one = np.zeros(len(FEATURES))
    for weight, row in zip(weights, matrix, strict=True):
        one_by_one += weight * row
    assert np.array_equal(weights @ matrix, backwards)
    assert np.array_equal(weights @ matrix, one_by_one)


def test_a_weight_counts_a_sample_so_many_times():
    samples = random_table(4, 50)
    weights = np.random.default_rng(1).integers(0, 4, 50)
    repeated = samples.loc[np.repeat(samples.index, weights)]
    values = metric_values(weights.astype(float) @ sample_features(samples))
    assert dict(zip(METRICS, values, strict=True)) == {name: summarize(repeated)[name] for name in METRICS}


def test_adding_a_sample_moves_the_mean_as_arithmetic_says():
    samples = random_table(5, 99)
    before = summarize(samples)
    after = summarize(pd.concat([samples, table([(3, 4)])]))
    assert after["mIoU"] == pytest.approx((99 * before["mIoU"] + 75) / 100, rel=1e-14)
    assert after["P@0.7"] == pytest.approx((99 * before["P@0.7"] + 100) / 100, rel=1e-14)
    assert after["P@0.8"] == pytest.approx(99 * before["P@0.8"] / 100, rel=1e-14)


@pytest.mark.parametrize(("empty", "expected", "n"), [("zero", 30.0, 4), ("one", 55.0, 4), ("skip", 40.0, 3)])
def test_the_three_conventions_for_an_empty_union(empty, expected, n):
    samples = table([(0, 0), (5, 10), (7, 10), (0, 3)])
    summary = summarize(samples, empty=empty)
    assert summary["mIoU"] == pytest.approx(expected)
    assert summary["n"] == n
    assert summary["oIoU"] == pytest.approx(100 * 12 / 23)
    assert summary["P@0.9"] == (25.0 if empty == "one" else 0.0)


@pytest.mark.parametrize(("empty", "value"), [("zero", 0.0), ("one", 100.0)])
def test_all_unions_empty(empty, value):
    summary = summarize(table([(0, 0), (0, 0)]), empty=empty)
    assert summary == {**dict.fromkeys(METRICS, value), "n": 2}


def test_no_sample_left_is_an_error():
    with pytest.raises(HarnessError, match="the table has 0 rows"):
        summarize(table(np.empty((0, 2))))
    with pytest.raises(HarnessError, match="2 rows, all with an empty union, which empty='skip' leaves out"):
        summarize(table([(0, 0), (0, 0)]), empty="skip")


@pytest.mark.parametrize("bad", [(np.nan, 3), (2.5, 3), (-1, 3), (4, 3), (0, np.inf)])
def test_impossible_counts_are_an_error_that_names_the_row(bad):
    samples = table([(1, 2), bad]).assign(ref_id=[7, 8])
    with pytest.raises(HarnessError, match=r"row 1 \(ref_id 8\)"):
        summarize(samples)


def test_missing_column_and_unknown_convention():
    with pytest.raises(HarnessError, match="lacks the column union"):
        summarize(pd.DataFrame({"intersection": [1]}))
    with pytest.raises(HarnessError, match="empty='nan': an empty union counts as zero, one, skip"):
        summarize(table([(1, 2)]), empty="nan")


def test_features_keep_the_shape_of_runs_and_samples():
    union = np.full((3, 4), 10)
    matrix = features(np.zeros((3, 4), int), union)
    assert matrix.shape == (3, 4, len(FEATURES))
    assert metric_values(matrix.sum(axis=1)).shape == (3, len(METRICS))


def test_metrics_and_statistics_import_no_torch():
    code = "import sys, harness.metrics, harness.statistics, harness.statistics.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
