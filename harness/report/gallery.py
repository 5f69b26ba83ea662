"""The gallery of predictions: which test samples, chosen by a rule, and for each its pictures and figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.breakdowns import SIZES, bin_of
from harness.config import Params
from harness.errors import HarnessError
from harness.report import overlays
from harness.report.predictions import KEY, Expression, Predictions, read_predictions
from harness.report.selection import choose, leaders, rule

PICTURES = 1_800_000  # bytes of all pictures as files; a third more in the page, which has to stay below 5 MB
MOST_A_SAMPLE = 12_000  # bytes, where few samples are shown
UNKNOWN_SIZE = "size not known"


@dataclass(frozen=True)
class Tile:
    """One picture of a sample, laid over its photograph, or in words why there is none."""

    label: str
    image: str | None = None  # data URI of what lies over the photograph
    alt: str = ""
    caption: str = ""
    gap: str | None = None


@dataclass(frozen=True)
class Sample:
    """One test expression with its photograph, the true mask and each model's prediction."""

    ref_id: int
    sentence: str
    category: str
    size: str  # one of SIZES, or UNKNOWN_SIZE
    share: float | None  # of the image that the object covers, in percent
    half: str  # a key of HALVES
    ious: tuple[float | None, ...]  # in percent, in the order of the models; None without a run
    best: tuple[str, ...]  # the models with the highest IoU, or within TIE of it
    winner: str  # "0", "1", ... of the models, "tie", or "none" where fewer than two are compared
    photograph: str | None  # data URI
    no_photograph: str
    tiles: tuple[Tile, ...]  # the truth, then each model

    @property
    def _known(self) -> list[float]:
        return [iou for iou in self.ious if iou is not None]

    @property
    def mean(self) -> float:
        """Mean IoU of the models, in percent."""
        return float(np.mean(self._known))

    @property
    def spread(self) -> float:
        """Highest less lowest IoU of the models, in points."""
        return max(self._known) - min(self._known)


@dataclass(frozen=True)
class Gallery:
    """The chosen samples, how they were chosen, and what is missing."""

    models: tuple[str, ...]
    samples: tuple[Sample, ...]  # the largest disagreement first
    rule: tuple[str, ...]
    runs: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def compared(self) -> bool:
        """Whether two models or more have predictions, so that one can be ahead."""
        return len(self.runs) > 1

    def count(self, name: str, value: str) -> int:
        """How many samples have this category, size, half or winner."""
        return sum(getattr(sample, name) == value for sample in self.samples)

    @property
    def categories(self) -> list[str]:
        """Those that occur, in alphabetical order."""
        return sorted({sample.category for sample in self.samples})

    @property
    def sizes(self) -> list[str]:
        """The bins of size that occur, in their order."""
        return [size for size in (*SIZES, UNKNOWN_SIZE) if self.count("size", size)]


def _tile(
    model: Predictions, key: Expression, iou: float | None, truth: np.ndarray
) -> tuple[Tile, tuple[np.ndarray, np.ndarray] | None]:
    """A model's tile, still without its picture, and what that compares: true and predicted mask."""
    if iou is None:
        return Tile(model.label, gap=model.gap or f"No run of {model.label} with predictions"), None
    if key not in model.masks:
        return Tile(model.label, gap="No prediction for this expression"), None
    counts, height, width = model.masks[key]
    try:
        predicted = overlays.decode(counts, height, width)
    except ValueError:  # counts that do not fill the height and width beside them
        return Tile(model.label, gap="The stored prediction cannot be decoded"), None
    true = overlays.resize(truth, width, height)
    hits, false, missed = ((predicted & true).sum(), (predicted & ~true).sum(), (true & ~predicted).sum())
    alt = (
        f"{model.label}: IoU {iou:.1f}; {hits} pixels hit, {false} falsely predicted, {missed} missed "
        f"of {width} by {height}"
    )
    return Tile(model.label, None, alt, f"IoU {iou:.1f}"), (true, predicted)


