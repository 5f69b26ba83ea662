"""Aerial tiles listed in one CSV file: tiles.csv, categories.txt (a name a line), images/ and masks/."""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.data import DatasetFormat, Expression, Finding
from harness.errors import HarnessError

TABLE, CATEGORIES = "tiles.csv", "categories.txt"
COLUMNS = ["split", "image", "mask", "category", "sentence"]
SPLITS = ("train", "val", "test")


def read(root: Path) -> Iterator[Expression | Finding]:
    """Yield one expression an entry of tiles.csv."""
    categories = _lines(root / CATEGORIES)
    rows = csv.DictReader(_lines(root / TABLE))
    if rows.fieldnames != COLUMNS:
        raise HarnessError(f"{root / TABLE} has the columns {rows.fieldnames}; they should be {COLUMNS}")
    image_ids: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if None in row.values() or row["split"] not in SPLITS or not row["sentence"]:
            raise HarnessError(
                f"{root / TABLE}: entry {number} is {list(row.values())}; a split ({', '.join(SPLITS)}), a sentence "
                "and the other columns are needed"
            )
        if row["category"] not in categories:
            problem = f"entry {number} has the category {row['category']!r}"
            yield Finding("unknown_category", row["split"], TABLE, number, problem)
            continue
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


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path} cannot be read ({error}); name its folder as data.root") from None


def place(name: str) -> str | None:
    """Where a file from an archive belongs under the root."""
    path = PurePosixPath(name)
    if path.name in (TABLE, CATEGORIES):
        return path.name
    return f"{path.parent.name}/{path.name}" if path.parent.name in ("images", "masks") else None


TILES = DatasetFormat(read=read, tables=(TABLE, CATEGORIES), place=place)
