"""Feature maps: what the stages hand to the decoder, ablation step by ablation step, drawn from features.parquet."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.config import Params
from harness.errors import HarnessError
from harness.report import overlays
from harness.report.wording import number
from harness.stage_maps import STAGES, FeatureMaps, StageMap, read_feature_maps

SIDE = 144  # pixels a side of a picture, at least; a whole multiple of the finest grid's
PALETTE = "cividis"  # perceptually uniform, and nearly the same for all kinds of colour vision


@dataclass(frozen=True)
class StagePicture:
    """One stage of one network; `inside` is None where the map is zero everywhere."""

    image: str  # data URI
    alt: str
    inside: float | None  # percent of the map's sum that lies inside the true mask


@dataclass(frozen=True)
class Step:
    """A row of Table II on one expression: four pictures, or why there are none."""

    name: str
    variant: str
    run: str
    pictures: tuple[StagePicture, ...]
    gap: str | None = None


@dataclass(frozen=True)
class Scale:
    """What a stage's colours stand for: one scale for all rows of an expression."""

    low: float
    high: float
    grids: str  # "24 × 24"


@dataclass(frozen=True)
class Sample:
    """One expression with its image and the rows of Table II."""

    ref_id: int
    sentence: str
    category: str
    image: str  # data URI, the true mask outlined
    covered: float  # percent of the image that the true mask covers
    scales: tuple[Scale, ...]  # of the stages
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Features:
    """The section: the expressions, how they were chosen, and what is missing."""

    samples: tuple[Sample, ...]
    rule: str
    split: str
    bar: str  # data URI: the colours from low to high
    gaps: tuple[str, ...]


def draw_features(params: Params) -> Features:
    """Draw features.parquet with the prepared images; what is missing is said, not an error."""
    try:
        found = read_feature_maps(params.features_file)
    except HarnessError as error:
        return Features((), "", "", "", (f"{error}",))
    rows, gap = _expressions(params, found)
    gaps = [*found.gaps, *([gap] if gap else [])]
    steps = params.tables.table2.rows
    samples = []
    for key in found.samples if not gap else ():
        maps = [
            one for one in found.maps if (one.ref_id, one.sentence) == key and one.variant in steps.values()
        ]
        if key not in rows:
            gaps.append(f"ref {key[0]}: {params.split_file(found.split)} no longer has this expression")
        elif maps:
            try:
                samples.append(_sample(rows[key], maps, steps))
            except (OSError, ValueError, SyntaxError):  # of Pillow and pycocotools
                gaps.append(f"ref {key[0]}: its image or its mask cannot be decoded")
    return Features(tuple(samples), found.rule, found.split, _bar(), tuple(gaps))


def inside_share(norm: np.ndarray, truth: np.ndarray) -> float | None:
    """The share of a map's sum that lies inside a mask, in percent; None if the map is zero.

    Args:
        norm: (H, W), not negative.
        truth: bool, of any size; it is averaged to the map's grid, so that a position at the object's rim counts in
            part and a constant map has the share of the image that the mask covers.
    """
    rows, columns = (_averages(cells, pixels) for cells, pixels in zip(norm.shape, truth.shape, strict=True))
    covered = rows @ truth.astype(np.float64) @ columns.T
    total = float(norm.sum(dtype=np.float64))
    return 100 * float((norm * covered).sum()) / total if total else None


def _averages(cells: int, pixels: int) -> np.ndarray:
    """The matrix (cells, pixels) that averages a line of pixels to fewer cells, which may cut pixels in two."""
    starts, places = np.arange(cells)[:, None] * pixels / cells, np.arange(pixels)[None]
    overlap = np.minimum(starts + pixels / cells, places + 1) - np.maximum(starts, places)
    return np.asarray(overlap.clip(min=0) * cells / pixels)


