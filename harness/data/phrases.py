"""RefSegRS and RISBench: lists of phrases beside a folder of images and a folder of masks.

    RefSegRS                        RISBench
    root/output_phrase_train.txt    root/output_phrase_train.txt
    root/output_phrase_val.txt      root/output_phrase_val.txt
    root/output_phrase_test.txt     root/output_phrase_test.txt
    root/images/1361.tif            root/img_rgb/train_0_0.png
    root/masks/1361.tif             root/mask/train_0_0.png

A line of a list reads `ID sentence`; the image and the mask are the files of that name. No table states sizes or
categories: every expression has the category 0, "object". The pixels above 0 of a mask are the object.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.config import SPLITS
from harness.data import DatasetFormat, Expression, Finding
from harness.errors import HarnessError

TABLES = tuple(f"output_phrase_{split}.txt" for split in SPLITS)
LIST_NAMES = {
    "train": (TABLES[0],),
    "val": (TABLES[1], "output_phrase_valid.txt", "output_phrase_validation.txt"),
    "test": (TABLES[2],),
}
IMAGE_FOLDERS = ("images", "image", "img_rgb")
MASK_FOLDERS = ("masks", "mask")
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
NUMBER = re.compile(r"[0-9]{1,18}")  # fits int64


class Phrase(NamedTuple):
    """A line of a list."""

    split: str
    table: str  # file name of the list
    line: int  # counted from 1
    name: str  # of image and mask, without suffix
    sentence: str


@dataclass(frozen=True)
class PhraseLayout:
    """Where one of these sets keeps its files, as published.

    Args:
        images: folder of images.
        masks: folder of masks.
        suffix: of image and mask files.
    """

    images: str
    masks: str
    suffix: str

    def read(self, root: Path) -> Iterator[Expression | Finding]:
        """Yield the expressions of all lists, train, val, test, in the order of their lines.

        image_id, ref_id and ann_id are the number that the line's ID is. Where an ID of the set is no number, or two
        of them are the same number (7 and 007), all are numbered from 0 in the order in which they first appear.
        sent_id counts the lines of all lists. Lines of one ID with different sentences are expressions of one ref; a
        line that repeats another's ID and sentence is a `Finding`.

        Raises:
            HarnessError: a list or a folder is not there, a list is empty, or a line of it cannot be read.
        """
        there = _names(root)
        images = _Files(root / _present(root, there, self.images, IMAGE_FOLDERS, "images"), self.suffix)
        masks = _Files(root / _present(root, there, self.masks, MASK_FOLDERS, "masks"), self.suffix)
        phrases = [phrase for split in SPLITS for phrase in _read_list(root, there, split)]
        numbers = _numbers(phrase.name for phrase in phrases)
        seen: dict[tuple[str, str], Phrase] = {}
        for sent_id, phrase in enumerate(phrases):
            number = numbers[phrase.name]
            first = seen.setdefault((phrase.name, phrase.sentence), phrase)
            if first is not phrase:
                yield Finding(
                    "duplicate_id",
                    phrase.split,
                    phrase.table,
                    number,
                    f"line {phrase.line} has the ID {phrase.name!r} and the sentence of line {first.line} of "
                    f"{first.table} once more",
                )
                continue
            yield Expression(
                image_id=number,
                ref_id=number,
                ann_id=number,
                sent_id=sent_id,
                split=phrase.split,
                category_id=0,
                category="object",
                sentence=phrase.sentence,
                image=images.path(phrase.name),
                mask=masks.path(phrase.name),
            )

    def place(self, name: str) -> str | None:
        """Where a downloaded file belongs: by its folder's name, as an image and its mask have the same name."""
        path = PurePosixPath(name)
        if path.name.startswith(".") or "__MACOSX" in path.parts:
            return None
        if path.suffix.lower() in SUFFIXES:
            folder = path.parent.name.lower()
            if folder in IMAGE_FOLDERS:
                return f"{self.images}/{path.name}"
            return f"{self.masks}/{path.name}" if folder in MASK_FOLDERS else None
        for split, table in zip(SPLITS, TABLES, strict=True):
            if path.name.lower() in LIST_NAMES[split]:
                return table
        return None


