import numpy as np
import pytest
import torch
from PIL import Image

from harness.data.resize import (
    _torch_resize,
    coarse_weights_suffice,
    resize_image,
    resize_mask,
    torch_gives_pil_pixels,
)


def noise(height, width, seed=0, levels=256):
    """Pixels with no relation to their neighbours; two levels only give the largest sums."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, levels, (height, width, 3)) * (255 // (levels - 1))).astype(np.uint8)


def with_pil(pixels, side):
    return np.array(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        (800, 800, 480),
        (801, 799, 480),
        (400, 800, 480),
        (512, 512, 480),
        (480, 480, 480),
        (160, 61, 96),
        (1, 1, 32),
        (3, 5, 32),
        (97, 1, 31),
        (33, 31, 32),
        (64, 32, 32),
        (300, 200, 101),
    ],
)
def test_an_image_has_the_pixels_that_pil_gives_it(height, width, side):
    for seed, levels in ((1, 256), (2, 2)):
        pixels = noise(height, width, seed, levels)
        resized = resize_image(Image.fromarray(pixels), side)
        assert (resized.dtype, resized.shape) == (torch.uint8, (3, side, side))
        assert resized.is_contiguous()
        assert np.array_equal(resized.permute(1, 2, 0).numpy(), with_pil(pixels, side))


def test_rrsisd_takes_the_fast_way_and_other_sizes_do_not():
    assert torch_gives_pil_pixels(800, 800, 480)
    assert not torch_gives_pil_pixels(801, 800, 480)
    assert not torch_gives_pil_pixels(800, 799, 480)


def test_where_arithmetic_promises_pils_pixels_torch_has_them():
    promised = [size for size in range(20, 400) if coarse_weights_suffice(size, 96)]
    assert 160 in promised, "5 to 3, as 800 to 480"
    assert len(promised) > 20
    for size in promised:
        for levels in (256, 2):
            pixels = noise(size, size, size, levels)
            assert np.array_equal(_torch_resize(pixels, 96).permute(1, 2, 0).numpy(), with_pil(pixels, 96))


@pytest.mark.parametrize("size", [512, 600, 900, 1000])
def test_where_it_does_not_they_can_differ(size):
    """If this fails, torch computes more exactly than it did, and more sizes may go its way."""
    pixels = noise(size, size)
    assert not coarse_weights_suffice(size, 480)
    differs = _torch_resize(pixels, 480).permute(1, 2, 0).numpy() != with_pil(pixels, 480)
    assert 0 < differs.mean() < 0.2


@pytest.mark.parametrize("side", [32, 96, 480])
def test_a_mask_has_the_pixels_that_pil_gives_it(side):
    rng = np.random.default_rng(side)
    for height, width in ((800, 800), (90, 120), (side, side), (1, 1), (7, 1000), (801, 479), (33, 64)):
        mask = rng.integers(0, 2, (height, width), dtype=np.uint8)
        expected = np.array(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))
        for order in "CF":  # pycocotools decodes column by column
            resized = resize_mask(np.array(mask, order=order), side)
            assert resized.dtype == np.uint8
            assert resized.flags["C_CONTIGUOUS"]
            assert np.array_equal(resized, expected)
