"""Data sets: fetching, reading a layout, verifying, drawing one, preparing Arrow files, feeding networks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Rle(NamedTuple):
    """A mask as COCO's compressed run-length encoding."""

    height: int  # pixels
    width: int
    counts: str


@dataclass(frozen=True, slots=True)
class Expression:
    """One row of a referring segmentation set: an image, a sentence and the mask that it refers to."""

    image_id: int
    ref_id: int
    ann_id: int
    sent_id: int
    split: str  # "train", "val" or "test"
    category_id: int
    category: str
    sentence: str
    image: Path  # the image file
    mask: Rle | Path  # encoded, or an image file whose pixels above 0 are the object
    stated_size: tuple[int, int] | None = None  # height and width of the image as the tables state them


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a data set, or worth knowing: `harness data verify` lists them."""

    kind: str  # one of harness.data.verify.KINDS
    split: str  # "" where it concerns no split, "test, train" where it concerns two
    file: str  # relative to the data root
    id: int | None  # of the ref or, for a record of another table, of that record
    message: str


@dataclass(frozen=True, slots=True)
class DatasetFormat:
    """A layout on disk. Packages register one under the entry point group `rrsis_harness.datasets`.

    Args:
        read: takes the data root and yields its expressions. What a record points to and is not there is yielded as
            a `Finding` in place of the expression; a file that is no table of this layout raises `HarnessError`.
            Image and mask files are named, not opened: `verify` and `prepare` read them in parallel.
        tables: the files, relative to the root, that are there besides images and masks.
        place: where a file that was downloaded or unpacked belongs under the root, by its path there; None for what
            is no part of the data set. Formats without it cannot be fetched.
    """

    read: Callable[[Path], Iterator[Expression | Finding]]
    tables: tuple[str, ...]
    place: Callable[[str], str | None] | None = None
