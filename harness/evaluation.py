"""A network and a prepared split in, a per-sample table out.

`evaluate_run` is the `evaluate` stage of one run. Into the run's folder it writes

    {val,test}.{resized,native}.parquet   per-sample tables
    test-shuffled.resized.parquet         the same with sentences shuffled between images
    predictions.parquet                   the masks of test at the network's input size, run-length encoded
    metrics.json                          the summaries, for `dvc metrics`
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor, nn

from harness.config import Params
from harness.data.dataset import ExpressionDataset, normalize, open_dataset
from harness.data.loader import batches_in_order
from harness.files import atomic_write, write_json
from harness.metrics import intersection_union, summarize
from harness.progress import Progress
from harness.samples import SCHEMA, write_samples
from harness.training.checkpoint import build_network, checkpoint_file, load_checkpoint, pick_device

EVALUATED_SPLITS = ("val", "test")
SHUFFLE_SEED = 0  # which sentences go with which images is the same for every run


@dataclass(frozen=True)
class Identity:
    """The columns that are the same for every row of a run's table."""

    model: str
    variant: str
    seed: int
    dataset: str

    @classmethod
    def of(cls, params: Params, name: str) -> "Identity":
        """The identity of the run `name` of params.yaml."""
        run = params.runs[name]
        model, variant = run.variant.split("-", 1)
        return cls(model, variant, run.seed, params.data.dataset)


def evaluate_run(params: Params, name: str) -> None:
    """Evaluate the checkpoint of the run `name` of params.yaml on val, test, and test with shuffled sentences."""
    identity = Identity.of(params, name)
    device = pick_device()
    model = build_network(params, params.runs[name]).to(device)
    load_checkpoint(model, checkpoint_file(params, name))
    batch_size = params.evaluation.batch_size
    workers = params.training.workers  # no dependency of the stage: it changes no result
    summaries: dict[str, dict[str, dict[str, float]]] = {}
    for split in EVALUATED_SPLITS:
        dataset = open_dataset(params, split)
        batches = predict(model, dataset, batch_size, device, workers=workers, label=f"{name} {split}")
        tables, predictions = evaluate(batches, dataset, identity, split, params.evaluation.protocols)
        summaries[split] = write_tables(params, name, split, tables)
    write_predictions(params, name, dataset, predictions)

    text_rows = shuffled_rows(len(dataset), np.random.default_rng(SHUFFLE_SEED))
    batches = predict(
        model, dataset, batch_size, device, text_rows=text_rows, workers=workers, label=f"{name} shuffled"
    )
    tables, _ = evaluate(batches, dataset, identity, "test", ["resized"])
    summaries["test-shuffled"] = write_tables(params, name, "test-shuffled", tables)
    write_json(params.run_dir(name) / "metrics.json", summaries)
    measured = summaries["test"]["resized"]
    print(
        f"{name}: test mIoU {measured['mIoU']:.2f}, oIoU {measured['oIoU']:.2f}, with shuffled sentences "
        f"{summaries['test-shuffled']['resized']['mIoU']:.2f}",
        flush=True,
    )


def write_tables(
    params: Params, name: str, stem: str, tables: dict[str, pd.DataFrame]
) -> dict[str, dict[str, float]]:
    """Write `<stem>.<protocol>.parquet` of a run; return the summary of each protocol."""
    shuffled = stem.endswith("-shuffled")
    for protocol, table in tables.items():
        write_samples(table, params.run_dir(name) / f"{stem}.{protocol}.parquet", shuffled=shuffled)
    return {protocol: summarize(table) for protocol, table in tables.items()}


def write_predictions(
    params: Params, name: str, dataset: ExpressionDataset, predictions: list[bytes]
) -> None:
    """Write the resized predictions of a split, in its order."""
    table = dataset.table.select(["ref_id", "sentence"]).combine_chunks()
    side = pa.array([params.image_size] * len(dataset), pa.int32())
    columns = {
        "ref_id": table["ref_id"],
        "sentence": table["sentence"],
        "prediction": pa.array([counts.decode() for counts in predictions]),
        "height": side,
        "width": side,
    }
    with atomic_write(params.run_dir(name) / "predictions.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def predict(
    model: nn.Module,
    dataset: ExpressionDataset,
    batch_size: int,
    device: torch.device,
    *,
    text_rows: np.ndarray | None = None,
    workers: int = 0,
    label: str | None = None,
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield (rows, logits (B, 2, S, S)) for the whole split in order, batches fixed by index.

    Args:
        model: called as model(image, input_ids, attention_mask), in eval mode while this runs.
        dataset: the split.
        batch_size: samples a batch.
        device: where the model is.
        text_rows: the row whose sentence goes with image i, to shuffle sentences between images; None: its own.
        workers: processes that decode images; 0: this one.
        label: of a progress display; None for none.
    """
    was_training = model.training
    model.eval()
    rows_of_text = np.arange(len(dataset)) if text_rows is None else text_rows
    with Progress(label, len(dataset), "expressions") if label else nullcontext() as progress:
        for batch in batches_in_order(dataset, batch_size, workers=workers, device=device):
            rows: list[int] = batch["index"].tolist()
            text = torch.from_numpy(rows_of_text[rows])
            with torch.inference_mode():
                logits = model(
                    normalize(batch["image"]),
                    dataset.input_ids[text].to(device),
                    dataset.attention_mask[text].to(device),
                )
            yield rows, logits
            if progress is not None:
                progress.advance(units=len(rows))
    model.train(was_training)


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


def evaluate(
    batches: Iterator[tuple[list[int], Tensor]],
    dataset: ExpressionDataset,
    identity: Identity,
    split: str,
    protocols: Sequence[str],
) -> tuple[dict[str, pd.DataFrame], list[bytes]]:
    """Score predictions.

    Args:
        batches: rows of the split and their logits, as `predict` yields them.
        dataset: the split.
        identity: the constant columns.
        split: "train", "val" or "test".
        protocols: "resized", "native" or both; scored from the same logits.

    Returns:
        The per-sample table of each protocol, and the resized predictions as COCO RLE counts, in the split's order.
    """
    scores: dict[str, list[dict[str, float]]] = {protocol: [] for protocol in protocols}
    predictions: list[bytes] = []
    for rows, logits in batches:
        resized = resized_prediction(logits)
        predictions += [encode_mask(mask) for mask in resized]
        for position, row in enumerate(rows):
            for protocol in protocols:
                if protocol == "resized":
                    target = dataset.resized_mask(row).astype(bool)
                    predicted = resized[position]
                else:
                    target = dataset.native_mask(row).astype(bool)
                    predicted = native_prediction(logits[position], *target.shape)
                scores[protocol].append(score(predicted, target))
    return {
        protocol: sample_table(scores[protocol], dataset, identity, split, protocol) for protocol in protocols
    }, predictions


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


def sample_table(
    scores: list[dict[str, float]], dataset: ExpressionDataset, identity: Identity, split: str, protocol: str
) -> pd.DataFrame:
    """Join measured columns with the split's own."""
    described = dataset.table.select(["image_id", "ref_id", "sentence", "category", "cluster_id"]).to_pandas()
    constant = {
        "model": identity.model,
        "variant": identity.variant,
        "seed": identity.seed,
        "split": split,
        "protocol": protocol,
        "dataset": identity.dataset,
    }
    return pd.concat([described, pd.DataFrame(scores)], axis=1).assign(**constant)[SCHEMA.names]


def encode_mask(mask: np.ndarray) -> bytes:
    """COCO run-length counts of a bool mask (H, W)."""
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]


def shuffled_rows(count: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of range(count) without a fixed point: every image gets another image's sentence."""
    order = rng.permutation(count)
    rows = np.empty(count, dtype=np.int64)
    rows[order] = np.roll(order, 1)
    return rows
