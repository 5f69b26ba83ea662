"""Identical and nearly identical images: a perceptual hash, and the clusters that it makes.

The hash is the signs of the lowest 16 x 16 frequencies, but the mean, of the discrete cosine transform of the image at
64 x 64 in grey. Two images are near duplicates where at most `MOST_BITS` of the 255 signs differ. docs/verifying.md
has the measurements behind that number: copies of an 800-pixel image differ in up to 13, the closest two of 17,402
different drawn ones in 51. Crops, turned and mirrored images are
not recognised.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MOST_BITS = 32
ROWS_A_BLOCK = 256  # bounds memory: 256 x 17,402 distances are 36 MB at a time

_SIDE, _FREQUENCIES = 64, 16
_FLAT = 1e-2  # a coefficient this small is rounding, as in an image of one colour


def perceptual_hash(image: Image.Image) -> bytes:
    """The 32 bytes that nearly identical images have nearly in common."""
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    coefficients = dctn(np.asarray(grey, dtype=np.float64), norm="ortho")[:_FREQUENCIES, :_FREQUENCIES]
    signs = coefficients > _FLAT
    signs[0, 0] = False
    return np.packbits(signs).tobytes()


@dataclass(frozen=True, slots=True)
class Clusters:
    """Connected components of images that are near duplicates, pair by pair.

    Args:
        label: of each image, the position of the first image of its component.
        nearest: position of the most similar earlier image within `MOST_BITS`, -1 where there is none.
        bits: differing bits between an image and its `nearest`.
    """

    label: np.ndarray
    nearest: np.ndarray
    bits: np.ndarray


def find_clusters(hashes: Sequence[bytes], most: int = MOST_BITS) -> Clusters:
    """Compare every pair of hashes: exact, and some seconds for RRSIS-D's 151 million pairs.

    Args:
        hashes: one an image, in order.
        most: bits in which near duplicates may differ.
    """
    count = len(hashes)
    words = np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(count, 4)
    label = np.arange(count)
    nearest, bits = np.full(count, -1), np.zeros(count, dtype=np.int64)
    for start in range(0, count, ROWS_A_BLOCK):
        rows = np.arange(start, min(start + ROWS_A_BLOCK, count))
        distance = np.zeros((len(rows), rows[-1] + 1), dtype=np.uint16)
        for word in range(4):
            distance += np.bitwise_count(words[rows, word, None] ^ words[None, : rows[-1] + 1, word])
        distance[rows[:, None] <= np.arange(rows[-1] + 1)] = 256  # only earlier images count
        best = distance.argmin(axis=1)
        close = distance[rows - start, best] <= most
        nearest[rows[close]] = best[close]
        bits[rows[close]] = distance[rows - start, best][close]
        later, earlier = np.nonzero(distance <= most)
        label = _merge(label, rows[later], earlier)
    return Clusters(label, nearest, bits)


def _merge(label: np.ndarray, ends: np.ndarray, other_ends: np.ndarray) -> np.ndarray:
    """Labels after the images at both ends of some pairs were joined."""
    if not len(ends):
        return label
    graph = coo_array((np.ones(len(ends), bool), (label[ends], label[other_ends])), shape=2 * label.shape)
    _, component = connected_components(graph, directed=False)
    first = np.full(component.max() + 1, len(label))
    np.minimum.at(first, component[label], np.arange(len(label)))
    clusters: np.ndarray = first[component[label]]
    return clusters