def _expressions(
    params: Params, found: FeatureMaps
) -> tuple[dict[tuple[int, str], dict[str, Any]], str | None]:
    """The prepared rows of the file's expressions, or why they cannot be had."""
    import pyarrow as pa

    if not found.samples:
        return {}, None
    path = params.split_file(found.split)
    wanted = set(found.samples)
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            keys = list(zip(table["ref_id"].to_pylist(), table["sentence"].to_pylist(), strict=True))
            places = {key: place for place, key in enumerate(keys) if key in wanted}
            return {key: table.slice(place, 1).to_pylist()[0] for key, place in places.items()}, None
    except (OSError, pa.ArrowInvalid, KeyError):
        return {}, f"{path} is missing or cannot be read, so no images and no masks"


def _sample(row: dict[str, Any], maps: Sequence[StageMap], steps: dict[str, str]) -> Sample:
    from PIL import Image

    truth = overlays.decode(row["mask_counts"], row["height"], row["width"])
    finest = max(max(one.norm.shape) for one in maps)
    side = finest * -(-SIDE // finest)
    shown_truth = _enlarged(truth, side)
    with Image.open(io.BytesIO(row["image"])) as opened:
        image = np.asarray(opened.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))
    image = overlays.laid_over(image, overlays.outline_layer(shown_truth))
    scales = []
    for stage in range(1, STAGES + 1):
        of_stage = [one.norm for one in maps if one.stage == stage]
        grids = dict.fromkeys(f"{norm.shape[0]} × {norm.shape[1]}" for norm in of_stage)
        scales.append(
            Scale(
                min(float(norm.min()) for norm in of_stage),
                max(float(norm.max()) for norm in of_stage),
                " and ".join(grids),
            )
        )
    drawn = []
    for name, variant in steps.items():
        own = sorted((one for one in maps if one.variant == variant), key=lambda one: one.stage)
        pictures = tuple(
            _picture(name, one, scale, truth, shown_truth) for one, scale in zip(own, scales, strict=False)
        )
        gap = None if pictures else "No maps of this network"
        drawn.append(Step(name, variant, own[0].run if own else "", pictures, gap))
    return Sample(
        row["ref_id"],
        row["sentence"],
        row["category"],
        overlays.data_uri(image),
        100 * float(truth.mean()),
        tuple(scales),
        tuple(drawn),
    )


def _picture(
    name: str, one: StageMap, scale: Scale, truth: np.ndarray, shown_truth: np.ndarray
) -> StagePicture:
    span = scale.high - scale.low
    shares = (one.norm - scale.low) / span if span else np.zeros_like(one.norm)
    pixels = _enlarged(_colours(shares), len(shown_truth))
    pixels = overlays.laid_over(pixels, overlays.outline_layer(shown_truth))
    inside = inside_share(one.norm, truth)
    share = "it is zero everywhere" if inside is None else f"{inside:.1f}% of its sum inside the true mask"
    height, width = one.norm.shape
    alt = (
        f"{name}, stage {one.stage}: norm from {number(float(one.norm.min()))} to {number(float(one.norm.max()))} on "
        f"{height} by {width} positions; {share}"
    )
    return StagePicture(_picture_uri(pixels), alt, inside)


def _colours(shares: np.ndarray) -> np.ndarray:
    """Values from 0 to 1 of shape (H, W) as colours (H, W, 3), uint8."""
    from matplotlib import colormaps

    return np.asarray(colormaps[PALETTE](shares, bytes=True))[..., :3]


def _bar() -> str:
    return _picture_uri(np.repeat(_colours(np.linspace(0, 1, 160)[None]), 12, axis=0))


def _enlarged(values: np.ndarray, side: int) -> np.ndarray:
    """A map, a picture or a mask at `side` x `side` pixels, each position a square of one value."""
    rows = (np.arange(side) * values.shape[0]) // side
    columns = (np.arange(side) * values.shape[1]) // side
    return np.ascontiguousarray(values[rows][:, columns])


def _picture_uri(pixels: np.ndarray) -> str:
    """A picture (H, W, 3), uint8, without loss."""
    return overlays.webp_uri(overlays.lossless(pixels))
