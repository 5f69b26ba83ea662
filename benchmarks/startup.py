"""How long a command takes before it says something: `harness --help`, and `harness compare` of two files.

Beside them `python -c pass`, the time that no Python program can save. All in turns.

    python -m benchmarks startup        21 rounds, less than a minute
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import process
from benchmarks.page import Figures
from benchmarks.statistics import sample_table
from harness.samples import write_samples

ROUNDS = 21
LIMIT = 0.3  # s, of --help


def run(names: list[str]) -> Figures:
    taken: dict[str, list[process.Process]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{model}.parquet") for model in "ab"]
        rng = np.random.default_rng(0)
        union = rng.integers(500, 20_000, 200)
        for file, model in zip(files, "ab", strict=True):
            write_samples(sample_table(rng, union, 0.6, model, 0), file)
        for _ in range(ROUNDS):
            for name, measured in (
                ("python -c pass", process.python("-c", "pass")),
                ("harness --help", process.harness("--help")),
                ("harness compare", process.harness("compare", *files, "--resamples", "100")),
            ):
                taken.setdefault(name, []).append(measured)
    yield f"Whole processes in turns, {ROUNDS} rounds; `harness compare` of two files with 200 samples, 100 resamples."
    yield "", "median, s", "least, s", "of a core, s"
    medians = {name: statistics.median(one.seconds for one in each) for name, each in taken.items()}
    for name, each in taken.items():
        cpu = statistics.median(one.cpu for one in each)
        yield f"`{name}`", f"{medians[name]:.3f}", f"{min(each).seconds:.3f}", f"{cpu:.3f}"
    verdict = "held" if medians["harness --help"] <= LIMIT else "NOT held"
    yield f"The limit of `harness --help` is {LIMIT} s: {verdict}."
