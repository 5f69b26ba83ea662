"""Image files as the networks take them: RGB, 8 bits a channel, the pixels in the order in which they are stored.

What training does to an image is done here, too: Pillow's `convert("RGB")`, no rotation by an EXIF tag. What training
never sees and what has no one rendering in 8 bits (16-bit images, rasters of many bands) is refused.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from harness.errors import HarnessError

MOST_PIXELS = 2 * 89_478_485  # at which Pillow by default takes an image for a decompression bomb
LONGEST_SIDE = 65_500  # pixels, of a JPEG, which the overlay is
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
GEO_TAGS = (33550, 33922, 34264, 34735)  # pixel scale, tie points, transformation, keys
ORIENTATION = 0x0112  # of EXIF; 1 is upright
TILES = "cut it into tiles"
TO_EIGHT_BITS = "scale it to 8 bits first, for example with `gdal_translate -ot Byte -scale IN OUT`"


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies, as rasterio has it."""

    crs: Any  # rasterio.crs.CRS; None: unknown
    transform: Any  # affine.Affine from (column, row) to coordinates

    def record(self) -> dict[str, Any]:
        """CRS ("EPSG:32633", else WKT) and the six numbers a, b, c, d, e, f of the transform."""
        return {"crs": self.crs.to_string() if self.crs else None, "transform": list(self.transform)[:6]}


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file that was read."""

    image: Image.Image  # RGB
    georeference: Georeference | None = None
    notes: tuple[str, ...] = ()  # what its owner should know of how it was read


def read_picture(path: Path | str) -> Picture:
    """Read an image file; of several frames or pages the first.

    Raises:
        HarnessError: it is missing, no image, damaged, too large, or has more than 8 bits a channel or other bands than
            grey or red, green and blue.
    """
    path = Path(path)
    is_tiff = False
    try:
        if not path.is_file():
            raise HarnessError(f"{path} {'is no file' if path.exists() else 'does not exist'}")
        with path.open("rb") as file:
            is_tiff = file.read(4) in TIFF_STARTS
        return (is_tiff and _read_raster(path)) or _read_with_pillow(path)
    except HarnessError:
        raise
    except UnidentifiedImageError:
        problem = "is no image that Pillow can read" if path.stat().st_size else "is empty"
        if is_tiff:
            problem = "is a TIFF of a kind that Pillow cannot read; save it with three bands of 8 bits"
        raise HarnessError(f"{path} {problem}") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and others
        raise HarnessError(f"{path} cannot be read: {error or type(error).__name__}") from None


def to_rgb(image: Image.Image, where: str) -> Image.Image:
    """An image of any mode as RGB: grey three times, a palette looked up, an alpha channel dropped.

    Raises:
        HarnessError: it has more than 8 bits a channel.
    """
    if image.mode.startswith(("I", "F")):
        raise HarnessError(f"{where} has more than 8 bits a channel (mode {image.mode}); {TO_EIGHT_BITS}")
    return image if image.mode == "RGB" else image.convert("RGB")


def _read_with_pillow(path: Path) -> Picture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images, ours is the limit below; of odd tags
        try:
            image = Image.open(path)
        except Image.DecompressionBombError:
            raise HarnessError(f"{path} has more than the {MOST_PIXELS:,} pixels allowed; {TILES}") from None
        with image:
            _require_size(path, *image.size)
            image.load()
            return Picture(to_rgb(image, str(path)), notes=_not_applied(image))


def _not_applied(image: Image.Image) -> tuple[str, ...]:
    """What a file says of its pixels and Pillow's image does not keep to."""
    notes = []
    if isinstance(image, TiffImagePlugin.TiffImageFile) and any(tag in image.tag_v2 for tag in GEO_TAGS):
        notes.append("its georeference is not passed on to the mask: that needs `pip install rasterio`")
    if (turned := image.getexif().get(ORIENTATION, 1)) != 1:
        notes.append(
            f"EXIF orientation {turned} is not applied, as in training; mask and box are those of the stored pixels"
        )
    return tuple(notes)


def _read_raster(path: Path) -> Picture | None:
    """A TIFF with a georeference; None where it has none, or without rasterio.

    Raises:
        HarnessError: its bands are not what the networks take, georeference or not.
    """
    try:
        import rasterio
    except ImportError:
        return None
    from rasterio.enums import ColorInterp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            raster = rasterio.open(path, driver="GTiff")
        except rasterio.errors.RasterioIOError:
            return None  # Pillow may read it; if not, it says why
    with raster:
        _require_size(path, raster.width, raster.height)
        bands = _bands(path, raster)
        if raster.crs is None and raster.transform.is_identity:
            return None
        georeference = Georeference(raster.crs, raster.transform)
        if ColorInterp.palette in raster.colorinterp:
            return Picture(_read_with_pillow(path).image, georeference)
        image = Image.fromarray(np.ascontiguousarray(raster.read(bands).transpose(1, 2, 0)))
        left_out = [
            index
            for index, meaning in zip(raster.indexes, raster.colorinterp, strict=True)
            if index not in bands and meaning != ColorInterp.alpha
        ]
        notes = (f"its bands {', '.join(map(str, left_out))} are not looked at",) if left_out else ()
        return Picture(image, georeference, notes)


def _bands(path: Path, raster: Any) -> list[int]:
    """The bands, from 1, that are red, green and blue: as they are tagged, else three, or one three times."""
    from rasterio.enums import ColorInterp

    if wide := [kind for kind in raster.dtypes if kind != "uint8"]:
        raise HarnessError(f"{path} has bands of type {wide[0]}, not of 8 bits; {TO_EIGHT_BITS}")
    meanings = list(raster.colorinterp)
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(color in meanings for color in colors):
        return [meanings.index(color) + 1 for color in colors]
    seen = [
        index for index, meaning in zip(raster.indexes, meanings, strict=True) if meaning != ColorInterp.alpha
    ]
    if len(seen) == 1:
        return seen * 3
    if len(seen) == 3:
        return seen
    listed = ", ".join(meaning.name for meaning in meanings)
    raise HarnessError(
        f"{path} has {raster.count} bands ({listed}), none tagged as red, green and blue; write the three first, "
        "for example with `gdal_translate -b 3 -b 2 -b 1 -colorinterp red,green,blue IN OUT.tif`"
    )


def _require_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise HarnessError(
            f"{path} has {width:,} x {height:,} pixels, more than the {MOST_PIXELS:,} allowed; {TILES}"
        )
    if max(width, height) > LONGEST_SIDE:
        raise HarnessError(
            f"{path} has {width:,} x {height:,} pixels; a side may have {LONGEST_SIDE:,}; {TILES}"
        )
