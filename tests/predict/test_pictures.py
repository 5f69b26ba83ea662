"""Image files of all kinds."""

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from harness.errors import HarnessError
from harness.predicting import pictures
from harness.predicting.pictures import read_picture

PLACE = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_800_000, 0.5, 0.5)}


def write_tiff(path: Path, bands: np.ndarray, meanings=None, **place) -> Path:
    """A TIFF of bands (N, H, W)."""
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", **profile, **place) as raster:
        raster.write(bands)
        if meanings:
            raster.colorinterp = meanings
    return path


@pytest.fixture
def bands(scene: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(scene).transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
def test_pixels_are_those_of_training(scene: Image.Image, tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    scene.convert(mode).save(path)
    picture = read_picture(path)
    assert picture.image.mode == "RGB"
    assert np.array_equal(picture.image, Image.open(path).convert("RGB"))
    assert (picture.georeference, picture.notes) == (None, ())


def test_exif_orientation_is_not_applied_and_said(scene: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    scene.save(tmp_path / "turned.png", exif=exif)
    picture = read_picture(tmp_path / "turned.png")
    assert np.array_equal(picture.image, scene)
    assert "EXIF orientation 6 is not applied" in picture.notes[0]


@pytest.mark.parametrize("kind", ["I;16", "I", "F"])
def test_more_than_8_bits_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"deep.{'png' if kind == 'I;16' else 'tif'}"
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[kind]
    Image.fromarray(np.full((8, 8), 700, dtype)).save(path)
    with pytest.raises(HarnessError, match=r"(more than|not of) 8 bits.*gdal_translate -ot Byte -scale"):
        read_picture(path)


def test_the_largest_image(
    tmp_path: Path, scene: Image.Image, monkeypatch: pytest.MonkeyPatch, recwarn
) -> None:
    scene.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 14_000)  # Pillow warns; it refuses twice as many
    assert read_picture(tmp_path / "a.png").image.size == (150, 100)
    assert not recwarn.list
    monkeypatch.setattr(pictures, "MOST_PIXELS", 14_999)
    with pytest.raises(
        HarnessError, match="150 x 100 pixels, more than the 14,999 allowed; cut it into tiles"
    ):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7_000)
    with pytest.raises(HarnessError, match="more than the 14,999 pixels allowed; cut it into tiles"):
        read_picture(tmp_path / "a.png")
    monkeypatch.undo()
    Image.new("L", (pictures.LONGEST_SIDE + 1, 1)).save(tmp_path / "thin.png")
    with pytest.raises(HarnessError, match="a side may have 65,500"):
        read_picture(tmp_path / "thin.png")


def test_what_is_no_image(tmp_path: Path, scene: Image.Image) -> None:
    (tmp_path / "text.jpg").write_text("a text, not an image")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "start.tif").write_bytes(b"II*\0 and nothing more")
    scene.save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:1500])
    for name, words in (
        ("text.jpg", "is no image that Pillow can read"),
        ("empty.jpg", "is empty"),
        ("start.tif", "start.tif "),
        ("cut.jpg", "cannot be read: .*truncated"),
        ("nosuch.jpg", "does not exist"),
        (".", "is no file"),
        ("long" * 100, "cannot be read"),
    ):
        with pytest.raises(HarnessError, match=words):
            read_picture(tmp_path / name)


@pytest.mark.parametrize(
    "place",
    [
        PLACE,
        PLACE | {"transform": Affine(0.5, 0.1, 500_000, 0.1, -0.5, 5_800_000)},
        {"crs": "EPSG:4326", "transform": from_origin(13, 52, 1e-5, 1e-5)},
        {"transform": from_origin(7, 9, 2, 2)},
        {"crs": "EPSG:32633"},
    ],
    ids=["utm", "rotated", "degrees", "no crs", "no transform"],
)
def test_a_geotiff_brings_its_georeference(tmp_path: Path, bands: np.ndarray, place) -> None:
    picture = read_picture(write_tiff(tmp_path / "a.tif", bands, **place))
    assert np.array_equal(picture.image, bands.transpose(1, 2, 0))
    georeference = picture.georeference
    assert georeference.crs == (rasterio.CRS.from_string(place["crs"]) if "crs" in place else None)
    assert georeference.transform == place.get("transform", Affine.identity())
    assert georeference.record()["crs"] == place.get("crs")
    assert picture.notes == ()


