import io
import itertools

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from harness.data.drawing.synthetic import make_scene
from harness.data.duplicates import MOST_BITS, find_clusters, perceptual_hash


@pytest.fixture(scope="module")
def pictures():
    return [Image.fromarray(make_scene(index, 160, seed=7)[0].image) for index in range(1, 25)]


def bits(a, b):
    return int(np.bitwise_count(np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)).sum())


def saved_again(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: saved_again(image, 50),
        lambda image: image.resize((120, 120), Image.Resampling.BILINEAR),
        lambda image: ImageEnhance.Brightness(image).enhance(1.15),
        lambda image: ImageEnhance.Contrast(image).enhance(0.8),
        lambda image: image.convert("RGBA"),
    ],
    ids=["saved-again", "smaller", "brighter", "less-contrast", "other-mode"],
)
def test_copies_are_near_duplicates(pictures, copy):
    for picture in pictures:
        assert bits(perceptual_hash(picture), perceptual_hash(copy(picture))) <= MOST_BITS


def test_different_pictures_are_not(pictures):
    hashes = [perceptual_hash(picture) for picture in pictures]
    assert min(bits(a, b) for a, b in itertools.combinations(hashes, 2)) > 2 * MOST_BITS
    assert find_clusters(hashes).label.tolist() == list(range(len(hashes)))


def test_images_of_one_colour_are_alike():
    hashes = {perceptual_hash(Image.new("RGB", (99, 64), colour)) for colour in ("white", "black", "#717171")}
    assert len(hashes) == 1


def hashes_at(distances):
    """Hashes whose bits differ by |a - b| between the numbers a and b."""
    return [np.packbits(np.arange(256) < number).tobytes() for number in distances]


def test_clusters_are_connected_components_whose_label_is_the_first(monkeypatch):
    found = find_clusters(hashes_at([0, 100, 20, 40, 130, 255, 41]), most=32)
    assert found.label.tolist() == [0, 1, 0, 0, 1, 5, 0]
    assert found.nearest.tolist() == [-1, -1, 0, 2, 1, -1, 3]
    assert found.bits.tolist() == [0, 0, 20, 20, 30, 0, 1]


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_blocks_do_not_matter(monkeypatch, rows):
    rng = np.random.default_rng(0)
    hashes = hashes_at(rng.integers(0, 256, 150))
    whole = find_clusters(hashes, most=1)
    monkeypatch.setattr("harness.data.duplicates.ROWS_A_BLOCK", rows)
    parts = find_clusters(hashes, most=1)
    assert np.array_equal(whole.label, parts.label)
    assert np.array_equal(whole.nearest, parts.nearest)
    assert np.array_equal(whole.bits, parts.bits)
    for component in set(whole.label.tolist()):
        assert np.flatnonzero(whole.label == component)[0] == component


def test_no_images():
    assert len(find_clusters([]).label) == 0
