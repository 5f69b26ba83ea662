"""`compare` on tables of RRSIS-D's test size, against scipy's paired bootstrap of one mean; and as a whole process."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from harness.samples import SCHEMA, write_samples
from harness.statistics import compare

SAMPLES = 3_481
RESAMPLES = 10_000
SEEDS = 3


def run(names: list[str]) -> None:
    rng = np.random.default_rng(0)
    union = rng.integers(500, 20_000, SAMPLES)
    a, b = (
        pd.concat([_table(rng, union, level, model, seed) for seed in range(SEEDS)], ignore_index=True)
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
        seconds, peak = process("compare", *files)
    print(f"{SAMPLES:,} samples, {RESAMPLES:,} resamples and permutations, seven metrics")
    print(f"compare, one seed a side                                     {ours:6.2f} s")
    print(f"compare, three seeds a side                                  {several:6.2f} s")
    print(f"scipy.stats.bootstrap: the interval of one mean              {theirs:6.2f} s")
    print(f"ratio, one seed a side                                       {ours / theirs:6.2f}")
    print(
        f"`harness compare` of two files, three seeds, as a process    {seconds:6.2f} s, {peak / 1e6:.0f} MB at most"
    )


def _seconds(function, *arguments, **options) -> float:
    """The best of three."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        function(*arguments, **options)
        taken.append(time.perf_counter() - started)
    return min(taken)


MEASURE = """
import os, sys, time
started = time.perf_counter()
away = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
number = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=away)
_, status, usage = os.wait4(number, 0)
print(time.perf_counter() - started, usage.ru_maxrss * 1024, status)
"""


def process(*arguments: str) -> tuple[float, int]:
    """Seconds and peak bytes of `harness ARGUMENTS`.

    Started by a small process: the peak of a process begins with that of the one that starts it.
    """
    command = [sys.executable, "-S", "-c", MEASURE, sys.executable, "-m", "harness", *arguments]
    seconds, peak, status = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert status == "0"
    return float(seconds), int(peak)


def _table(rng: np.random.Generator, union: np.ndarray, level: float, model: str, seed: int) -> pd.DataFrame:
    iou = np.clip(rng.beta(2 * level, 2 * (1 - level), SAMPLES), 0, 1)
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
            "image_id": np.arange(SAMPLES),
            "ref_id": np.arange(SAMPLES),
            "cluster_id": np.arange(SAMPLES),
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
