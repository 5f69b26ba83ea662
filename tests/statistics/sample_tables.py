"""Per-sample tables for the tests, and a profile whose runs are all "evaluated"."""

import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from harness.config import Params, load_params
from harness.samples import SCHEMA, write_samples

PROJECT = Path(__file__).parents[2]
TRIVIAL = ("empty", "whole", "mean")


def sample_table(
    n=60,
    *,
    model="mafn",
    variant="full",
    seeds=(0,),
    split="test",
    protocol="resized",
    quality=0.0,
    images_a_cluster=1,
    noise=0.15,
):
    """Draw a table; tables of equal n and split have the same expressions, true masks and difficulty."""
    images = np.random.default_rng([n, zlib.crc32(split.encode())])
    difficulty = images.beta(2, 1.2, n) * (images.random(n) > 0.15)
    mask_area = images.integers(20, 4000, n)
    layers = []
    for seed in seeds:
        own = np.random.default_rng(
            zlib.crc32(f"{model} {variant} {seed} {split} {protocol} {quality}".encode())
        )
        intersection = (mask_area * np.clip(difficulty + quality + own.normal(0, noise, n), 0, 1)).astype(int)
        union = mask_area + (mask_area * own.uniform(0, 0.2, n)).astype(int)
        layers.append(
            pd.DataFrame(
                {
                    "model": model,
                    "variant": variant,
                    "seed": seed,
                    "split": split,
                    "protocol": protocol,
                    "dataset": "mini-rrsis",
                    "image_id": np.arange(n),
                    "ref_id": np.arange(n) + 1000,
                    "sentence": [f"The ship number {row}" for row in range(n)],
                    "category": "ship",
                    "intersection": intersection,
                    "union": union,
                    "iou": intersection / union,
                    "mask_area": mask_area,
                    "area_share": mask_area / 10_000,
                    "center_x": 0.5,
                    "center_y": 0.5,
                    "cluster_id": np.arange(n) // images_a_cluster,
                }
            )
        )
    return pd.concat(layers, ignore_index=True)[SCHEMA.names]


def counts_table(pairs, *, model="a", clusters=None, seed=None):
    """A table with only what `compare` needs, from (intersection, union) pairs."""
    table = pd.DataFrame(pairs, columns=["intersection", "union"])
    table = table.assign(
        model=model, ref_id=np.arange(len(table)), sentence="it", image_id=np.arange(len(table))
    )
    if clusters is not None:
        table["cluster_id"] = clusters
    return table if seed is None else table.assign(seed=seed)


def evaluated_profile(folder: Path, *, n=40, resamples=200) -> Params:
    """Write the project's params.yaml into `folder` and the tables of all its runs and trivial predictors."""
    params = _write_params(PROJECT / "params.yaml", folder, resamples)
    runs = [(name, *run.variant.split("-"), run.seed) for name, run in params.runs.items()]
    runs += [(f"trivial-{predictor}-s0", "trivial", predictor, 0) for predictor in TRIVIAL]
    for name, model, variant, seed in runs:
        quality = -0.6 if model == "trivial" else {"lavt": 0.0, "rmsin": 0.02, "mafn": 0.2}[model]
        same = {"model": model, "variant": variant, "seeds": (seed,)}
        for split in ("val", "test"):
            for protocol in ("resized", "native"):
                table = sample_table(n, split=split, protocol=protocol, quality=quality, **same)
                write_samples(table, params.run_dir(name) / f"{split}.{protocol}.parquet")
        if model != "trivial":
            table = sample_table(n, quality=quality - 0.5, **same)
            write_samples(table, params.run_dir(name) / "test-shuffled.resized.parquet")
    return params


def copied_profile(params: Params, folder: Path, *, resamples=2) -> Params:
    """Copy an evaluated profile to `folder`, to damage the copy."""
    shutil.copytree(params.out, folder / "out")
    return _write_params(params.params, folder, resamples)


def _write_params(source: Path, folder: Path, resamples: int) -> Params:
    content = yaml.safe_load(source.read_text(encoding="utf-8"))
    content["out"] = str(folder / "out")
    content["params"] = str(folder / "params.yaml")
    content["statistics"] = {"resamples": resamples, "permutations": resamples, "seed": 0, "confidence": 0.95}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_params(folder / "params.yaml")


def without(params: Params, run: str) -> None:
    """Remove what a run's evaluation wrote."""
    shutil.rmtree(params.run_dir(run))
