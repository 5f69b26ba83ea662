"""Are the intervals and tests what they say? Coverage and size by simulation, on tables drawn like real ones.

`python -m benchmarks simulation [REPLICATES]`: 5,000 replicates of each case by default, half an hour on two cores.

A sample's IoU is sigmoid(0.9 + 1.1 u), and 0 where u is low: a fifth of the samples have none, the rest leans towards
1. u is correlated between the two models (0.8), as both find the same images hard. Areas are log-normal, 1% of a
480 x 480 image in the middle of the list and up to all of it. In clusters (one to five images, two on average) u has a
common part. A seed shifts all of a model's u.
"""

import multiprocessing
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.page import Figures
from harness.statistics import compare

SAMPLES = 500
PIXELS = 480 * 480  # of an image: no union has more
RESAMPLES = 1_000
REPLICATES = 5_000
POPULATION = 4_000_000  # samples from which true values are computed
SHOWN = ("P@0.5", "oIoU", "mIoU")
SHARED = 0.8  # correlation of the two models' u
MISSED = -0.85  # u below it: nothing found


@dataclass(frozen=True)
class Case:
    """What is drawn.

    Args:
        name: in the table.
        clustered: images in clusters.
        seeds: of each model.
        seed_spread: standard deviation of a seed's shift of u; 0.05 moves mIoU by 1.2 points.
        better: how much higher A's u is.
        wide: how much wider A's u scatters.
    """

    name: str
    clustered: bool = False
    seeds: int = 1
    seed_spread: float = 0.0
    better: float = 0.0
    wide: float = 1.0


UNEQUAL = Case("equal oIoU, unequal variances", wide=1.5)
CASES = (
    Case("exchangeable"),
    Case("exchangeable, clusters", clustered=True),
    Case("A better", better=0.12),
    Case("A better, clusters", clustered=True, better=0.12),
    Case("3 seeds", seeds=3, seed_spread=0.05),
    Case("3 seeds, clusters", clustered=True, seeds=3, seed_spread=0.05),
    Case("5 seeds", seeds=5, seed_spread=0.05),
    UNEQUAL,
)


def run(names: list[str]) -> Figures:
    replicates = int(names[0]) if names else REPLICATES
    error = 100 * (0.95 * 0.05 / replicates) ** 0.5
    yield (
        f"{SAMPLES} samples, {RESAMPLES:,} resamples and permutations, {replicates:,} replicates of each case; "
        f"percent, of {', '.join(SHOWN)}. Standard error of a coverage of 95 and of a size of 5: {error:.2f}."
    )
    yield (
        "",
        "coverage of the 95% interval",
        "coverage of BCa's",
        "size of the 5% test",
        "McNemar's, exact / mid-p",
    )
    context = multiprocessing.get_context("spawn")
    for case in CASES:
        shift = equal_oiou_shift(case) if case is UNEQUAL else 0.0
        truth = true_differences(case, shift)
        parts = [slice(start, replicates, 8) for start in range(8)]
        with context.Pool() as pool:
            found = np.concatenate(pool.map(partial(_replicates, case, shift, truth, replicates), parts))
        yield _row(case, 100 * found.mean(axis=0))


def _row(case: Case, shares: np.ndarray) -> tuple[str, ...]:
    """A case's row; where A is better a rejection is no error, and only single runs have McNemar's test and BCa."""
    single, null = case.seeds == 1, case.better == 0
    groups = (
        (shares[:3], True),
        (shares[3:6], single),
        (shares[6:9], null),
        (shares[9:], single and null and not case.clustered),
    )
    cells = [" / ".join(f"{value:.1f}" for value in values) if shown else "" for values, shown in groups]
    return case.name, *cells


