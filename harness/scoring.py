"""Logits of a batch and the true masks in, the measured columns of the per-sample table out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor

from harness.data.dataset import ExpressionDataset
from harness.metrics import intersection_union


@dataclass(frozen=True)
class Scored:
    """One row of a split: its measured columns by protocol, and the resized prediction as COCO RLE counts."""

    row: int
    measured: dict[str, dict[str, float]]
    prediction: bytes


def score_batch(
    rows: Sequence[int], logits: Tensor, dataset: ExpressionDataset, protocols: Sequence[str]
) -> Iterator[Scored]:
    """Score the logits (B, 2, S, S) of B rows of a split."""
    for row, sample, resized in zip(rows, logits, resized_prediction(logits), strict=True):
        measured = {}
        for protocol in protocols:
            if protocol == "resized":
                target = dataset.resized_mask(row).astype(bool)
                predicted = resized
            else:
                target = dataset.native_mask(row).astype(bool)
                predicted = native_prediction(sample, *target.shape)
            measured[protocol] = score(predicted, target)
        yield Scored(row, measured, encode_mask(resized))


def resized_prediction(logits: Tensor) -> np.ndarray:
    """Protocol `resized`: the predicted masks at the network's input size, bool (B, S, S)."""
    return object_pixels(logits).cpu().numpy()


def native_prediction(logits: Tensor, height: int, width: int) -> np.ndarray:
    """Protocol `native`: one sample's logits (2, S, S), bilinear to the mask's size, argmax."""
    resized = F.interpolate(logits[None], size=(height, width), mode="bilinear", align_corners=False)
    return object_pixels(resized)[0].cpu().numpy()


def object_pixels(logits: Tensor) -> Tensor:
    """The argmax of two classes, (B, 2, H, W) to bool (B, H, W): a tie is background, as argmax has it."""
    return logits[:, 1] > logits[:, 0]


def score(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The measured columns of one row: counts, IoU, and the true mask's size and place."""
    intersection, union = (int(count) for count in intersection_union(predicted, target))
    height, width = target.shape
    area = int(target.sum())
    center_x = center_y = float("nan")
    if area:
        center_x = float((target.sum(0) * (np.arange(width) + 0.5)).sum() / area / width)
        center_y = float((target.sum(1) * (np.arange(height) + 0.5)).sum() / area / height)
    return {
        "intersection": intersection,
        "union": union,
        "iou": intersection / union if union else 0.0,
        "mask_area": area,
        "area_share": area / (height * width),
        "center_x": center_x,
        "center_y": center_y,
    }


def encode_mask(mask: np.ndarray) -> bytes:
    """COCO run-length counts of a bool mask (H, W)."""
    counts: bytes = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts
