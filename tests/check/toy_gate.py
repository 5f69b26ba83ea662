"""Evaluated profiles for the gate, made from small masks without a network."""

import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner
from pycocotools import mask as coco_mask

from harness.commands.check import command
from harness.config import Params, load_params
from harness.data.prepare import SCHEMA as SPLIT_SCHEMA
from harness.data.prepare import SCHEMA_KEY, SCHEMA_VERSION
from harness.errors import HarnessError
from harness.files import atomic_write
from harness.metrics import intersection_union
from harness.samples import SCHEMA, write_samples

PROJECT = Path(__file__).parents[2]
VARIANTS = {"lavt-full": 0.0, "rmsin-full": 0.02, "mafn-full": 0.1}  # and their quality
SIDE = 32
SEED_SD = 0.03  # of the share of a mask that a network finds


def check(params, reference, *arguments):
    """Run `harness check`; a HarnessError is raised."""
    result = CliRunner().invoke(
        command, ["--params", str(params.params), "--reference", str(reference), *map(str, arguments)]
    )
    if isinstance(result.exception, HarnessError):
        raise result.exception
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def profile(folder: Path, name="toy", *, seeds=(0, 1), n=80, quality=None, **changes) -> Params:
    """Write params.yaml and the evaluated runs of Table I.

    Args:
        folder: where.
        name: of the profile.
        seeds: of each variant.
        n: expressions; two of them have an empty true mask and an empty prediction, as U = 0 asks for a convention.
        quality: by variant, what is added to the share of each mask that is found.
        changes: replace top-level sections of params.yaml.
    """
    content = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    content |= {
        "profile": name,
        "out": str(folder / "out"),
        "params": str(folder / "params.yaml"),
        "image_size": SIDE,
        "runs": {
            f"{variant}-s{seed}": {"variant": variant, "seed": seed} for variant in VARIANTS for seed in seeds
        },
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    params = load_params(folder / "params.yaml")
    truth = true_masks(n)
    write_split(params, truth)
    for variant, better in VARIANTS.items():
        for seed in seeds:
            write_run(params, f"{variant}-s{seed}", truth, better + (quality or {}).get(variant, 0.0))
    return params


def true_masks(n: int) -> np.ndarray:
    """Rectangles, bool [n, SIDE, SIDE]; the first two are empty."""
    rng = np.random.default_rng(n)
    masks = np.zeros((n, SIDE, SIDE), dtype=bool)
    for mask in masks[2:]:
        top, left = rng.integers(0, SIDE - 12, 2)
        height, width = rng.integers(5, 13, 2)
        mask[top : top + height, left : left + width] = True
    masks[2] = False
    masks[2, 4:10, 4:10] = True  # 36 pixels, so that half of them is an IoU of 0.5
    return masks


def predictions(truth: np.ndarray, name: str, quality: float) -> np.ndarray:
    """The first pixels of each true mask, as many as the network "finds"; IoU 0.5 exactly, for one of them."""
    images = np.random.default_rng(len(truth)).uniform(0.35, 0.9, len(truth))
    own = np.random.default_rng(zlib.crc32(name.encode()))
    shares = np.clip(images + quality + own.normal(0, SEED_SD) + own.normal(0, 0.05, len(truth)), 0, 1)
    shares[2] = 0.5
    masks = np.zeros_like(truth)
    for mask, true, share in zip(masks, truth, shares, strict=True):
        pixels = np.flatnonzero(true)
        mask.flat[pixels[: round(share * len(pixels))]] = True
    return masks


def write_run(params: Params, name: str, truth: np.ndarray, quality: float) -> None:
    """Write test.resized.parquet and predictions.parquet of a run."""
    run = params.runs[name]
    predicted = predictions(truth, name, quality)
    intersection, union = intersection_union(predicted, truth)
    rows = np.arange(len(truth))
    table = pd.DataFrame(
        {
            "model": run.variant.partition("-")[0],
            "variant": run.variant.partition("-")[2],
            "seed": run.seed,
            "split": "test",
            "protocol": "resized",
            "dataset": params.data.dataset,
            "image_id": rows,
            "ref_id": rows + 1000,
            "sentence": [f"The ship number {row}" for row in rows],
            "category": "ship",
            "intersection": intersection,
            "union": union,
            "iou": intersection / np.maximum(union, 1),
            "mask_area": truth.sum((1, 2)),
            "area_share": truth.mean((1, 2)),
            "center_x": 0.5,
            "center_y": 0.5,
            "cluster_id": rows // 2,
        }
    )
    write_samples(table[SCHEMA.names], table_path(params, name))
    masks = {
        "ref_id": rows + 1000,
        "sentence": table["sentence"],
        "prediction": [encoded(mask) for mask in predicted],
        "height": SIDE,
        "width": SIDE,
    }
    with atomic_write(params.run_dir(name) / "predictions.parquet") as temporary:
        pq.write_table(pa.Table.from_pandas(pd.DataFrame(masks), preserve_index=False), temporary)


def write_split(params: Params, truth: np.ndarray) -> None:
    """Write the prepared test split, without images."""
    rows = np.arange(len(truth))
    columns = {
        "ref_id": rows + 1000,
        "sentence": [f"The ship number {row}" for row in rows],
        "height": np.full(len(rows), SIDE, np.int32),
        "width": np.full(len(rows), SIDE, np.int32),
        "mask_counts": [encoded(mask) for mask in truth],
    }
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.array([0 if pa.types.is_integer(field.type) else b""] * len(rows)).cast(field.type)
        for field in SPLIT_SCHEMA
    ]
    schema = SPLIT_SCHEMA.with_metadata({SCHEMA_KEY: json.dumps({"version": SCHEMA_VERSION}).encode()})
    with (
        atomic_write(params.split_file("test")) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def table_path(params: Params, run: str) -> Path:
    return params.run_dir(run) / "test.resized.parquet"


def encoded(mask: np.ndarray) -> str:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
