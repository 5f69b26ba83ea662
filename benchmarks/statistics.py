"""`compare` on tables of RRSIS-D's test size, against scipy's paired bootstrap of one mean."""

import time

import numpy as np
import pandas as pd
import scipy.stats

from harness.statistics import compare

SAMPLES = 3_481
RESAMPLES = 10_000


def run(names: list[str]) -> None:
    rng = np.random.default_rng(0)
    union = rng.integers(500, 20_000, SAMPLES)
    a, b = _table(rng, union, 0.62), _table(rng, union, 0.60)
    started = time.perf_counter()
    compare(a, b, n_resamples=RESAMPLES)
    ours = time.perf_counter() - started
    difference = a["intersection"] / a["union"] - b["intersection"] / b["union"]
    started = time.perf_counter()
    scipy.stats.bootstrap(
        (difference,), np.mean, n_resamples=RESAMPLES, method="percentile", batch=500, rng=rng
    )
    theirs = time.perf_counter() - started
    print(f"{SAMPLES:,} samples, {RESAMPLES:,} resamples")
    print(f"compare: seven metrics, intervals and permutation p-values   {ours:6.2f} s")
    print(f"scipy.stats.bootstrap: the interval of one mean              {theirs:6.2f} s")
    print(f"ratio                                                        {ours / theirs:6.2f}")


def _table(rng: np.random.Generator, union: np.ndarray, level: float) -> pd.DataFrame:
    iou = np.clip(rng.beta(2 * level, 2 * (1 - level), SAMPLES), 0, 1)
    return pd.DataFrame(
        {
            "dataset": "benchmark",
            "split": "test",
            "protocol": "resized",
            "image_id": np.arange(SAMPLES),
            "ref_id": np.arange(SAMPLES),
            "cluster_id": np.arange(SAMPLES),
            "sentence": "the object",
            "intersection": (iou * union).astype(np.int64),
            "union": union,
        }
    )
