"""The section of feature maps: numbers from the file, one scale a stage, gaps in words."""

import base64
import io
import re

import numpy as np
import pytest
from cost_inputs import leave_features
from PIL import Image

from harness.data.prepare import open_split
from harness.report.build import build_single_page
from harness.report.features import draw_features, inside_share

ROWS = {"rmsin-full": 0, "mafn-fusion": 1, "mafn-noise": 2, "mafn-full": 3}  # Table II's variants


def section(page):
    return page[page.index('<section id="features"') :].partition("</section>")[0]


def pixels(uri):
    content = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_every_row_stage_and_sample_is_drawn_with_its_share(params, render):
    features = leave_features(params)
    page = section(render(params))
    shares = dict(re.findall(r'data-inside="([^"]*)">([\d.]+)% inside<', page))
    assert len(shares) == 3 * 4 * 4
    table = {row["ref_id"]: row for row in open_split(params.split_file("test")).to_pylist()}
    from pycocotools import mask

    for one in features.maps:
        row = table[one.ref_id]
        truth = mask.decode({"size": [row["height"], row["width"]], "counts": row["mask_counts"].encode()})
        side = len(truth) // len(one.norm)  # 48 pixels: a whole number a position
        covered = truth.reshape(len(one.norm), side, len(one.norm), side).mean((1, 3))
        expected = 100 * (one.norm * covered).sum() / one.norm.sum()
        assert float(shares[f"{one.ref_id}/{one.variant}/{one.stage}"]) == pytest.approx(expected, abs=0.051)
        assert f"stage {one.stage}: norm from {one.norm.min():.2f} to {one.norm.max():.2f} on" in page
    assert "By a rule &lt;b&gt;." in page
    covers = [float(found) for found in re.findall(r"the mask covers ([\d.]+)% of the image", page)]
    masks = [
        mask.area({"size": [48, 48], "counts": table[ref]["mask_counts"]}) for ref, _ in features.samples
    ]
    assert covers == pytest.approx([100 * area / 48**2 for area in masks], abs=0.051)


def test_a_stage_has_one_scale_for_all_rows_of_a_sample(params, render):
    features = leave_features(params)
    scales = dict(re.findall(r'data-scale="([^"]*)">([\d.]+ to [\d.]+)<', section(render(params))))
    assert len(scales) == 3 * 4
    for key, text in scales.items():
        ref_id, stage = map(int, key.split("/"))
        values = [one.norm for one in features.maps if (one.ref_id, one.stage) == (ref_id, stage)]
        assert text == f"{np.min(values):.2f} to {np.max(values):.2f}"
    first = draw_features(params).samples[0]
    drawn = [pixels(step.pictures[3].image) for step in first.steps]  # one position of stage 4
    norms = [one.norm.item() for one in features.maps if one.ref_id == first.ref_id and one.stage == 4]
    brightness = [int(picture[2, 2].sum()) for picture in drawn]
    assert np.argsort(brightness).tolist() == np.argsort(norms).tolist(), "the largest norm is the lightest"
    assert len(set(brightness)) == 4


def test_the_true_mask_is_outlined_on_image_and_maps(params):
    leave_features(params)
    sample = draw_features(params).samples[0]
    maps = [pixels(picture.image) for step in sample.steps for picture in step.pictures]
    white = [(picture == 255).all(axis=2) for picture in maps]
    assert white[0].any()
    assert all((other == white[0]).all() for other in white), "the same line on every map"
    assert len(maps[0]) % 12 == 0, "each position is a square of whole pixels"
    assert len(maps[0]) >= 144


def test_the_share_of_a_constant_map_is_that_of_the_mask():
    truth = np.zeros((50, 70), dtype=bool)
    truth[3:31, 11:29] = True
    for grid in ((10, 14), (5, 7), (3, 4)):
        assert inside_share(np.full(grid, 2.5, np.float32), truth) == pytest.approx(
            100 * truth.mean(), abs=0.01
        )
    peak = np.zeros((10, 14), np.float32)
    peak[3, 4] = 7
    assert inside_share(peak, truth) == pytest.approx(100)
    assert inside_share(np.zeros((5, 7), np.float32), truth) is None


def test_words_stand_where_there_is_no_map(params, render):
    features = leave_features(params)
    kept = tuple(one for one in features.maps if one.variant != "mafn-noise")
    zero = [one for one in kept if one.variant == "mafn-full" and one.stage == 2]
    for one in zero:
        one.norm[:] = 0
    leave_features(params, ("mafn-noise: mafn-noise-s0 has no weights & <i>",), maps=kept)
    page = section(render(params))
    assert page.count("No maps of this network") == 3
    assert page.count(">zero everywhere<") == 3
    assert "mafn-noise-s0 has no weights &amp; &lt;i&gt;" in page
    assert page.count("<img ") == 1 + 3 * (1 + 3 * 4)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda params: params.features_file.unlink(), "does not exist; `harness features` writes it"),
        (lambda params: params.features_file.write_text("maps"), "is no file of feature maps"),
        (lambda params: params.split_file("test").unlink(), "so no images and no masks"),
    ],
)
def test_missing_and_damaged_files_are_said(params, render, damage, words):
    leave_features(params)
    damage(params)
    page = section(render(params))
    assert words in page
    assert "No feature maps are drawn" in page
    assert "<img " not in page


def test_an_expression_that_the_data_no_longer_has_is_said(params, render):
    features = leave_features(params)
    samples = ((99, "gone"), *features.samples[1:])
    leave_features(params, samples=samples)
    page = section(render(params))
    assert "ref 99: " in page
    assert "no longer has this expression" in page
    assert page.count("<article") == 2


def test_the_section_is_whole_and_the_same_twice(params, tmp_path):
    leave_features(params)
    first, again = (build_single_page(params, tmp_path / f"{name}.html").read_text() for name in "ab")
    assert first == again
    page = section(first)
    assert all(alt for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page))
    assert page.count("<img ") == len(re.findall(r'<img [^>]*alt="', page)) == 1 + 3 * 17
    assert all(source.startswith("data:image/webp;base64,") for source in re.findall(r'src="([^"]*)"', page))
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)
    assert not re.search(r"<th(?![^>]*scope=)[ >]", page)
    assert page.count("<table") == page.count("<caption") == 3
    assert "<script>alert" not in page.lower()
    ids = re.findall(r'\bid="([^"]*)"', first)
    assert len(ids) == len(set(ids))
