"""What is drawn over a photograph: the true mask and a prediction, in colours for any colour vision."""

import base64
import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# Okabe and Ito's palette, chosen to be told apart with any colour vision; lightness differs as well. The last number
# is the opacity, of 255.
HIT = (86, 180, 233, 158)  # sky blue: predicted and true
FALSE = (213, 94, 0, 184)  # vermillion: predicted, not true
MISS = (240, 228, 66, 217)  # yellow, hatched: true, not predicted
BETWEEN = (40, 38, 0, 153)  # between the stripes of a miss
SHADE = (0, 0, 0, 140)  # what is not the object, where the truth alone is shown
OUTLINE = (255, 255, 255, 255)  # of the true mask, with a rim, so that it shows on any ground
RIM = (20, 20, 20, 255)
PALETTE = np.array([(0, 0, 0, 0), HIT, FALSE, MISS, BETWEEN, SHADE, OUTLINE, RIM], dtype=np.uint8)
_CLEAR, _HIT, _FALSE, _MISS, _BETWEEN, _SHADE, _OUTLINE, _RIM = np.arange(len(PALETTE), dtype=np.uint8)

# Tried in this order until a picture is small enough. Pixels a side and quality; a photograph is never enlarged.
PHOTOGRAPH = ((240, 80), (240, 60), (240, 40), (180, 40), (120, 30), (60, 20), (30, 10))
LAYER_SIDES = (240, 120, 60, 30)


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """A mask's run lengths as height x width of bool.

    Raises:
        ValueError: the counts are damaged, or do not fill the height and width.
    """
    from harness.data import Rle
    from harness.data.inspection import decode_mask

    return decode_mask(Rle(int(height), int(width), str(counts))).astype(bool)


def resize(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """A mask of another size, height x width, by nearest neighbours."""
    from PIL import Image

    if mask.shape == (height, width):
        return mask
    small = Image.fromarray(mask.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(small) > 0


def edge(mask: np.ndarray, thickness: int = 1) -> np.ndarray:
    """The pixels just outside the mask."""
    grown = mask.copy()
    for _ in range(thickness):
        padded = np.pad(grown, 1)
        grown = (
            padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        )
    ring: np.ndarray = grown & ~mask
    return ring


def _painted(truth: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Places in PALETTE as a picture, with the true mask's outline over it."""
    thickness = 1 if len(truth) < LAYER_SIDES[0] else 2
    line = edge(truth, thickness)
    colors[edge(truth | line)] = _RIM
    colors[line] = _OUTLINE
    return np.take(PALETTE, colors, axis=0)


def prediction_layer(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """What is laid over a photograph to show a prediction.

    Args:
        truth, prediction: H x W, bool.

    Returns:
        H x W x 4, uint8: hits, false positives and (hatched) misses in colours, the truth outlined, else transparent.
    """
    rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
    missed = np.where((rows + columns) % 8 < 5, _MISS, _BETWEEN)
    hits, rest = np.where(prediction, _HIT, missed), np.where(prediction, _FALSE, _CLEAR)
    return _painted(truth, np.where(truth, hits, rest))


def truth_layer(truth: np.ndarray) -> np.ndarray:
    """What is laid over a photograph to show the object meant: its outline, and a shade on all else.

    Args:
        truth: H x W, bool.

    Returns:
        H x W x 4, uint8.
    """
    return _painted(truth, np.where(truth, _CLEAR, _SHADE))


def outline_layer(truth: np.ndarray) -> np.ndarray:
    """What is laid over a picture to show where the object is: its outline (H x W, bool, to H x W x 4, uint8)."""
    return _painted(truth, np.full(truth.shape, _CLEAR))


def draw_truth(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Draw the true mask's outline over its image, with the rest of the image darkened (H x W x 3, uint8)."""
    return laid_over(image, truth_layer(truth))


def laid_over(image: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """An image with a layer over it, as a browser shows the two (H x W x 3, uint8)."""
    share = layer[..., 3:] / 255
    blended: np.ndarray = np.rint((1 - share) * image + share * layer[..., :3]).astype(np.uint8)
    return blended


def data_uri(pixels: np.ndarray) -> str:
    """An H x W x 3 uint8 array as a WebP data URI."""
    from PIL import Image

    return webp_uri(_lossy(Image.fromarray(pixels), 82))


def webp_uri(content: bytes) -> str:
    """The content of a WebP file as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(content).decode("ascii")


def _lossy(image: "Image", quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=4)
    return buffer.getvalue()


def small_photograph(content: bytes, most: int) -> bytes:
    """An image file as a small square WebP file, in the best of `PHOTOGRAPH`'s qualities that fits.

    Args:
        content: of the file, in any format that Pillow reads.
        most: bytes.

    Raises:
        OSError: it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.draft("RGB", (PHOTOGRAPH[0][0],) * 2)  # a large JPEG is decoded at a fraction of its size
            image = opened.convert("RGB")
    except (Image.DecompressionBombError, SyntaxError, ValueError) as error:  # as Pillow's readers have it
        raise OSError(str(error)) from None
    smaller, found = image, b""
    for side, quality in PHOTOGRAPH:
        side = min(side, max(image.size))
        if smaller.size != (side, side):
            smaller = image.resize((side, side), Image.Resampling.LANCZOS)
        found = _lossy(smaller, quality)
        if len(found) <= most:
            break
    return found


def lossless(layer: np.ndarray) -> bytes:
    """An H x W x 3 or 4 uint8 array of few colours as a lossless WebP file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(layer).save(buffer, format="WEBP", lossless=True, quality=30, method=4)
    return buffer.getvalue()


def small_layers(
    truth: np.ndarray, compared: list[tuple[np.ndarray, np.ndarray]], most: int
) -> tuple[bytes, tuple[bytes, ...]]:
    """The layers of a sample as lossless WebP files, on the largest of `LAYER_SIDES` on which they fit together.

    Args:
        truth: H x W, bool.
        compared: for each prediction the true mask and the prediction, bool, both of one size.
        most: bytes of all the files together.

    Returns:
        The truth's layer, and each prediction's.
    """
    files: list[bytes] = []
    for side in LAYER_SIDES:
        drawn = [truth_layer(resize(truth, side, side))]
        drawn += [prediction_layer(*(resize(mask, side, side) for mask in pair)) for pair in compared]
        files = [lossless(layer) for layer in drawn]
        if sum(map(len, files)) <= most:
            break
    return files[0], tuple(files[1:])