def test_a_tiff_without_georeference_is_a_picture(tmp_path: Path, bands: np.ndarray, recwarn) -> None:
    scene = Image.fromarray(bands.transpose(1, 2, 0))
    scene.save(tmp_path / "a.tif")
    picture = read_picture(tmp_path / "a.tif")
    assert np.array_equal(picture.image, scene)
    assert picture.georeference is None
    assert not recwarn.list


def test_a_world_file_is_a_georeference(tmp_path: Path, scene: Image.Image) -> None:
    scene.save(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("0.5\n0\n0\n-0.5\n500000.25\n5799999.75\n")  # of the first pixel's centre
    georeference = read_picture(tmp_path / "a.tif").georeference
    assert (georeference.crs, georeference.transform) == (None, PLACE["transform"])


def test_which_bands_are_read(tmp_path: Path, bands: np.ndarray) -> None:
    red, green, blue = bands
    near, opaque = 255 - red, np.full_like(red, 255)
    c = ColorInterp
    grey, plain = [red] * 3, list(bands)
    for name, stack, meanings, expected, notes in (
        ("grey", [red], None, grey, 0),
        ("grey and alpha", [red, opaque], None, grey, 0),
        ("alpha", [red, green, blue, opaque], [c.red, c.green, c.blue, c.alpha], plain, 0),
        ("turned", [blue, green, red], [c.blue, c.green, c.red], plain, 0),
        ("near", [near, red, green, blue], [c.undefined, c.red, c.green, c.blue], plain, 1),
    ):
        picture = read_picture(
            write_tiff(tmp_path / f"{name}.tif", np.stack(stack), meanings, **PLACE, alpha="yes")
        )
        assert np.array_equal(picture.image, np.stack(expected, axis=-1)), name
        assert len(picture.notes) == notes, name
    colors = {index: (index, 255 - index, 7, 255) for index in range(256)}
    with rasterio.open(write_tiff(tmp_path / "palette.tif", red[None], **PLACE), "r+") as raster:
        raster.write_colormap(1, colors)
    picture = read_picture(tmp_path / "palette.tif")
    assert np.array_equal(picture.image, np.stack([red, 255 - red, np.full_like(red, 7)], axis=-1))
    assert picture.georeference is not None


def test_bands_that_are_no_picture(tmp_path: Path, bands: np.ndarray) -> None:
    five = write_tiff(
        tmp_path / "five.tif", np.concatenate([bands, bands[:2]]), [ColorInterp.undefined] * 5, **PLACE
    )
    with pytest.raises(HarnessError, match=r"has 5 bands .*gdal_translate -b"):
        read_picture(five)
    deep = write_tiff(tmp_path / "deep.tif", bands.astype(np.uint16), **PLACE)
    with pytest.raises(HarnessError, match=r"bands of type uint16, not of 8 bits.*gdal_translate"):
        read_picture(deep)


def test_half_a_geotiff(tmp_path: Path, bands: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_tiff(tmp_path / "a.tif", bands, compress="deflate", **PLACE)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(HarnessError, match=r"a\.tif cannot be read"):
        read_picture(path)
    assert capfd.readouterr() == ("", "")


def test_without_rasterio_a_geotiff_is_a_picture(
    tmp_path: Path, bands: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "a.tif", bands, **PLACE)
    many = write_tiff(tmp_path / "many.tif", np.concatenate([bands, bands]), **PLACE)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    picture = read_picture(path)
    assert np.array_equal(picture.image, bands.transpose(1, 2, 0))
    assert picture.georeference is None
    assert "pip install rasterio" in picture.notes[0]
    with pytest.raises(HarnessError, match="TIFF of a kind that Pillow cannot read"):
        read_picture(many)
