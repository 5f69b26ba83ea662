"""Predictions drawn on test images: which samples, and the pictures as data URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.config import Params
from harness.errors import HarnessError
from harness.report.inputs import PROTOCOL
from harness.samples import read_samples

TILE = 208  # pixels a side of the pictures in the page
KEY = ["ref_id", "sentence"]  # an expression

# Okabe and Ito's palette, chosen to be told apart with any colour vision; lightness differs as well.
HIT = (86, 180, 233)  # sky blue: predicted and true
FALSE = (213, 94, 0)  # vermillion: predicted, not true
MISS = (240, 228, 66)  # yellow, hatched: true, not predicted


@dataclass(frozen=True)
class Tile:
    """One picture of a row, or in words why there is none."""

    label: str
    image: str | None  # data URI
    alt: str = ""
    caption: str = ""
    gap: str | None = None


@dataclass(frozen=True)
class Overlay:
    """One test expression with its image, truth and each model's prediction."""

    ref_id: int
    sentence: str
    category: str
    mean_iou: float  # of the models shown, in percent
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Overlays:
    """The chosen samples, how they were chosen, and what is missing."""

    rows: tuple[Overlay, ...]
    rule: str
    runs: tuple[str, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class _Predictions:
    """A model's run on the test split; a gap where its files are missing."""

    label: str
    run: str | None
    iou: pd.Series | None = None  # by (ref_id, sentence)
    masks: pd.DataFrame | None = None  # prediction, height, width by (ref_id, sentence)
    gap: str | None = None


def _load(label: str, run: str, folder: Path) -> _Predictions:
    try:
        samples = read_samples(folder / f"test.{PROTOCOL}.parquet")
    except HarnessError:
        return _Predictions(label, run, gap=f"{run}: no per-sample table of test")
    try:
        masks = pd.read_parquet(
            folder / "predictions.parquet", columns=[*KEY, "prediction", "height", "width"]
        )
    except (OSError, ValueError):  # pyarrow's errors are among them
        return _Predictions(label, run, gap=f"{run}: predictions.parquet is missing or cannot be read")
    unique = [frame.drop_duplicates(KEY).set_index(KEY) for frame in (samples, masks)]
    return _Predictions(label, run, unique[0]["iou"], unique[1])


def _first_common_seed(params: Params, variants: Sequence[str]) -> dict[str, str]:
    """Variant -> run: of the first seed that all of them have; of each one's first seed if there is none."""
    runs: dict[str, dict[int, str]] = {variant: {} for variant in variants}
    for name, run in params.runs.items():
        if run.variant in runs and (params.run_dir(name) / "predictions.parquet").exists():
            runs[run.variant][run.seed] = name
    there = [set(seeds) for seeds in runs.values() if seeds]
    common = sorted(set.intersection(*there)) if there else []
    return {
        variant: seeds[common[0]] if common else seeds[min(seeds)] for variant, seeds in runs.items() if seeds
    }


def _decode(counts: str, height: int, width: int) -> np.ndarray:
    from pycocotools import mask

    return mask.decode({"size": [int(height), int(width)], "counts": str(counts).encode("ascii")}).astype(
        bool
    )


def _resize(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    if mask.shape == (height, width):
        return mask
    return (
        np.asarray(Image.fromarray(mask.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))
        > 0
    )


def _edge(mask: np.ndarray, thickness: int = 1) -> np.ndarray:
    """The pixels just outside the mask."""
    grown = mask.copy()
    for _ in range(thickness):
        padded = np.pad(grown, 1)
        grown = (
            padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        )
    return grown & ~mask


def _blend(pixels: np.ndarray, where: np.ndarray, color: tuple[int, int, int], share: float) -> None:
    pixels[where] = (1 - share) * pixels[where] + share * np.asarray(color, dtype=float)


def _outlined(pixels: np.ndarray, truth: np.ndarray) -> None:
    """Draw the truth's outline, white with a dark rim, so that it shows on any ground."""
    line = _edge(truth)
    pixels[_edge(truth | line)] = (20, 20, 20)
    pixels[line] = (255, 255, 255)


def draw_prediction(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Draw a prediction over its image.

    Args:
        image: H x W x 3, uint8.
        truth: H x W, bool.
        prediction: H x W, bool.

    Returns:
        H x W x 3, uint8: hits, false positives and (hatched) misses in colours, the truth outlined.
    """
    grey = image.astype(float).mean(axis=2, keepdims=True)
    pixels = 0.35 * image + 0.65 * grey  # paler than the photograph, so that the colours stand out
    rows, columns = np.indices(truth.shape)
    _blend(pixels, truth & prediction, HIT, 0.62)
    _blend(pixels, prediction & ~truth, FALSE, 0.72)
    missed = truth & ~prediction
    stripes = (rows + columns) % 8 < 5
    _blend(pixels, missed & stripes, MISS, 0.85)
    _blend(pixels, missed & ~stripes, (40, 38, 0), 0.6)
    _outlined(pixels, truth)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def draw_truth(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Draw the true mask's outline over its image, with the rest of the image darkened (H x W x 3, uint8)."""
    pixels = image.astype(float)
    pixels[~truth] *= 0.45
    _outlined(pixels, truth)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def data_uri(pixels: np.ndarray) -> str:
    """An H x W x 3 uint8 array as a WebP data URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=82, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def quantile_spread(mean_iou: pd.Series, count: int) -> pd.Index:
    """Choose `count` samples at evenly spaced ranks of their mean IoU, the worst ones first.

    Args:
        mean_iou: by (ref_id, sentence).
        count: how many; fewer where there are not so many samples.
    """
    ordered = mean_iou.sort_index().sort_values(kind="stable")
    count = min(count, len(ordered))
    ranks = [int((place + 0.5) / count * len(ordered)) for place in range(count)]
    return ordered.index[ranks]


def _tiles(row: dict[str, Any], models: Sequence[_Predictions]) -> tuple[Tile, ...]:
    from PIL import Image

    sentence = row["sentence"]
    with Image.open(io.BytesIO(row["image"])) as opened:
        image = np.asarray(opened.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS))
    truth = _decode(row["mask_counts"], row["height"], row["width"])
    shown_truth = _resize(truth, TILE, TILE)
    share = 100 * truth.mean()
    tiles = [
        Tile(
            "Image",
            data_uri(image),
            f"Aerial image for \N{LEFT DOUBLE QUOTATION MARK}{sentence}\N{RIGHT DOUBLE QUOTATION MARK}",
        ),
        Tile(
            "Truth",
            data_uri(draw_truth(image, shown_truth)),
            f"The object meant, outlined; it covers {share:.1f}% of the image",
            f"{share:.1f}% of image",
        ),
    ]
    key = (row["ref_id"], sentence)
    for model in models:
        if model.masks is None or model.iou is None:
            tiles.append(
                Tile(model.label, None, gap=model.gap or f"No run of {model.label} with predictions")
            )
            continue
        if key not in model.masks.index:
            tiles.append(Tile(model.label, None, gap="No prediction for this expression"))
            continue
        found = model.masks.loc[key]
        height, width = int(found["height"]), int(found["width"])
        try:
            predicted = _decode(found["prediction"], height, width)
        except ValueError:  # counts that do not fill the height and width beside them
            tiles.append(Tile(model.label, None, gap="The stored prediction cannot be decoded"))
            continue
        true = _resize(truth, width, height)
        hits, false, missed = ((predicted & true).sum(), (predicted & ~true).sum(), (true & ~predicted).sum())
        drawn = draw_prediction(image, _resize(true, TILE, TILE), _resize(predicted, TILE, TILE))
        iou = 100 * float(model.iou.loc[key])
        alt = (
            f"{model.label}: IoU {iou:.1f}; {hits} pixels hit, {false} falsely predicted, {missed} missed "
            f"of {width} by {height}"
        )
        tiles.append(Tile(model.label, data_uri(drawn), alt, f"IoU {iou:.1f}"))
    return tuple(tiles)


def draw_overlays(params: Params) -> Overlays:
    """Draw params.report.overlays test samples with the predictions of Table I's models.

    Returns:
        The rows from the worst to the best mean IoU; `gaps` says what is missing, in words.
    """
    import pyarrow as pa

    rows = params.tables.table1.rows
    chosen_runs = _first_common_seed(params, tuple(rows.values()))
    models = [
        _load(name, chosen_runs[variant], params.run_dir(chosen_runs[variant]))
        if variant in chosen_runs
        else _Predictions(name, None, gap=f"No run of {variant} has predictions.parquet")
        for name, variant in rows.items()
    ]
    there = [model for model in models if model.iou is not None]
    gaps = tuple(model.gap for model in models if model.gap)
    runs = tuple(model.run for model in there if model.run)
    rule = ""
    path = params.split_file("test")
    if not there or not params.report.overlays:
        return Overlays((), rule, runs, gaps)
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid):
        return Overlays((), rule, runs, (*gaps, f"{path} is missing or cannot be read, so no images"))
    positions = {
        key: place for place, key in enumerate(zip(*(table[name].to_pylist() for name in KEY), strict=True))
    }
    mean_iou = pd.concat([model.iou for model in there], axis=1, join="inner").mean(axis=1)
    mean_iou = mean_iou[[key in positions for key in mean_iou.index]]
    if mean_iou.empty:
        return Overlays(
            (), rule, runs, (*gaps, f"{path} and the per-sample tables have no expression in common")
        )
    overlays = []
    for key in quantile_spread(mean_iou, params.report.overlays):
        row = table.slice(positions[key], 1).to_pylist()[0]
        overlays.append(
            Overlay(
                row["ref_id"],
                row["sentence"],
                row["category"],
                100 * float(mean_iou.loc[key]),
                _tiles(row, models),
            )
        )
    names = " and ".join(
        [", ".join(m.label for m in there[:-1]), there[-1].label] if len(there) > 1 else [there[0].label]
    )
    rule = (
        f"The {len(mean_iou):,} test expressions were ordered by the mean IoU of {names}, cut into "
        f"{len(overlays)} parts of equal size, and the middle one of each part is shown, the worst first. "
        "None was picked by hand."
    )
    return Overlays(tuple(overlays), rule, runs, gaps)