def _replicates(case: Case, shift: float, truth: np.ndarray, replicates: int, part: slice) -> np.ndarray:
    """Of each replicate whether the interval covers the truth, the test rejects, and McNemar's two p-values reject."""
    rows = []
    for number in range(replicates)[part]:
        draw = np.random.default_rng([number, *case.name.encode()])
        a, b = draw_tables(case, draw, SAMPLES, shift)
        metrics = compare(a, b, n_resamples=RESAMPLES, seed=number).metrics
        shown = [metrics[name] for name in SHOWN]
        hits = metrics["P@0.5"]
        covered = [_holds(one.interval, value) for one, value in zip(shown, truth, strict=True)]
        covered += [_holds(one.these_models.bca, value) for one, value in zip(shown, truth, strict=True)]
        p_values = [
            *(one.p_value for one in shown),
            hits.these_models.p_value,
            1.0 if hits.mid_p is None else hits.mid_p,
        ]
        rows.append([*covered, *(p <= 0.05 for p in p_values)])
    return np.array(rows, dtype=float)


def _holds(interval: tuple[float, float] | None, value: float) -> bool:
    return interval is not None and interval[0] <= value <= interval[1]


def draw_tables(
    case: Case, draw: np.random.Generator, n: int, shift: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Per-sample tables of A and B on n new images and with new seeds."""
    clusters = draw_clusters(draw, n) if case.clustered else np.arange(n)
    area = np.exp(draw.normal(7.5, 1.3, n)) + 20
    hard = _clustered_normal(draw, clusters, case.clustered)
    tables = []
    for model, (up, spread) in {"a": (case.better + shift, case.wide), "b": (0.0, 1.0)}.items():
        own = _clustered_normal(draw, clusters, case.clustered)
        layers = []
        for seed in range(case.seeds):
            noise = own if case.seeds == 1 else 0.7 * own + 0.51**0.5 * draw.normal(0, 1, n)
            u = (
                up
                + spread * (SHARED**0.5 * hard + (1 - SHARED) ** 0.5 * noise)
                + draw.normal(0, case.seed_spread)
            )
            union = np.rint(np.minimum(area * np.exp(draw.normal(0.2, 0.2, n)), PIXELS)).astype(np.int64)
            layers.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "seed": seed,
                        "ref_id": np.arange(n),
                        "sentence": "it",
                        "cluster_id": clusters,
                        "intersection": np.floor(iou_of(u) * union).astype(np.int64),
                        "union": union,
                    }
                )
            )
        tables.append(pd.concat(layers, ignore_index=True))
    return tables[0], tables[1]


def iou_of(u: np.ndarray) -> np.ndarray:
    """IoU of a sample."""
    return np.where(u < MISSED, 0.0, 1 / (1 + np.exp(-(0.9 + 1.1 * u))))


def draw_clusters(draw: np.random.Generator, n: int) -> np.ndarray:
    """Clusters of one to five samples."""
    sizes = draw.choice(5, n, p=[0.5, 0.25, 0.1, 0.1, 0.05]) + 1
    return np.repeat(np.arange(n), sizes)[:n]


def _clustered_normal(draw: np.random.Generator, clusters: np.ndarray, clustered: bool) -> np.ndarray:
    own = draw.normal(0, 1, len(clusters))
    if not clustered:
        return own
    return 0.6**0.5 * draw.normal(0, 1, len(clusters))[clusters] + 0.4**0.5 * own


def true_differences(case: Case, shift: float) -> np.ndarray:
    """A - B in the population, points; the seeds' shifts included. 0 where A and B are exchangeable."""
    if case.better == 0 and case.wide == 1 and shift == 0:
        return np.zeros(len(SHOWN))
    a, b = (
        _population(up, spread, case.seed_spread)
        for up, spread in ((case.better + shift, case.wide), (0.0, 1.0))
    )
    return 100 * (a - b)


def _population(up: float, spread: float, seed_spread: float) -> np.ndarray:
    """P@0.5, oIoU and mIoU of a model. u is normal, and areas say nothing about it: oIoU's and mIoU's limit is one."""
    grid = stats.norm.ppf((np.arange(POPULATION) + 0.5) / POPULATION)
    iou = iou_of(up + (spread**2 + seed_spread**2) ** 0.5 * grid)
    return np.array([(iou >= 0.5).mean(), iou.mean(), iou.mean()])


def equal_oiou_shift(case: Case) -> float:
    """How much lower the wider model's u has to be for both to have the same oIoU."""
    from scipy.optimize import brentq

    target = _population(0.0, 1.0, 0.0)[1]
    return float(brentq(lambda up: _population(up, case.wide, 0.0)[1] - target, -1, 1, xtol=1e-6))
