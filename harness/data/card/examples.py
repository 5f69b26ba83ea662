"""Examples of the data card: what was found, on pictures read again from the files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from harness.config import SPLITS
from harness.data import Finding, Rle
from harness.data.card.wording import share_text
from harness.data.findings import decoded_images, relative
from harness.data.inspection import decode_image, decode_mask
from harness.data.verify import Verification
from harness.report.overlays import data_uri, draw_truth

MOST = 6  # examples of a kind
SIDE = (
    176  # pixels of a picture's longer side; the page shows it smaller, so that it is sharp on dense screens
)
LONGEST = 280  # characters of a sentence or a message
DUPLICATES = ("duplicate_image", "near_duplicate_image")


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture, or in words why there is none."""

    image: str | None  # data URI
    alt: str = ""
    caption: str = ""
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One finding."""

    message: str
    file: str
    about: str = ""  # split, ref and category
    sentence: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class ExampleGroup:
    """Some findings of a kind, and how many there are."""

    kind: str
    total: int
    examples: tuple[Example, ...]


class Examples:
    """Chooses and draws the examples of one verification; reads only the images that it shows."""

    def __init__(self, verification: Verification) -> None:
        self.root = verification.root
        self.expressions = verification.expressions
        self.inspection = verification.inspection
        self.clusters = verification.clusters
        self.findings = verification.findings

    def groups(self, kinds: Sequence[str]) -> Iterator[ExampleGroup]:
        """Up to `MOST` findings of each of these kinds that occurs."""
        for kind in kinds:
            found = [finding for finding in self.findings if finding.kind == kind]
            if found:
                examples = tuple(self._example(finding) for finding in self._chosen(found))
                yield ExampleGroup(kind, len(found), examples)

    def extremes(self) -> tuple[list[Picture], list[Picture]]:
        """The `MOST` smallest masks and the `MOST` largest ones, the extreme one first; empty masks are left out."""
        masks = self.inspection.masks
        rows = sorted((row for row, mask in enumerate(masks) if mask.area), key=lambda row: masks[row].share)
        smallest, largest = rows[:MOST], rows[: -MOST - 1 : -1]
        return [self._extreme(row) for row in smallest], [self._extreme(row) for row in largest]

    def _chosen(self, found: Sequence[Finding]) -> Sequence[Finding]:
        """The first `MOST`; of duplicates those of different clusters before the second of a cluster."""
        if found[0].kind not in DUPLICATES:
            return found[:MOST]
        seen: Counter[int] = Counter()
        turns: list[int] = []
        for finding in found:
            cluster = int(self.clusters.label[self._position[finding.file]])
            turns.append(seen[cluster])
            seen[cluster] += 1
        order = sorted(range(len(found)), key=lambda place: turns[place])  # stable: first come, first shown
        return [found[place] for place in order[:MOST]]

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        """Positions of the expressions by image and mask file, as findings name them."""
        rows: dict[str, list[int]] = {}
        for row, expression in enumerate(self.expressions):
            rows.setdefault(relative(expression.image, self.root), []).append(row)
            if isinstance(expression.mask, Path):
                rows.setdefault(relative(expression.mask, self.root), []).append(row)
        return rows

    @cached_property
    def _images(self) -> list[Path]:
        """The images in the order of the clusters."""
        return decoded_images(self.inspection)

    @cached_property
    def _position(self) -> dict[str, int]:
        """Position of each image in the clusters, as findings name it."""
        return {relative(path, self.root): position for position, path in enumerate(self._images)}

    def _example(self, finding: Finding) -> Example:
        rows = self._rows_of.get(finding.file, [])
        if not rows:  # it concerns a table, or a split
            return Example(_short(finding.message), finding.file, finding.split if finding.file else "")
        if finding.kind in DUPLICATES:
            position = self._position[finding.file]
            pair = [self._images[self.clusters.nearest[position]], self._images[position]]
            return Example(_short(finding.message), finding.file, pictures=self._side_by_side(pair))
        if finding.kind == "cross_split_duplicate":
            pictures = self._side_by_side(self._one_a_split(finding))
            return Example(_short(finding.message), finding.file, pictures=pictures)
        row = next((row for row in rows if self.expressions[row].ref_id == finding.id), rows[0])
        expression = self.expressions[row]
        about = f"{finding.split} · ref {expression.ref_id} · {expression.category}"
        message = finding.message.removesuffix(
            f": {expression.sentence!r}"
        )  # the page shows it above the message
        return Example(
            _short(message), finding.file, about, _short(expression.sentence), (self._outlined(row),)
        )

    def _extreme(self, row: int) -> Picture:
        mask = self.inspection.masks[row]
        return self._outlined(row, f"{share_text(mask.share)} · {mask.area:,} px")

    def _one_a_split(self, finding: Finding) -> list[Path]:
        """The first image of a cluster in each of its splits."""
        label = self.clusters.label
        members = np.flatnonzero(label == label[self._position[finding.file]]).tolist()
        first: dict[str, Path] = {}
        for path in (self._images[member] for member in members):
            for split in self._used_in(path):
                first.setdefault(split, path)
        return list(dict.fromkeys(first[split] for split in SPLITS if split in first))

    def _used_in(self, path: Path) -> list[str]:
        used = {self.expressions[row].split for row in self._rows_of[relative(path, self.root)]}
        return [split for split in SPLITS if split in used]

    def _side_by_side(self, paths: Sequence[Path]) -> tuple[Picture, ...]:
        return tuple(self._plain(path, f"{path.name} · {', '.join(self._used_in(path))}") for path in paths)

    def _plain(self, path: Path, caption: str) -> Picture:
        pixels = _thumbnail(path)
        if isinstance(pixels, str):
            return Picture(None, caption=caption, gap=pixels)
        return Picture(data_uri(pixels), f"The image {path.name}", caption)

    def _outlined(self, row: int, caption: str = "") -> Picture:
        """An expression's image with its mask outlined."""
        expression, mask = self.expressions[row], self.inspection.masks[row]
        pixels = _thumbnail(expression.image)
        if isinstance(pixels, str):
            return Picture(None, caption=caption, gap=pixels)
        name = expression.image.name
        if mask.rle is None or not mask.area:
            why = "no mask to outline" if mask.rle is None else "the mask is empty"
            return Picture(data_uri(pixels), f"The image {name}; {why}", caption or why)
        drawn = draw_truth(pixels, _shrunk(mask.rle, pixels.shape[1], pixels.shape[0]))
        alt = f"The image {name} with the mask outlined, {share_text(mask.share)} of it"
        return Picture(data_uri(drawn), alt, caption)


def _thumbnail(path: Path) -> np.ndarray | str:
    """An image file as H x W x 3 uint8 of at most `SIDE` pixels a side; in words why it cannot be shown."""
    try:
        image = decode_image(path.read_bytes()).convert("RGB")
    except FileNotFoundError:
        return "it does not exist"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _shrunk(rle: Rle, width: int, height: int) -> np.ndarray:
    """A mask as height x width of bool; a pixel belongs to it where any part of it does: none is too small to see."""
    mask = decode_mask(rle)
    resized = Image.fromarray(255 * mask).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized) > 0


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
