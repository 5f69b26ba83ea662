"""How large a difference is, sample by sample: standardised, and counted."""

import math

import numpy as np
import numpy.typing as npt

from harness.metrics import FEATURES, THRESHOLDS
from harness.statistics.pairing import Pair
from harness.statistics.resampling import cluster_sums

HITS = len(THRESHOLDS)  # the metrics that come first: shares of samples
SAME = 1e-12  # IoUs closer than this are the same

Floats = npt.NDArray[np.float64]


def contributions(paired: Pair) -> Floats:
    """What each sample adds to the difference of each metric, averaged over the seeds: [metrics, n].

    For oIoU, a ratio of sums, the linearised contribution R + (I - R U) / mean(U) of each model, whose mean is its R.
    """
    sides = []
    for features in (paired.features_a, paired.features_b):
        intersection, union = (features[..., FEATURES.index(name)] for name in ("intersection", "union"))
        total = union.sum(axis=0)
        ratio = intersection.sum(axis=0) / np.maximum(total, 1)
        linear = ratio + (intersection - ratio * union) * (len(union) / np.maximum(total, 1))
        iou = features[..., FEATURES.index("iou")] + features[..., FEATURES.index("iou_rest")]
        sides.append(
            [
                *(features[..., column].mean(axis=1) for column in range(HITS)),
                linear.mean(axis=1),
                iou.mean(axis=1),
            ]
        )
    differences: Floats = np.array(sides[0]) - np.array(sides[1])
    return differences


def cohen_dz(differences: Floats) -> float | None:
    """Mean over standard deviation of samples' differences [n]; None without spread."""
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    # A spread of a few bits is rounding: all samples differ alike and d_z would be infinite.
    return float(differences.mean()) / spread if spread > SAME and math.isfinite(spread) else None


def wins(differences: Floats) -> tuple[int, int, int]:
    """On how many samples A is better, equal and worse."""
    better, worse = int((differences > SAME).sum()), int((differences < -SAME).sum())
    return better, len(differences) - better - worse, worse


def cluster_means(differences: Floats, paired: Pair) -> Floats:
    """The mean difference of each cluster."""
    sums = cluster_sums(np.stack([differences, np.ones(len(differences))], axis=1), paired.aligned.clusters)
    return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)
