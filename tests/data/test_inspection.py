import io

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from harness.data import Rle
from harness.data.inspection import decode_mask, inspect, inspect_image, inspect_mask, run_lengths
from harness.data.refer import read_rrsisd


def encode(mask):
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle(*rle["size"], rle["counts"].decode())


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (37, 53), (800, 800)])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_area_and_center_are_those_of_the_decoded_mask(shape, density):
    mask = np.random.default_rng(1).random(shape) < density
    facts = inspect_mask(encode(mask))
    assert facts.area == mask.sum()
    assert facts.share == mask.mean()
    if mask.any():
        ys, xs = np.nonzero(mask)
        assert facts.center == pytest.approx(((xs.mean() + 0.5) / shape[1], (ys.mean() + 0.5) / shape[0]))
    else:
        assert np.isnan(facts.center).all()


def test_long_runs_are_read():
    mask = np.zeros((3000, 3000), bool)
    mask[100:-100, 1000:] = True
    runs = run_lengths(encode(mask))
    assert runs.sum() == mask.size
    assert runs[1::2].sum() == mask.sum()


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("", "no compressed run-length"),
        ("ä", "no compressed run-length"),
        ("~~~", "no compressed run-length"),
        ("Xe2", "do not cover"),
        ("P", "middle of a number"),
        ("P" * 20 + "0", "more than 60 bits"),
        ("O", "do not cover"),  # a run of -1
    ],
)
def test_damaged_encodings_are_refused(counts, reason):
    facts = inspect_mask(Rle(40, 40, counts))
    assert facts.rle is None
    assert reason in facts.problem


def test_runs_of_another_size_are_refused():
    counts = encode(np.eye(40)).counts
    assert inspect_mask(Rle(40, 40, counts)).rle is not None
    assert "do not cover 40 x 41" in inspect_mask(Rle(40, 41, counts)).problem


def test_a_mask_of_many_gigabytes_is_refused():
    assert "more than the" in inspect_mask(Rle(65535, 65535, encode(np.eye(4)).counts)).problem


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "LA", "RGBA"])
def test_mask_files_are_what_is_above_zero(tmp_path, mode):
    mask = np.zeros((30, 20), np.uint8)
    mask[5:9, 3:7] = 255
    Image.fromarray(mask).convert(mode).save(tmp_path / "mask.tif")
    facts = inspect_mask(tmp_path / "mask.tif")
    assert facts.rle == encode(mask > 0)
    assert facts.area == 16
    assert inspect_mask(tmp_path / "no.tif").missing


def jpeg(size=(90, 70), quality=90):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>not found</html>", "it is no image"),
        (jpeg()[:200], "truncated"),
        (jpeg()[:-400], "truncated"),
        (jpeg()[:-2], "truncated"),
    ],
)
def test_images_are_decoded_to_their_end(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    facts = inspect_image(path)
    assert facts.size is None
    assert facts.hash is None
    assert reason in facts.problem.lower()


def test_a_decompression_bomb_is_no_image(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    assert path.stat().st_size < 100_000
    assert "decompression bomb" in inspect_image(path).problem


def test_a_missing_image_and_a_folder_in_its_place(tmp_path):
    assert inspect_image(tmp_path / "no.jpg").missing
    assert not inspect_image(tmp_path).missing
    assert inspect_image(tmp_path).size is None


def test_workers_agree_and_images_are_read_once(prepared):
    expressions = list(read_rrsisd(prepared.data.root))
    counted = []
    alone = inspect(expressions * 2, 1, counted.append)
    assert sum(counted) == 80
    assert len(alone.images) == 40
    together = inspect(expressions * 2, 2)
    assert list(together.images.items()) == list(alone.images.items())
    assert together.masks == alone.masks
    assert alone.masks[:40] == alone.masks[40:]


@pytest.mark.parametrize("counts", ["o", "1o", "m04500000>M^o", "P" * 20, "0" * 100, "", "\x00"])
def test_what_c_would_read_past_its_end_is_refused_before(counts):
    with pytest.raises(ValueError, match=r"its (counts|runs)"):
        decode_mask(Rle(9, 9, counts))


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="-9 x -9 is no size"):
        decode_mask(Rle(-9, -9, encode(np.eye(9)).counts))


def test_masks_are_decoded_as_pycocotools_does():
    mask = (np.random.default_rng(2).random((37, 53)) < 0.3).astype(np.uint8)
    decoded = decode_mask(encode(mask))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, mask)
