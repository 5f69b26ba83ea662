"""Aerial tiles listed in one CSV file: ROOT/tiles.csv, ROOT/images/ and ROOT/masks/."""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.data import DatasetFormat, Expression, Finding
from harness.errors import HarnessError

TABLE = "tiles.csv"
COLUMNS = ["split", "image", "mask", "category", "sentence"]
SPLITS = ("train", "val", "test")


def read(root: Path) -> Iterator[Expression | Finding]:
    """Yield one expression a line of tiles.csv."""
    table = root / TABLE
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(
            f"{table} cannot be read ({error}); name the folder that holds it as data.root"
        ) from None
    reader = csv.DictReader(lines)
    if reader.fieldnames != COLUMNS:
        raise HarnessError(f"{table} has the columns {reader.fieldnames}; they should be {COLUMNS}")
    rows = list(reader)
    categories = sorted({row["category"] for row in rows})
    image_ids: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if row["split"] not in SPLITS or not row["sentence"]:
            raise HarnessError(
                f"{table}: entry {number} is {list(row.values())}; a split of {', '.join(SPLITS)} and a sentence are "
                "needed"
            )
        yield Expression(
            image_id=image_ids.setdefault(row["image"], len(image_ids)),
            ref_id=number,
            ann_id=number,
            sent_id=number,
            split=row["split"],
            category_id=categories.index(row["category"]),
            category=row["category"],
            sentence=row["sentence"],
            image=root / "images" / Path(row["image"]).name,  # the last part only: never out of the root
            mask=root / "masks" / Path(row["mask"]).name,
        )


def place(name: str) -> str | None:
    """Where a file from an archive belongs under the root."""
    path = PurePosixPath(name)
    if path.name == TABLE:
        return TABLE
    return f"{path.parent.name}/{path.name}" if path.parent.name in ("images", "masks") else None


TILES = DatasetFormat(read=read, tables=(TABLE,), place=place)
