"""The metrics of every table: precision at five thresholds, overall IoU and mean IoU.

The unit is one expression (ref_id, sentence) with the intersection I and the union U of its predicted and true
mask, in pixels. This is the only place where a metric is computed: the bootstrap and the permutation tests sum
the same features of the samples, differently weighted, and turn the sums into metrics with the same function.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import HarnessError

THRESHOLDS = (5, 6, 7, 8, 9)  # tenths, so that IoU >= t is decided between integers
METRICS = (*(f"P@0.{t}" for t in THRESHOLDS), "oIoU", "mIoU")
FEATURES = (*(f"hit@0.{t}" for t in THRESHOLDS), "intersection", "union", "iou", "iou_rest", "counted")
_HITS = slice(0, len(THRESHOLDS))
_INTERSECTION, _UNION, _IOU, _REST, _COUNTED = range(len(THRESHOLDS), len(FEATURES))

Empty = Literal["zero", "one", "skip"]


def intersection_union(pred: Any, target: Any) -> tuple[Any, Any]:
    """Count the pixels in the intersection and in the union of two stacks of masks.

    Args:
        pred: predicted masks, bool [..., H, W], numpy or torch.
        target: true masks, of the same shape and kind.

    Returns:
        (I, U), int64 [...], of the same kind as the masks (and on their device).

    Raises:
        HarnessError: the masks are not boolean, differ in shape or have fewer than two dimensions.
    """
    for name, masks in (("pred", pred), ("target", target)):
        if str(getattr(masks, "dtype", type(masks).__name__)) not in ("bool", "torch.bool"):
            raise HarnessError(
                f"{name} must be boolean masks, not {getattr(masks, 'dtype', type(masks).__name__)}"
            )
    if tuple(pred.shape) != tuple(target.shape) or pred.ndim < 2:
        raise HarnessError(
            f"pred {tuple(pred.shape)} and target {tuple(target.shape)} must have the same shape [..., H, W]"
        )
    intersection = (pred & target).sum((-2, -1))
    return intersection, (pred | target).sum((-2, -1))


def intersection_union_rle(
    pred: Sequence[Mapping[str, Any]], target: Sequence[Mapping[str, Any]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count the pixels of `intersection_union` from run-length encoded masks, without decoding them.

    Two masks are constant between neighbouring run ends of either, so the counts are sums of the lengths of such
    segments. (pycocotools.mask.merge knows this, too, but stops at runs of no pixel that both masks have at the same
    place, though decode reads them.)

    Args:
        pred: n predicted masks in COCO's compressed encoding, {"size": [height, width], "counts": bytes or str}.
        target: n true masks, pairwise of the same size.

    Returns:
        (I, U), int64 [n].

    Raises:
        HarnessError: the numbers of masks or the sizes of a pair differ, or an item is no such encoding of a mask of
            its size.
    """
    if len(pred) != len(target):
        raise HarnessError(f"{len(pred)} predicted and {len(target)} true masks: one of each is a pair")
    counts = np.empty((2, len(pred)), np.int64)
    for number, pair in enumerate(zip(pred, target, strict=True)):
        size_p, ends_p = _run_ends(f"pred[{number}]", pair[0])
        size_t, ends_t = _run_ends(f"target[{number}]", pair[1])
        if size_p != size_t:
            raise HarnessError(
                f"pred[{number}] {size_p} and target[{number}] {size_t} must have the same size"
            )
        bounds = np.unique(np.concatenate([[0], ends_p, ends_t]))
        start, length = bounds[:-1], np.diff(bounds)
        inside_p, inside_t = (  # runs number 1, 3, ... are the object
            np.searchsorted(ends, start, side="right") & 1 for ends in (ends_p, ends_t)
        )
        counts[:, number] = (inside_p & inside_t) @ length, (inside_p | inside_t) @ length
    return counts[0], counts[1]


def _run_ends(name: str, rle: Mapping[str, Any]) -> tuple[tuple[int, int], npt.NDArray[np.int64]]:
    """Return (height, width) and where each run ends, in pixels from the top left, column by column."""
    from harness.data import Rle
    from harness.data.inspection import run_lengths

    try:
        height, width = (operator.index(side) for side in rle["size"])
        counts = rle["counts"]
        text = counts.decode("latin-1") if isinstance(counts, bytes) else counts
        if not isinstance(text, str) or min(height, width) < 0:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise HarnessError(
            f"{name} must be {{'size': [height, width], 'counts': bytes or str}} as COCO compresses a mask, not "
            f"{repr(rle)[:80]}"
        ) from None
    try:
        return (height, width), np.cumsum(run_lengths(Rle(height, width, text)))
    except ValueError as error:
        raise HarnessError(f"{name} is no run-length encoded mask: {error}") from None


