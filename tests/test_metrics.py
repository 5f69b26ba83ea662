import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco_mask

from harness.errors import HarnessError
from harness.metrics import (
    FEATURES,
    METRICS,
    features,
    intersection_union,
    intersection_union_rle,
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


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def runs_to_rle(runs, size):
    """The encoding of any run lengths, column by column, also of ones that no encoder writes (runs of 0 pixels)."""
    numbers = [run - (runs[at - 2] if at > 2 else 0) for at, run in enumerate(runs)]
    counts = ""
    for number in numbers:
        more = True
        while more:
            group, number = number & 31, number >> 5
            more = number != (-1 if group & 16 else 0)
            counts += chr(group + 32 * more + 48)
    return {"size": size, "counts": counts}


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (23, 31), (200, 150)])
def test_counts_from_run_lengths_are_those_of_the_decoded_masks(shape):
    rng = np.random.default_rng(shape)
    densities = [0.0, 0.02, 0.5, 0.98, 1.0]
    masks = np.stack([rng.random((2, *shape)) < [[[p]], [[q]]] for p in densities for q in densities])
    masks = np.concatenate([masks, masks[:, ::-1], np.stack([masks[:, 0], ~masks[:, 0]], axis=1)])
    counted = intersection_union_rle([encode(mask) for mask in masks[:, 0]], [encode(m) for m in masks[:, 1]])
    for ours, decoded in zip(counted, intersection_union(masks[:, 0], masks[:, 1]), strict=True):
        assert ours.dtype == np.int64
        assert np.array_equal(ours, decoded)


def test_counts_from_run_lengths_by_hand():
    # 3 x 2 pixels, column by column: 0 1 1 | 0 1 0 and 1 1 0 | 0 1 0
    pred, target = runs_to_rle([1, 2, 1, 1, 1], [3, 2]), runs_to_rle([0, 2, 2, 1, 1], [3, 2])
    assert [count.tolist() for count in intersection_union_rle([pred], [target])] == [[2], [4]]
    encoded = {"size": np.array([3, 2]), "counts": target["counts"].encode()}
    assert [count.tolist() for count in intersection_union_rle([pred], [encoded])] == [[2], [4]]
    assert [count.shape for count in intersection_union_rle([], [])] == [(0,), (0,)]


def test_runs_of_no_pixel_count_nothing():
    rle = runs_to_rle([2, 0, 1, 1], [2, 2])  # pycocotools' merge of it with itself is empty
    assert [count.tolist() for count in intersection_union_rle([rle], [rle])] == [[1], [1]]
    rng = np.random.default_rng(0)
    pred, target = (
        [runs_to_rle([*runs, 40 - sum(runs)], [5, 8]) for runs in rng.integers(0, 4, (200, 12)).tolist()]
        for _ in range(2)
    )
    decoded = (np.stack([coco_mask.decode(rle) for rle in rles]).astype(bool) for rles in (pred, target))
    for ours, expected in zip(
        intersection_union_rle(pred, target), intersection_union(*decoded), strict=True
    ):
        assert np.array_equal(ours, expected)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (
            {"size": [4, 5], "counts": encode(np.eye(5, 4))["counts"]},
            r"target\[1\] \(4, 5\) must have the same",
        ),
        (
            {"size": [4, 4], "counts": b"Xe2"},
            r"target\[1\] is no run-length encoded mask: .* do not cover 4 x 4",
        ),
        ({"size": [4, 4], "counts": b""}, "no compressed run-length"),
        ({"size": [4, 4], "counts": b"\xe4\x00"}, "no compressed run-length"),
        ({"size": [4, 4], "counts": "P"}, "middle of a number"),
        (
            {"size": [4, 4], "counts": [0, 16]},
            r"target\[1\] must be .* not {'size': \[4, 4\], 'counts': \[0, 16\]}",
        ),
        ({"size": [4, 4]}, "must be"),
        ({"size": [16], "counts": b"@"}, "must be"),
        ({"size": [-4, -4], "counts": b"@"}, "must be"),
        ({"size": [4.0, 4.0], "counts": b"@"}, "must be"),
        ("@", "must be"),
        (None, "must be"),
    ],
)
def test_what_is_no_run_length_encoding_is_refused(damaged, message):
    sound = encode(np.eye(4))
    with pytest.raises(HarnessError, match=message):
        intersection_union_rle([sound, sound], [sound, damaged])


def test_predicted_encodings_are_checked_as_the_true_ones_are():
    sound = encode(np.eye(4))
    with pytest.raises(HarnessError, match=r"pred\[0\] is no run-length encoded mask"):
        intersection_union_rle([{"size": [4, 5], "counts": sound["counts"]}], [sound])
    with pytest.raises(HarnessError, match="2 predicted and 1 true masks"):
        intersection_union_rle([sound, sound], [sound])


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
