"""Data sets: reading a layout, drawing one, preparing Arrow files, feeding networks."""

from dataclasses import dataclass
from pathlib import Path


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
    mask_size: tuple[int, int]  # height, width
    mask_counts: str  # COCO run-length encoding, compressed