class _Files:
    """The image files of a folder by name without suffix, from one listing."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix
        self.names: dict[str, str] = {}
        # Of two files with one stem the one with the published suffix is taken.
        for path in sorted(folder.iterdir(), key=lambda path: (path.suffix.lower() != suffix, path.name)):
            if path.suffix.lower() in SUFFIXES:
                self.names.setdefault(path.stem, path.name)
        for stem, name in list(self.names.items()):
            self.names.setdefault(_unpadded(stem), name)

    def path(self, name: str) -> Path:
        """The file of that name, with or without leading zeros; where there is none, the one that should be there."""
        file = self.names.get(name) or self.names.get(_unpadded(name)) or name + self.suffix
        return self.folder / file


def _unpadded(name: str) -> str:
    return str(int(name)) if NUMBER.fullmatch(name) else name


def _numbers(names: Iterable[str]) -> dict[str, int]:
    different = list(dict.fromkeys(names))
    if all(NUMBER.fullmatch(name) for name in different):
        numbers = {name: int(name) for name in different}
        if len(set(numbers.values())) == len(numbers):
            return numbers
    return {name: number for number, name in enumerate(different)}


def _read_list(root: Path, there: dict[str, str], split: str) -> Iterator[Phrase]:
    found = [there[name] for name in LIST_NAMES[split] if name in there]
    if not found:
        raise HarnessError(f"{root / LIST_NAMES[split][0]} does not exist; {_advice(root)}")
    if len(found) > 1:
        raise HarnessError(f"{root} holds {' and '.join(found)}, both lists of {split}; remove one")
    path = root / found[0]
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise HarnessError(f"{path} cannot be read ({error.strerror}); fetch it again") from None
    if not content.strip():
        raise HarnessError(f"{path} is empty; fetch it again")
    for line, coded in enumerate(content.splitlines(), 1):
        try:
            parts = coded.decode("utf-8").split(maxsplit=1)
        except UnicodeDecodeError as error:
            raise HarnessError(
                f"{path}, line {line}: byte {error.start} ({coded[error.start]:#04x}) is not UTF-8; "
                "save the list in that encoding"
            ) from None
        if not parts:
            continue
        if len(parts) == 1:
            raise HarnessError(
                f"{path}, line {line}: {parts[0]!r:.80} has no sentence; a line reads `ID sentence`"
            )
        name, sentence = parts[0], parts[1].strip()
        if re.search(r"[/\\\x00]", name):
            raise HarnessError(
                f"{path}, line {line}: {name!r:.80} is no ID but a path; a line reads `ID sentence`"
            )
        file = PurePosixPath(name)
        stem = file.stem if file.suffix.lower() in SUFFIXES else name  # `1361.tif` means 1361
        yield Phrase(split, path.name, line, stem, sentence)


def _names(root: Path) -> dict[str, str]:
    """What is in `root`, by name in lower case."""
    try:
        return {path.name.lower(): path.name for path in sorted(root.iterdir())}
    except OSError as error:
        raise HarnessError(
            f"{root} cannot be read ({error.strerror}); name another data.root in params.yaml, or --data"
        ) from None


def _present(root: Path, there: dict[str, str], published: str, accepted: tuple[str, ...], what: str) -> str:
    for name in (published, *accepted):
        if name in there and (root / there[name]).is_dir():
            return there[name]
    raise HarnessError(f"{root} has no folder of {what} ({', '.join(accepted)}); {_advice(root)}")


def _advice(root: Path) -> str:
    inside = next(iter(sorted(root.glob(f"*/{TABLES[0]}"))), None)
    if inside is not None:
        return f"name {inside.parent} as data.root in params.yaml, or with --data"
    return (
        "name the folder of images, masks and output_phrase_*.txt as data.root in params.yaml, or with --data"
    )


_REFSEGRS = PhraseLayout(images="images", masks="masks", suffix=".tif")
_RISBENCH = PhraseLayout(images="img_rgb", masks="mask", suffix=".png")
REFSEGRS = DatasetFormat(read=_REFSEGRS.read, tables=TABLES, place=_REFSEGRS.place)
RISBENCH = DatasetFormat(read=_RISBENCH.read, tables=TABLES, place=_RISBENCH.place)
