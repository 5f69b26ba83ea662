"""Predictors that look at neither image nor sentence: what a trained network has to beat.

They are runs like any other: trivial-empty-s0, trivial-whole-s0 and trivial-mean-s0.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from harness.config import Params
from harness.data.dataset import ExpressionDataset, open_dataset
from harness.evaluation import EVALUATED_SPLITS, Identity, evaluate, write_tables
from harness.progress import Progress

PREDICTORS = ("empty", "whole", "mean")
THRESHOLDS = np.linspace(0.01, 0.6, 60)  # on the share of train masks that cover a pixel
MASKS_A_BLOCK = 128  # bounds memory: 128 masks of 480 x 480 in float32 are 118 MB


def evaluate_trivial(params: Params) -> None:
    """Write the per-sample tables of the empty mask, the whole image and the mean train mask."""
    side = params.image_size
    score = {  # of class 1, against 0 for class 0: positive means object
        "empty": torch.full((side, side), -1.0),
        "whole": torch.full((side, side), 1.0),
        "mean": torch.from_numpy(mean_train_mask(open_dataset(params, "train"))),
    }
    for split in EVALUATED_SPLITS:
        dataset = open_dataset(params, split)
        for predictor in PREDICTORS:
            identity = Identity("trivial", predictor, 0, params.data.dataset)
            batches = _constant(score[predictor], len(dataset), params.evaluation.batch_size)
            tables, _ = evaluate(batches, dataset, identity, split, params.evaluation.protocols)
            measured = write_tables(params, f"trivial-{predictor}-s0", split, tables)
            print(f"trivial-{predictor} on {split}: mIoU {measured['resized']['mIoU']:.2f}", flush=True)


def mean_train_mask(dataset: ExpressionDataset) -> np.ndarray:
    """Mean of the train masks minus the threshold at which it predicts the train masks best (by mIoU).

    Returns:
        float32 (S, S), positive where the predictor says object. A threshold of one half would leave it empty: hardly
        a pixel belongs to the object in half of the images.
    """
    total = np.zeros(dataset.image_size**2)
    for block in _mask_blocks(dataset, "mean train mask"):
        total += block.sum(0)
    mean = total / len(dataset)
    candidates = (mean > THRESHOLDS[:, None]).astype(np.float32)
    iou_sum = np.zeros(len(THRESHOLDS))
    for block in _mask_blocks(dataset, "its threshold"):
        intersection = block @ candidates.T
        union = block.sum(1, keepdims=True) + candidates.sum(1) - intersection
        iou_sum += (intersection / np.maximum(union, 1)).sum(0)
    side = dataset.image_size
    logits: np.ndarray = mean - THRESHOLDS[iou_sum.argmax()]
    return logits.reshape(side, side).astype(np.float32)


def _mask_blocks(dataset: ExpressionDataset, label: str) -> Iterator[np.ndarray]:
    with Progress(label, len(dataset), "masks") as progress:
        for start in range(0, len(dataset), MASKS_A_BLOCK):
            rows = range(start, min(start + MASKS_A_BLOCK, len(dataset)))
            yield np.stack([dataset.resized_mask(row).reshape(-1) for row in rows]).astype(np.float32)
            progress.advance(units=len(rows))


def _constant(score: Tensor, count: int, batch_size: int) -> Iterator[tuple[list[int], Tensor]]:
    logits = torch.stack((torch.zeros_like(score), score))
    for start in range(0, count, batch_size):
        rows = list(range(start, min(start + batch_size, count)))
        yield rows, logits.expand(len(rows), *logits.shape)
