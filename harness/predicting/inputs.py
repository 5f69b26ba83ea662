"""What to predict: pairs of an image file and a sentence, from arguments or a table."""

import csv
import glob
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, suggestion

ENDINGS = (
    ".bmp",
    ".gif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)  # looked for in a folder
COLUMNS = ("image", "sentence")


@dataclass(frozen=True)
class Pair:
    """An image and a sentence; nothing is known of the file."""

    image: Path
    sentence: str

    @property
    def stem(self) -> str:
        """What the names of its results begin with: that of the image file, then a hash of its path and the sentence.

        Another image of that name, or another sentence, has another hash; the same pair has the same.
        """
        identity = os.fsencode(self.image.absolute()) + b"\0" + self.sentence.encode(errors="surrogateescape")
        name = re.sub(r"[^\w.-]+", "-", shown(self.image.stem)).strip(".-")[:40] or "image"
        return f"{name}-{hashlib.sha256(identity).hexdigest()[:12]}"


@dataclass(frozen=True)
class Inputs:
    """Pairs, each once, and a message for each input that gives none."""

    pairs: list[Pair]
    problems: list[str]


def from_arguments(images: Sequence[str], sentences: Sequence[str]) -> Inputs:
    """Every sentence on every image.

    Args:
        images: files, folders (the images in them) or patterns such as "scenes/**/*.jpg".
        sentences: at least one.

    Raises:
        HarnessError: a sentence is empty.
    """
    if not all(sentence.strip() for sentence in sentences):
        raise HarnessError('the sentence is empty; name the object: --text "the red ship left of the harbor"')
    found: list[Path] = []
    problems = []
    for argument in images:
        try:
            found += _files(argument)
        except HarnessError as error:
            problems.append(str(error))
        except OSError as error:  # a name that is too long, a folder that may not be read
            problems.append(f"{argument} cannot be read: {error.strerror}")
    return Inputs(_once(Pair(image, sentence) for image in found for sentence in sentences), problems)


def from_table(path: Path) -> Inputs:
    """The pairs of a CSV file with a header and the columns image and sentence; UTF-8, commas.

    An image's path is relative to the file's folder.

    Raises:
        HarnessError: it is no such file, or has no row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or [])
            _require_columns(path, columns)
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise HarnessError(f"{path} is not UTF-8 (byte {error.start:,}); save it as CSV UTF-8") from None
    except csv.Error as error:
        raise HarnessError(f"{path}, line {reader.reader.line_num}: {error}") from None
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}") from None
    if not rows:
        raise HarnessError(f"{path} has no row below its header")
    pairs, problems = [], []
    for line, row in rows:
        image, sentence = ((row[column] or "").strip() for column in COLUMNS)
        if None in row:
            problems.append(
                f"{path}, line {line}: more fields than columns; put a sentence with commas in quotes"
            )
        elif not image or not sentence:
            problems.append(f"{path}, line {line}: the {'sentence' if image else 'image'} is empty")
        else:
            pairs.append(Pair(path.parent / image, sentence))
    return Inputs(_once(pairs), problems)


def shown(path: Path | str) -> str:
    """A path as text that can be printed, whatever bytes the file's name has."""
    return os.fsencode(path).decode("utf-8", "replace")


def _once(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs without those whose results would be in the same files: the same image and sentence again."""
    return list({pair.stem: pair for pair in pairs}.values())


def _files(argument: str) -> list[Path]:
    path = Path(argument)
    if path.is_dir():
        inside = sorted(one for one in path.iterdir() if _is_image(one))
        if not inside:
            raise HarnessError(f"the folder {argument} has no image in it ({', '.join(ENDINGS)})")
        return inside
    if path.exists() or not glob.has_magic(argument):
        return [path]  # whether it is there, and an image, shows when it is read
    matches = sorted(Path(one) for one in glob.iglob(argument, recursive=True))  # noqa: PTH207, takes absolute patterns as well
    files = [match for match in matches if match.is_file()]
    if not files:
        raise HarnessError(f"no file matches {argument}")
    return files


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _require_columns(path: Path, columns: list[str]) -> None:
    for column in COLUMNS:
        if column not in columns:
            raise HarnessError(
                f"{path} has no column {column!r}, only {', '.join(map(repr, columns)) or 'an empty line'}; its first "
                f"line must be `image,sentence`.{suggestion(column, columns)}"
            )
        if columns.count(column) > 1:
            raise HarnessError(f"{path} has the column {column!r} twice")
