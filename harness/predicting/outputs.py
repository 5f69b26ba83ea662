"""The files of a prediction: mask, overlay and record, all there or none new."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness import __version__
from harness.files import replace_together
from harness.predicting.inputs import Pair, shown
from harness.predicting.pictures import Georeference, Picture
from harness.predicting.predictor import Prediction, Predictor
from harness.provenance import package_versions
from harness.report.overlays import HIT, OUTLINE, RIM, edge

SCHEMA_VERSION = 1
FILL = (*HIT[:3], 110)  # what is under it stays visible
PIXELS_A_LINE = 400  # of the image's shorter side for each pixel of the outline's thickness


@dataclass(frozen=True)
class Source:
    """What predicts, for the record."""

    model: str
    weights: str
    sha256: str
    run: str | None  # of the harness; None for weights from elsewhere
    versions: dict[str, str | None]

    @classmethod
    def of(cls, predictor: Predictor, weights: Path) -> "Source":
        """Of a predictor and its weights file."""
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        opened = predictor.opened
        versions = {"harness": __version__, **package_versions()}
        return cls(opened.model, shown(weights), digest, opened.description.get("run"), versions)


def write_prediction(
    folder: Path, pair: Pair, picture: Picture, prediction: Prediction, source: Source
) -> None:
    """Write `<stem>.mask.png`, `.overlay.jpg` and `.json`, and `.mask.tif` for a picture with a georeference.

    Raises:
        HarnessError: they cannot be written; what was there is unchanged.
    """
    raster = folder / f"{pair.stem}.mask.tif"
    paths = {
        "mask": folder / f"{pair.stem}.mask.png",
        "overlay": folder / f"{pair.stem}.overlay.jpg",
        **({"raster": raster} if picture.georeference else {}),
    }
    pixels = prediction.mask.astype(np.uint8) * 255
    with replace_together([*paths.values(), folder / f"{pair.stem}.json"]) as temporary:
        mask, overlay, *rest = temporary
        Image.fromarray(pixels).save(mask, format="PNG")
        draw_overlay(picture.image, prediction).save(overlay, format="JPEG", quality=90, subsampling=0)
        if picture.georeference:
            write_raster(rest[0], pixels, picture.georeference)
        record = _record(pair, picture, prediction, source)
        record["files"] = {kind: path.name for kind, path in paths.items()}
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        rest[-1].write_text(text + "\n", encoding="utf-8")
    if not picture.georeference:
        raster.unlink(missing_ok=True)  # of an earlier image under this path


def draw_overlay(image: Image.Image, prediction: Prediction) -> Image.Image:
    """A copy of an RGB image; over it the predicted mask in blue with a white line and a dark rim around it."""
    drawn = image.copy()
    if prediction.box is None:
        return drawn
    thickness = max(1, round(min(image.size) / PIXELS_A_LINE))
    reach = 2 * thickness
    x, y, width, height = prediction.box  # all that is drawn is there, or near
    left, top = max(x - reach, 0), max(y - reach, 0)
    mask = prediction.mask[top : y + height + reach, left : x + width + reach]
    line = edge(mask, thickness)
    rim = edge(mask | line, max(1, thickness // 2))
    for where, (*color, opacity) in ((mask, FILL), (line, OUTLINE), (rim, RIM)):
        drawn.paste(tuple(color), (left, top), Image.fromarray(where.astype(np.uint8) * np.uint8(opacity)))
    return drawn


def write_raster(path: Path, pixels: np.ndarray, georeference: Georeference) -> None:
    """Write uint8 pixels (H, W) as a GeoTIFF."""
    from rasterio.io import MemoryFile

    height, width = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8"}
    place = {"crs": georeference.crs, "transform": georeference.transform}
    with MemoryFile() as file:  # GDAL itself would not say that the disk is full as others do
        with file.open(**profile, **place, compress="deflate") as raster:
            raster.write(pixels, 1)
        path.write_bytes(file.read())


def _record(pair: Pair, picture: Picture, prediction: Prediction, source: Source) -> dict[str, Any]:
    height, width = prediction.mask.shape
    return {
        "schema_version": SCHEMA_VERSION,
        "image": shown(pair.image),
        "sentence": prediction.sentence,
        "sentence_read": prediction.read,
        "truncated": prediction.truncated,
        "height": height,
        "width": width,
        "area": prediction.area,
        "share": prediction.share,
        "box": prediction.box,
        "confidence": prediction.confidence,
        "georeference": picture.georeference.record() if picture.georeference else None,
        "notes": list(picture.notes),
        "model": source.model,
        "weights": {"file": source.weights, "sha256": source.sha256, "run": source.run},
        "versions": source.versions,
    }