def _tiles(
    row: dict[str, Any],
    share: float | None,
    models: Sequence[Predictions],
    ious: Sequence[float | None],
    most: int,
) -> tuple[tuple[Tile, ...], int]:
    """The truth's and each model's tile of a sample, and the bytes of their pictures (at most `most`)."""
    try:
        truth = overlays.decode(row["mask_counts"], row["height"], row["width"])
    except ValueError:
        gap = "The true mask cannot be decoded"
        return tuple(Tile(label, gap=gap) for label in ("Truth", *(model.label for model in models))), 0
    key = (row["ref_id"], row["sentence"])
    found = [_tile(model, key, iou, truth) for model, iou in zip(models, ious, strict=True)]
    outlined, drawn = overlays.small_layers(truth, [pair for _, pair in found if pair is not None], most)
    covers = "" if share is None else f"; it covers {share:.1f}% of the image"
    alt = f"The object meant, outlined{covers}" if truth.any() else "The true mask is empty"
    caption = "" if share is None else f"{share:.1f}% of image"
    tiles = [Tile("Truth", overlays.webp_uri(outlined), alt, caption)]
    pictures = iter(drawn)
    for tile, pair in found:
        tiles.append(tile if pair is None else replace(tile, image=overlays.webp_uri(next(pictures))))
    return tuple(tiles), sum(map(len, (outlined, *drawn)))


def draw_sample(
    row: dict[str, Any],
    half: str,
    size: str,
    share: float | None,
    models: Sequence[Predictions],
    ious: tuple[float | None, ...],
    most: int = MOST_A_SAMPLE,
) -> Sample:
    """One sample of the gallery.

    Args:
        row: of the prepared Arrow file.
        half: a key of HALVES.
        size: its bin.
        share: of the image that the object covers, in percent; None if not known.
        models: with their stored masks.
        ious: of each model, in percent; None without a run.
        most: bytes of its pictures together.
    """
    tiles, taken = _tiles(row, share, models, ious, most // 2)
    photograph, gap = None, ""
    try:
        photograph = overlays.webp_uri(overlays.small_photograph(row["image"], most - taken))
    except OSError:
        gap = "The photograph cannot be read"
    ahead = leaders(ious)
    compared = sum(iou is not None for iou in ious) > 1
    winner = "none" if not compared else "tie" if len(ahead) > 1 else str(ahead[0])
    best = tuple(models[place].label for place in ahead)
    names = (row["ref_id"], row["sentence"], row["category"])
    return Sample(*names, size, share, half, ious, best, winner, photograph, gap, tiles)


def read_gallery(params: Params) -> Gallery:
    """Draw params.report.gallery test samples with the predictions of Table I's models.

    Only the samples shown are decoded. A missing file is no error: `gaps` says what is missing, in words.
    """
    import pyarrow as pa

    models = read_predictions(params)
    tables = {model.label: model.samples for model in models if model.samples is not None}
    gaps = [model.gap for model in models if model.gap]

    def gallery(samples: Sequence[Sample] = (), how: tuple[str, ...] = ()) -> Gallery:
        runs = tuple(model.run for model in models if model.run and model.samples is not None)
        labels = tuple(model.label for model in models)
        return Gallery(labels, tuple(samples), how, runs, tuple(gaps))

    if not tables or not params.report.gallery:
        return gallery()
    path = params.split_file("test")
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid):
        gaps.append(f"{path} is missing or cannot be read, so no images")
        return gallery()
    positions = {
        key: place for place, key in enumerate(zip(*(table[name].to_pylist() for name in KEY), strict=True))
    }
    iou = 100 * pd.concat({label: each["iou"] for label, each in tables.items()}, axis=1, join="inner")
    iou = iou[[key in positions for key in iou.index]]
    if iou.empty:
        gaps.append(f"{path} and the per-sample tables have no expression in common")
        return gallery()
    available = len(iou)
    halves = choose(iou, params.report.gallery)
    chosen = pd.MultiIndex.from_tuples(halves, names=KEY)
    iou = iou.loc[chosen]
    described = next(iter(tables.values())).loc[chosen].reset_index()
    try:
        sizes = bin_of(described, "size").astype(str).tolist()
        shares = (100 * described["area_share"]).tolist()
    except HarnessError as error:
        gaps.append(f"Sizes of objects: {error}")
        sizes, shares = [UNKNOWN_SIZE] * len(iou), [None] * len(iou)
    most = min(MOST_A_SAMPLE, PICTURES // len(iou))
    samples = []
    for place, (key, half) in enumerate(halves.items()):
        row = table.slice(positions[key], 1).to_pylist()[0]
        known = {str(label): float(value) for label, value in iou.iloc[place].items()}
        ious = tuple(known.get(model.label) for model in models)
        samples.append(draw_sample(row, half, sizes[place], shares[place], models, ious, most))
    return gallery(samples, rule(list(halves.values()), available, list(tables)))