def features(
    intersection: npt.NDArray[np.int64], union: npt.NDArray[np.int64], *, empty: Empty = "zero"
) -> npt.NDArray[np.float64]:
    """Return what the metrics sum over samples, so that each metric is a ratio of (weighted) sums.

    Args:
        intersection: I, integers [...].
        union: U, integers [...].
        empty: the IoU of a sample whose union is empty: "zero" (the released convention), "one", or "skip" to
            leave it out of P@t and mIoU. oIoU does not see such a sample.

    Returns:
        float64 [..., 10] in the order of FEATURES. Integers and IoU in two parts, a multiple of 2^-26 and a rest
        that is a multiple of 2^-53: their sums over up to 2^26 samples are exact, hence the same bits in any
        order, on any number of threads.
    """
    if empty not in get_args(Empty):
        raise HarnessError(f"empty={empty!r}: an empty union counts as {', '.join(get_args(Empty))}")
    intersection, union = np.asarray(intersection, np.int64), np.asarray(union, np.int64)
    void = union == 0
    iou = np.where(void, float(empty == "one"), intersection / np.maximum(union, 1))
    matrix = np.empty((*union.shape, len(FEATURES)))
    for column, tenths in enumerate(THRESHOLDS):
        matrix[..., column] = np.where(void, empty == "one", 10 * intersection >= tenths * union)
    matrix[..., _INTERSECTION] = intersection
    matrix[..., _UNION] = union
    matrix[..., _IOU] = np.rint(iou * 2**26) / 2**26
    matrix[..., _REST] = np.rint((iou - matrix[..., _IOU]) * 2**53) / 2**53
    matrix[..., _COUNTED] = ~void if empty == "skip" else 1.0
    return matrix


def metric_values(sums: npt.NDArray[np.float64], *, empty: Empty = "zero") -> npt.NDArray[np.float64]:
    """Turn sums of features into metrics.

    Args:
        sums: features summed over samples, with any weights, [..., 10].
        empty: as given to `features`; oIoU is 0, 100 or NaN when all unions are empty.

    Returns:
        Percent, float64 [..., 7], in the order of METRICS. P@t and mIoU are NaN where no sample is counted.
    """
    values = np.empty((*sums.shape[:-1], len(METRICS)))
    counted, union = sums[..., _COUNTED], sums[..., _UNION]
    with np.errstate(divide="ignore", invalid="ignore"):
        values[..., :5] = 100 * sums[..., _HITS] / counted[..., None]
        values[..., 5] = 100 * sums[..., _INTERSECTION] / union
        values[..., 6] = 100 * (sums[..., _IOU] + sums[..., _REST]) / counted
    values[..., 5][union == 0] = {"zero": 0.0, "one": 100.0, "skip": np.nan}[empty]
    return values


def sample_features(samples: pd.DataFrame, *, empty: Empty = "zero") -> npt.NDArray[np.float64]:
    """Return the features [n, 10] of a per-sample table, from its columns intersection and union alone.

    Raises:
        HarnessError: a column is missing, or a row's counts are missing, fractional, negative or impossible.
    """
    if missing := [name for name in ("intersection", "union") if name not in samples]:
        raise HarnessError(f"the per-sample table lacks the column {', '.join(missing)}")
    counts = samples[["intersection", "union"]].to_numpy(dtype=np.float64, na_value=np.nan)
    intersection, union = counts[:, 0], counts[:, 1]
    wrong = ~(
        (intersection >= 0)
        & (intersection <= union)
        & (union < 2**53)
        & (np.rint(counts) == counts).all(axis=1)
    )
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        where = f"row {row}" + (f" (ref_id {samples['ref_id'].iloc[row]})" if "ref_id" in samples else "")
        raise HarnessError(
            f"{where} of the per-sample table: intersection {counts[row, 0]:g} and union {counts[row, 1]:g} cannot "
            "be; they are pixels, 0 <= intersection <= union. Evaluate the run again"
        )
    return features(intersection.astype(np.int64), union.astype(np.int64), empty=empty)


def summarize(samples: pd.DataFrame, *, empty: Empty = "zero") -> dict[str, float]:
    """Return the seven metrics of a per-sample table, in percent, and "n", the number of samples counted.

    Args:
        samples: columns intersection and union, one row an expression, in any order.
        empty: what an empty union counts, see `features`; under "skip" n leaves those samples out.

    Raises:
        HarnessError: no sample is left to count, or the counts cannot be.
    """
    sums = sample_features(samples, empty=empty).sum(axis=0)
    if sums[_COUNTED] == 0:
        raise HarnessError(
            f"no sample to summarize: the table has {len(samples)} rows"
            + (", all with an empty union, which empty='skip' leaves out" if len(samples) else "")
        )
    values = metric_values(sums, empty=empty)
    return {**dict(zip(METRICS, values.tolist(), strict=True)), "n": int(sums[_COUNTED])}
