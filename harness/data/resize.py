"""PIL's resize to a square, the same pixels in less time.

The released transform resizes images with PIL's bilinear filter and masks with its nearest neighbour. PIL's filter
takes longer than decoding a JPEG. torch has the same algorithm with vector instructions, but with weights of 14 to 16
bits where PIL has 22, and so for most sizes some pixels that differ by 1. For some sizes none can differ, and 800 to
480 pixels, RRSIS-D's, is one of them; everything else goes through PIL.
"""

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

COARSE_BITS = 14  # of torch's weights, at least: they are int16, and a weight can be 1


def resize_image(image: Image.Image, side: int) -> Tensor:
    """PIL's bilinear resize of an RGB image, uint8 (3, side, side)."""
    if image.size != (side, side) and torch_gives_pil_pixels(image.height, image.width, side):
        return _torch_resize(np.array(image), side)
    resized = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return torch.from_numpy(
        np.ascontiguousarray(resized.transpose(2, 0, 1))
    )  # in half the time of torch's permute


def resize_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """PIL's nearest-neighbour resize of a mask (H, W), uint8 (side, side)."""
    rows, columns = (_nearest(length, side) for length in mask.shape)
    # pycocotools decodes column by column, so the transpose is what lies row by row in memory.
    return np.ascontiguousarray(mask.T[columns][:, rows].T)


@cache
def torch_gives_pil_pixels(height: int, width: int, side: int) -> bool:
    """Whether torch's resize to side x side has PIL's pixels, for every image of that size."""
    if not (coarse_weights_suffice(height, side) and coarse_weights_suffice(width, side)):
        return False
    # That is arithmetic. That this machine's kernel does it, in integers and rounding after each of two passes as PIL
    # does, shows on noise: any other way of computing differs in many of its pixels.
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BILINEAR))
    return np.array_equal(_torch_resize(noise, side).permute(1, 2, 0).numpy(), expected)


@cache
def coarse_weights_suffice(source: int, target: int) -> bool:
    """Whether one pass of the bilinear filter gives the same uint8 values with weights of 14 bits as with 22.

    Before they are rounded, the weights of an output pixel are whole numbers divided by their sum n, so its value is a
    multiple of 1/n. Where n is odd that is at least 1/2n from a half, at which rounding would turn, and weights that
    are together less than 1/2n off cannot turn it. Where n is a power of two, the weights need no rounding at all.
    """
    reach = 2 * max(
        source, target
    )  # half the triangle's base, like all lengths here in 1/(2 target) source pixels
    for i in range(target):
        center = (2 * i + 1) * source
        first, last = (center - reach) // (2 * target), (center + reach) // (2 * target)
        distances = [abs((2 * j + 1) * target - center) for j in range(max(first, 0), min(last + 1, source))]
        weights = [reach - distance for distance in distances if distance < reach]
        n = sum(weights) // math.gcd(*weights)
        if n & (n - 1) == 0 and n <= 2**COARSE_BITS:
            continue
        largest_error = 255 * len(weights) * 2.0 ** -(COARSE_BITS + 1)
        if n % 2 == 0 or largest_error >= 1 / (2 * n):
            return False
    return True


def _torch_resize(pixels: np.ndarray, side: int) -> Tensor:
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return F.interpolate(image, (side, side), mode="bilinear", antialias=True)[0].contiguous()


@cache
def _nearest(source: int, target: int) -> np.ndarray:
    """The source position of each target position, from PIL itself: int64 (target,)."""
    ramp = Image.fromarray(np.arange(source, dtype=np.int32)[None])
    sources: np.ndarray = np.array(ramp.resize((target, 1), Image.Resampling.NEAREST))[0].astype(np.int64)
    return sources
