"""Draw a data set in the layout `tiles`: python -m tinyfcn.draw FOLDER --refs 500 --size 64

The pictures and sentences are those of `harness data synth`.
"""

import argparse
import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from harness.data import Expression, Rle
from harness.data.drawing.synthetic import write_dataset
from harness.data.refer import RRSISD
from tinyfcn.tiles import CATEGORIES, COLUMNS, TABLE


def draw(folder: Path, *, refs: int, size: int, seed: int = 0) -> None:
    """Write tiles.csv, categories.txt, images/ and masks/ into a new folder.

    Args:
        folder: must not exist.
        refs: expressions, each on an image of its own.
        size: of the square images, in pixels.
        seed: of the drawing.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    with tempfile.TemporaryDirectory() as drawn:
        write_dataset(Path(drawn), refs=refs, size=size, seed=seed, workers=1)
        rows = []
        for item in RRSISD.read(Path(drawn)):
            if isinstance(item, Expression) and isinstance(item.mask, Rle):
                mask = coco_mask.decode({"size": item.mask[:2], "counts": item.mask.counts.encode()})
                name = f"{item.ref_id}.png"
                Image.fromarray(255 * mask.astype(np.uint8)).save(folder / "masks" / name)
                shutil.copy(item.image, folder / "images" / item.image.name)
                rows.append([item.split, item.image.name, name, item.category, item.sentence])
    (folder / CATEGORIES).write_text("\n".join(sorted({row[3] for row in rows})) + "\n", encoding="utf-8")
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--refs", type=int, default=500)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    draw(options.folder, refs=options.refs, size=options.size)
