"""What is in the image and mask files of a data set: each is read once, whole, in parallel.

`verify` and `prepare` both look at a set through `inspect`, so that they cannot disagree on it.
"""

import hashlib
import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask

from harness.data import Expression, Rle
from harness.data.duplicates import perceptual_hash
from harness.data.workers import ordered_map

IMAGES_A_TASK = 16


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image file. Without `size` and `hash` where it cannot be decoded whole."""

    size: tuple[int, int] | None  # height, width
    sha256: bytes  # of the file
    hash: bytes | None  # perceptual
    problem: str = ""  # why it cannot be decoded
    missing: bool = False


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """A mask. Without `rle` where it cannot be decoded."""

    rle: Rle | None
    area: int = 0  # pixels
    center: tuple[float, float] = (math.nan, math.nan)  # x and y of the centre of mass, 0 to 1
    problem: str = ""
    missing: bool = False

    @property
    def share(self) -> float:
        """Area as a share of the mask's pixels."""
        return self.area / (self.rle.height * self.rle.width) if self.rle else math.nan


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` found."""

    images: dict[Path, ImageFacts]  # in the order in which the expressions name them
    masks: list[MaskFacts]  # one an expression


def inspect(
    expressions: Sequence[Expression], workers: int = 0, progress: Callable[[int], None] | None = None
) -> Inspection:
    """Read every image once, and every mask.

    Args:
        expressions: of one data set.
        workers: processes; 0 means one a core.
        progress: called with the number of expressions looked at since the last call.
    """
    rows_of: dict[Path, list[int]] = {}
    for row, expression in enumerate(expressions):
        rows_of.setdefault(expression.image, []).append(row)
    paths = list(rows_of)
    tasks = (
        [
            (path, [expressions[row].mask for row in rows_of[path]])
            for path in paths[start : start + IMAGES_A_TASK]
        ]
        for start in range(0, len(paths), IMAGES_A_TASK)
    )
    images: dict[Path, ImageFacts] = {}
    masks: list[MaskFacts | None] = [None] * len(expressions)
    for results in ordered_map(_inspect_group, tasks, workers):
        looked_at = 0
        for image_facts, mask_facts in results:
            path = paths[len(images)]
            images[path] = image_facts
            for row, facts in zip(rows_of[path], mask_facts, strict=True):
                masks[row] = facts
            looked_at += len(mask_facts)
        if progress is not None:
            progress(looked_at)
    return Inspection(images, [facts for facts in masks if facts is not None])


def _inspect_group(
    group: list[tuple[Path, list[Rle | Path]]],
) -> list[tuple[ImageFacts, list[MaskFacts]]]:
    return [(inspect_image(path), [inspect_mask(mask) for mask in masks]) for path, masks in group]


def inspect_image(path: Path) -> ImageFacts:
    """Decode an image file to its end."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ImageFacts(None, b"", None, "it does not exist", missing=True)
    except OSError as error:
        return ImageFacts(None, b"", None, error.strerror or str(error))
    digest = hashlib.sha256(content).digest()
    try:
        image = decode_image(content)
    except ValueError as error:
        return ImageFacts(None, digest, None, str(error))
    return ImageFacts((image.height, image.width), digest, perceptual_hash(image))


def decode_image(content: bytes) -> Image.Image:
    """Decode an image file whole, in its own mode.

    Raises:
        ValueError: says why it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
            image.load()
    except UnidentifiedImageError:
        raise ValueError("it is empty" if not content else "it is no image") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and others
        raise ValueError(str(error) or type(error).__name__) from None
    return image


def inspect_mask(mask: Rle | Path) -> MaskFacts:
    """Decode a mask, from a file or run-length encoded."""
    try:
        rle = _encode_file(mask) if isinstance(mask, Path) else mask
        runs = run_lengths(rle)
    except FileNotFoundError:
        return MaskFacts(None, problem="it does not exist", missing=True)
    except OSError as error:
        return MaskFacts(None, problem=error.strerror or str(error))
    except ValueError as error:
        return MaskFacts(None, problem=str(error))
    area = int(runs[1::2].sum())
    return MaskFacts(rle, area, _center(rle, runs) if area else (math.nan, math.nan))


def _encode_file(path: Path) -> Rle:
    image = decode_image(path.read_bytes())
    pixels = np.asarray(image)
    if image.mode.upper().endswith("A"):  # opaque is not inside
        pixels = pixels[:, :, :-1]
    inside = (pixels > 0).any(axis=2) if pixels.ndim == 3 else pixels > 0
    encoded = coco_mask.encode(np.asfortranarray(inside, dtype=np.uint8))
    height, width = encoded["size"]
    return Rle(height, width, encoded["counts"].decode("ascii"))


def run_lengths(rle: Rle) -> np.ndarray:
    """Run lengths of a compressed COCO mask, column by column, background first, int64.

    Each run is written as 5-bit groups, low ones first, in characters from "0" on, 32 standing for "more follows";
    from the fourth on it is the difference to the run before the last.

    Raises:
        ValueError: no such encoding, or one whose runs do not cover height x width pixels. pycocotools would decode
            some of these without complaint.
    """
    pixels, most = rle.height * rle.width, Image.MAX_IMAGE_PIXELS
    if min(rle.height, rle.width) < 0:
        raise ValueError(f"{rle.height} x {rle.width} is no size")
    if most is not None and pixels > most:
        raise ValueError(
            f"{rle.height} x {rle.width} pixels are more than the {most:,} that an image may have"
        )
    try:
        codes = np.frombuffer(rle.counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        codes = np.array([-1])
    if not len(codes) or codes.min() < 0 or codes.max() > 63:
        raise ValueError("its counts are no compressed run-length encoding")
    ends = np.flatnonzero(codes < 32)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise ValueError("its counts end in the middle of a number")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 12:
        raise ValueError("its counts hold a number of more than 60 bits")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    runs -= ((codes[ends] & 16) > 0) * (1 << (5 * lengths))  # the sign is the highest bit of the last group
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        raise ValueError(f"its runs do not cover {rle.height} x {rle.width} pixels")
    return runs


def decode_mask(rle: Rle) -> np.ndarray:
    """A compressed COCO mask as uint8 (H, W), 1 = the object.

    pycocotools, in C, trusts its counts: those that end in the middle of a number are read past their end.

    Raises:
        ValueError: as `run_lengths`.
    """
    run_lengths(rle)
    pixels: np.ndarray = coco_mask.decode(
        {"size": [rle.height, rle.width], "counts": rle.counts.encode("ascii")}
    )
    return pixels


def _center(rle: Rle, runs: np.ndarray) -> tuple[float, float]:
    pixels = np.repeat(np.arange(len(runs), dtype=np.uint8) & 1, runs).reshape(rle.width, rle.height)
    in_column, in_row = pixels.sum(axis=1, dtype=np.int64), pixels.sum(axis=0, dtype=np.int64)
    area = in_column.sum()
    x = float((in_column * (np.arange(rle.width) + 0.5)).sum() / area / rle.width)
    y = float((in_row * (np.arange(rle.height) + 0.5)).sum() / area / rle.height)
    return x, y
