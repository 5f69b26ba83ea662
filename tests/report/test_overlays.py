"""What is drawn over the photographs, in which colours, and how many bytes it takes."""

import base64
import io
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from report_inputs import make_params

from harness.config import Params
from harness.report.gallery import MOST_A_SAMPLE, PICTURES, draw_sample, read_gallery
from harness.report.overlays import (
    draw_truth,
    laid_over,
    lossless,
    prediction_layer,
    small_layers,
    small_photograph,
    truth_layer,
    webp_uri,
)
from harness.report.predictions import Predictions


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


def two_squares():
    truth, prediction = np.zeros((2, 40, 40), dtype=bool)
    truth[8:32, 4:24] = True
    prediction[8:32, 14:36] = True
    return truth, prediction


def test_colours_tell_the_three_cases_apart():
    ground = np.full((40, 40, 3), 128, dtype=np.uint8)
    layer = prediction_layer(*two_squares())
    drawn = laid_over(ground, layer).astype(int)
    hit, false, missed = drawn[12:28, 16:22], drawn[12:28, 28:34], drawn[12:28, 6:12]
    assert (hit[..., 2] > hit[..., 0] + 50).all()  # blue
    assert (false[..., 0] > false[..., 2] + 80).all()  # red
    assert (missed[..., 1] > missed[..., 2] + 10).all()  # yellow
    assert np.ptp(missed.sum(2)) > 150  # hatched
    assert (drawn[12:28, 24] == 255).all()  # the outline, just outside the truth
    assert (layer[:4, :, 3] == 0).all()  # elsewhere the photograph alone


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
BLINDNESS = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
}


def lab(linear):
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(matrix) @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", BLINDNESS)
@pytest.mark.parametrize("grey", [60, 128, 200])
def test_colours_differ_for_colour_blind_readers(sight, grey):
    layer = prediction_layer(*two_squares())
    drawn = laid_over(np.full((40, 40, 3), grey, dtype=np.uint8), layer)
    stripe = drawn[16:24, 8:16].reshape(-1, 3).max(axis=0)  # of the hatching
    seen = {}
    for name, color in {"hit": drawn[20, 19], "false": drawn[20, 31], "stripe": stripe}.items():
        value = color / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        seen[name] = lab(np.array(BLINDNESS[sight]) @ linear)
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_the_truth_is_clear_and_all_else_shaded():
    truth, _ = two_squares()
    layer = truth_layer(truth)
    assert (layer[10:30, 6:22] == 0).all()
    drawn = draw_truth(np.full((40, 40, 3), 200, dtype=np.uint8), truth)
    assert (drawn[10:30, 6:22] == 200).all()
    assert (drawn[0, 30] == 90).all()
    assert (drawn[12:28, 24] == 255).all()


def test_layers_are_lossless_and_stay_aligned_with_the_photograph(pipeline):
    layer = prediction_layer(*two_squares())
    again = np.asarray(opened(webp_uri(lossless(layer))).convert("RGBA"))
    assert (again == layer).all()
    sample = read_gallery(make_params(pipeline)).samples[0]
    sizes = {opened(tile.image).size for tile in sample.tiles}
    assert sizes == {(240, 240)}
    photograph = opened(sample.photograph)
    assert photograph.size == (48, 48)  # not enlarged
    shade = np.asarray(opened(sample.tiles[0].image).convert("RGBA"))[..., 3]
    inside = np.asarray(photograph.convert("L").resize((240, 240)))[shade == 0]
    assert inside.mean() > 150  # the drawn building is bright, its ground dark
    assert np.asarray(photograph.convert("L")).mean() < 150


def noise(side, seed=0):
    """A photograph that compresses badly: 1/f noise in each colour, as JPEG."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None]) + 1 / side
    waves = np.fft.fft2(rng.normal(size=(side, side, 3)), axes=(0, 1)) / frequency[..., None]
    pixels = np.real(np.fft.ifft2(waves, axes=(0, 1)))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels / pixels.std() * 50 + 110, 0, 255).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def speckled(side, seed):
    return np.random.default_rng(seed).random((side, side)) < 0.5


def encoded(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


@pytest.mark.parametrize("most", [MOST_A_SAMPLE, PICTURES // 300])
def test_a_sample_stays_within_its_bytes_whatever_it_shows(most):
    """Noise for a photograph and for every mask: nothing compresses worse."""
    row = {"ref_id": 1, "sentence": "noise", "category": "noise", "image": noise(480)}
    row |= {"mask_counts": encoded(speckled(480, 1)), "height": 480, "width": 480}
    models = [
        Predictions(name, name, pd.DataFrame(), {(1, "noise"): (encoded(speckled(480, seed)), 480, 480)})
        for seed, name in enumerate("ABC", 2)
    ]
    sample = draw_sample(row, "cross-section", "2-10%", 5.0, models, (1.0, 2.0, 3.0), most)
    pictures = [sample.photograph, *(tile.image for tile in sample.tiles)]
    assert sum(len(base64.b64decode(uri.partition(",")[2])) for uri in pictures) <= most
    assert len(pictures) == 5


def test_common_pictures_keep_their_size_and_quality():
    """A field of RRSIS-D's size with objects of simple shape is neither shrunk nor spoilt."""
    mask = Image.new("L", (480, 480))
    ImageDraw.Draw(mask).polygon([(100, 120), (300, 90), (340, 260), (140, 280)], fill=1)
    truth = np.asarray(mask) > 0
    outlined, (drawn,) = small_layers(truth, [(truth, np.roll(truth, 9, 1))], 4_000)
    assert Image.open(io.BytesIO(outlined)).size == Image.open(io.BytesIO(drawn)).size == (240, 240)
    photograph = small_photograph(noise(800), 9_000)
    assert Image.open(io.BytesIO(photograph)).size[0] >= 180
    assert len(photograph) <= 9_000


def test_the_bounds_hold_the_page_below_five_megabytes():
    longest = Params.model_fields["report"].annotation.model_fields["gallery"].metadata[1].le
    assert longest == 300
    for count in (1, 150, longest):
        pictures = count * min(MOST_A_SAMPLE, PICTURES // count)
        assert pictures * 4 / 3 + count * 4_000 < 3_700_000  # 4 kB of words a sample: measured below
