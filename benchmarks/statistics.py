"""`compare` on tables of RRSIS-D's test size, against scipy's paired bootstrap of one mean; and as a whole process."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from benchmarks import process
from benchmarks.page import Figures
from harness.samples import SCHEMA, write_samples
from harness.statistics import compare

SAMPLES = 3_481
RESAMPLES = 10_000
SEEDS = 3


def run(names: list[str]) -> Figures:
    rng = np.random.default_rng(0)
    union = rng.integers(500, 20_000, SAMPLES)
    a, b = (
        pd.concat([sample_table(rng, union, level, model, seed) for seed in range(SEEDS)], ignore_index=True)
        for model, level in (("a", 0.62), ("b", 0.60))
    )
    single = [table[table["seed"] == 0] for table in (a, b)]
    ours, several = (_seconds(compare, *pair, n_resamples=RESAMPLES) for pair in (single, (a, b)))
    difference = single[0]["iou"].to_numpy() - single[1]["iou"].to_numpy()
    theirs = _seconds(
        scipy.stats.bootstrap,
        (difference,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        batch=500,
        rng=rng,
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{name}.parquet") for name in "ab"]
        for table, file in zip((a, b), files, strict=True):
            write_samples(table, file)
        seconds, _, peak = process.harness("compare", *files)
    yield f"{SAMPLES:,} samples, {RESAMPLES:,} resamples and permutations, seven metrics."
    yield "", "s", "ratio", "MB"
    yield "`compare`, one seed a side", f"{ours:.2f}", f"{ours / theirs:.2f}", ""
    yield f"`compare`, {SEEDS} seeds a side", f"{several:.2f}", f"{several / theirs:.2f}", ""
    yield "scipy's bootstrap of one mean", f"{theirs:.2f}", "1", ""
    yield f"`harness compare`, {SEEDS} seeds", f"{seconds:.2f}", "", f"{peak / 1e6:.0f}"


def _seconds(function, *arguments, **options) -> float:
    """The best of three."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        function(*arguments, **options)
        taken.append(time.perf_counter() - started)
    return min(taken)


def sample_table(
    rng: np.random.Generator, union: np.ndarray, level: float, model: str, seed: int
) -> pd.DataFrame:
    """Per-sample results with these unions, and IoUs of mean `level`."""
    iou = np.clip(rng.beta(2 * level, 2 * (1 - level), len(union)), 0, 1)
    intersection = (iou * union).astype(np.int64)
    table = pd.DataFrame(
        {
            "model": model,
            "variant": "full",
            "seed": seed,
            "dataset": "benchmark",
            "split": "test",
            "protocol": "resized",
            "category": "ship",
            "image_id": np.arange(len(union)),
            "ref_id": np.arange(len(union)),
            "cluster_id": np.arange(len(union)),
            "sentence": "the object",
            "intersection": intersection,
            "union": union,
            "iou": intersection / union,
            "mask_area": union,
            "area_share": union / 230_400,
            "center_x": 0.5,
            "center_y": 0.5,
        }
    )
    return table[SCHEMA.names]
