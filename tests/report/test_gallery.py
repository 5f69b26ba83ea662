"""The gallery of predictions: which samples, what is drawn, how large it is, and what it says where something lacks."""

import base64
import io
import re
import shutil
from html import unescape
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from report_inputs import ATTACK, make_params

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
from harness.report.selection import choose, leaders, quantile_spread, rule

CARD = re.compile(r'<article class="sample".*?</article>', re.DOTALL)


def gallery_of(params, number):
    return params.model_copy(update={"report": params.report.model_copy(update={"gallery": number})})


def cards(page):
    """Each card's data-* attributes and its whole text."""
    return [
        (dict(re.findall(r'data-([\w-]+)="([^"]*)"', card.partition(">")[0])), card)
        for card in CARD.findall(page)
    ]


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


def indexed(values):
    return pd.MultiIndex.from_tuples([(number, "s") for number in values], names=["ref_id", "sentence"])


# selection ------------------------------------------------------------------------------------------------------------


def test_samples_are_spread_over_the_quantiles():
    iou = pd.Series(np.random.default_rng(0).permutation(100) / 100, index=indexed(range(100)))
    assert iou.loc[quantile_spread(iou, 4)].tolist() == [0.12, 0.37, 0.62, 0.87]
    assert len(quantile_spread(iou.iloc[:3], 12)) == 3
    shuffled = iou.sample(frac=1, random_state=1)
    assert quantile_spread(shuffled, 5).tolist() == quantile_spread(iou, 5).tolist()  # whatever the row order


def made_up_iou(n=101):
    rng = np.random.default_rng(3)
    return pd.DataFrame(rng.uniform(0, 100, (n, 3)), index=indexed(range(n)), columns=["A", "B", "C"])


def test_one_half_is_a_cross_section_and_the_rest_disagrees_most():
    iou = made_up_iou()
    spread, found = iou.max(axis=1) - iou.min(axis=1), choose(iou, 21)
    across = {key for key, half in found.items() if half == "cross-section"}
    others = {key for key, half in found.items() if half == "disagreement"}
    assert across == set(quantile_spread(iou.mean(axis=1), 11))  # of all, not of what the other half left
    left = spread.drop(list(across)).sort_values(ascending=False)
    assert others == set(left.index[:10])
    assert [spread[key] for key in found] == sorted((spread[key] for key in found), reverse=True)


def test_the_choice_does_not_hang_on_the_order_of_rows_and_breaks_ties_by_expression():
    iou = made_up_iou().round(-1)  # many ties
    assert list(choose(iou.sample(frac=1, random_state=5), 30).items()) == list(choose(iou, 30).items())
    same = pd.DataFrame(50.0, index=indexed(range(8)), columns=["A", "B"])
    assert [key[0] for key in choose(same, 8)] == list(range(8))


def test_all_samples_where_there_are_not_so_many_and_one_model_cannot_disagree():
    iou = made_up_iou(7)
    assert set(choose(iou, 150)) == set(iou.index)
    assert list(choose(iou, 150).values()).count("disagreement") == 3
    assert set(choose(iou[["A"]], 4).values()) == {"cross-section"}


def test_the_rule_is_said_with_its_numbers():
    text = " ".join(rule(["cross-section"] * 3 + ["disagreement"] * 2, 1920, ["A", "B"]))
    assert "5 of the 1,920 test expressions with predictions of A and B" in text
    assert "none was picked by hand" in text
    assert (
        "Cross-section, 3: the expressions were ordered by the mean IoU of A and B, cut into 3 parts" in text
    )
    assert "Largest disagreement, 2: of all others those with the largest spread" in text
    assert "disagreement" not in " ".join(rule(["cross-section"] * 3, 9, ["A"]))


def test_the_highest_iou_wins_and_half_a_point_ties():
    assert leaders([10.0, 60.0, 59.4]) == [1]
    assert leaders([10.0, 60.0, 59.5]) == [1, 2]
    assert leaders([0.0, None, 0.0]) == [0, 2]


# pictures -------------------------------------------------------------------------------------------------------------


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
    sample = read_gallery(gallery_of(make_params(pipeline), 1)).samples[0]
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


# the page -------------------------------------------------------------------------------------------------------------


def test_cards_carry_what_is_shown(page, pipeline):
    gallery = read_gallery(make_params(pipeline))
    found = cards(page)
    assert len(found) == len(gallery.samples) == 12
    for (data, card), sample in zip(found, gallery.samples, strict=True):
        assert float(data["spread"]) == pytest.approx(sample.spread, abs=1e-4)
        assert [float(iou) for iou in data["ious"].split()] == pytest.approx(sample.ious, abs=1e-4)
        assert float(data["mean"]) == pytest.approx(np.mean(sample.ious), abs=1e-4)
        assert (data["half"], data["size"]) == (sample.half, sample.size)
        assert data["winner"] == ("tie" if len(sample.best) > 1 else str(int(np.argmax(sample.ious))))
        assert f"IoU {sample.ious[2]:.1f}" in card
        label = {"cross-section": "Cross-section", "disagreement": "Largest disagreement"}[sample.half]
        assert f'<p class="sample-half">{label}</p>' in card
        bare = re.sub(r"data:image/webp;base64,[^\")]*", "", card)
        assert len(bare) < 4_000
        assert card.count("data:image/webp") == 5  # the photograph once
    assert [float(data["spread"]) for data, _ in found] == sorted(
        (float(data["spread"]) for data, _ in found), reverse=True
    )
    assert "12 of the 40 test expressions with predictions of LAVT, RMSIN and MAFN" in page
    assert [data["half"] for data, _ in found].count("cross-section") == 6


def test_numbers_in_the_alternative_text_are_those_of_the_masks(page, pipeline):
    params = make_params(pipeline)
    table = pd.read_parquet(params.run_dir("mafn-full-s0") / "test.resized.parquet")
    expected = {
        f"MAFN: IoU {100 * row.iou:.1f}; {row.intersection} pixels hit, "
        f"{row.union - row.mask_area} falsely predicted, {row.mask_area - row.intersection} missed of 48 by 48"
        for row in table.itertuples()
    }
    found = re.findall(r'alt="(MAFN: [^"]*)"', page)
    assert len(found) == 12
    assert set(found) <= expected


def test_without_script_all_cards_are_there_and_no_control_is(page):
    assert re.search(r'<div id="gallery-controls"[^>]* hidden>', page)
    assert re.search(r'<p id="gallery-hint"[^>]* hidden>', page)
    assert not any(" hidden" in card.partition(">")[0] for _, card in cards(page))
    assert re.search(r'<p id="gallery-count"[^>]*aria-live="polite">12 samples, largest disagreement', page)


def test_filters_offer_what_occurs_with_counts(page):
    def options(name):
        return re.findall(
            r'<option value="([^"]+)">([^<]*) \((\d+)\)',
            page[page.index(f'<select id="gallery-{name}"') :].partition("</select>")[0],
        )

    found = [data for data, _ in cards(page)]
    for name in ("category", "size", "winner", "half"):
        assert options(name), name
        for value, _, count in options(name):
            assert sum(data[name] == value for data in found) == int(count), (name, value)
        assert sum(int(count) for *_, count in options(name)) == 12
    assert [label for _, label, _ in options("winner")] == ["LAVT", "RMSIN", "MAFN", "tie"]


def test_hostile_sentences_and_names_stay_text(params, render):
    for run in ("lavt-full-s0", "rmsin-full-s0", "mafn-full-s0"):
        path = params.run_dir(run) / "test.resized.parquet"
        table = pd.read_parquet(path)
        metadata = pa.parquet.read_schema(path).metadata
        table["category"] = '"><img src=x onerror=alert(1)>'
        pa.parquet.write_table(
            pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(metadata), path
        )
    with pa.OSFile(str(params.split_file("test")), "rb") as source:
        stored = pa.ipc.open_file(source).read_all()
    at = stored.schema.get_field_index("category")
    names = pa.array(['"><img src=x onerror=alert(1)>'] * len(stored), stored.schema.field(at).type)
    with (
        pa.OSFile(str(params.split_file("test")), "wb") as sink,
        pa.ipc.new_file(sink, stored.schema) as writer,
    ):
        writer.write_table(stored.set_column(at, stored.schema.field(at), names))
    tables = params.tables.model_copy(
        update={
            "table1": params.tables.table1.model_copy(
                update={"rows": {"<b>L&": "lavt-full", "RMSIN": "rmsin-full", "M\"'": "mafn-full"}}
            )
        }
    )
    page = render(params.model_copy(update={"tables": tables}))
    for raw in ("<img src=x", "<script>alert", "<b>L&", 'alt="M"'):
        assert raw not in page
    assert '<option value="0">&#34;&gt;&lt;img src=x onerror=alert(1)&gt; (12)</option>' in page
    hostile = [card for _, card in cards(page) if "alert(1)&lt;/script&gt;" in card]
    assert hostile
    for card in hostile:
        assert unescape(re.search(r"<h3>(.*?)</h3>", card).group(1)) == f"“{ATTACK}”"
        label = re.search(r'aria-label="([^"]*)"', card).group(1)
        assert unescape(label) == f"Aerial image for “{ATTACK}”"


def test_the_same_inputs_give_the_same_gallery(pipeline):
    assert read_gallery(make_params(pipeline)) == read_gallery(make_params(pipeline))


# gaps -----------------------------------------------------------------------------------------------------------------


def test_a_missing_model_is_a_gap_in_every_sample(params, render):
    for seed in (0, 1):
        shutil.rmtree(params.run_dir(f"rmsin-full-s{seed}"))
    page = render(params)
    for data, card in cards(page):
        assert card.count('<p class="no-tile">No run of rmsin-full has predictions.parquet</p>') == 1
        assert data["ious"].split()[1] == "-"
        assert data["winner"] in ("0", "2", "tie")
    assert "predictions of LAVT and MAFN, chosen by rule" in page


def test_one_model_alone_wins_nothing(params, render):
    for run in ("rmsin-full", "lavt-full"):
        for seed in (0, 1):
            (params.run_dir(f"{run}-s{seed}") / "predictions.parquet").unlink()
    page = render(params)
    assert {data["winner"] for data, _ in cards(page)} == {"none"}
    assert 'id="gallery-winner"' not in page
    assert "models within 0.5 points of the highest tie" not in page
    assert {data["half"] for data, _ in cards(page)} == {"cross-section"}


def test_no_gallery_on_request(params, render):
    page = render(gallery_of(params, 0))
    assert "No predictions are drawn: report.gallery is 0" in page
    assert "<article" not in page
    assert 'id="gallery-dialog"' not in page


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_without_the_prepared_split_there_are_no_pictures(params, render, damage):
    path = params.split_file("test")
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(whole[:300] if damage == "cut" else b"no arrow")
    page = render(params)
    assert f"{path} is missing or cannot be read, so no images" in page
    assert "<article" not in page


def rewritten(params, column, value):
    """Give the first sample of the gallery another value in the prepared test split."""
    chosen = read_gallery(params).samples[0]
    with pa.OSFile(str(params.split_file("test")), "rb") as source:
        stored = pa.ipc.open_file(source).read_all()
    rows = stored.to_pylist()
    for row in rows:
        if (row["ref_id"], row["sentence"]) == (chosen.ref_id, chosen.sentence):
            row[column] = value
    with (
        pa.OSFile(str(params.split_file("test")), "wb") as sink,
        pa.ipc.new_file(sink, stored.schema) as writer,
    ):
        writer.write_table(pa.Table.from_pylist(rows, stored.schema))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff no picture", noise(96)[:400]])
def test_a_photograph_that_cannot_be_read_is_stated(params, render, content):
    rewritten(params, "image", content)
    _, card = cards(render(params))[0]
    assert '<p class="no-tile">The photograph cannot be read</p>' in card
    assert card.count('class="picture bare"') == 4  # masks still, on grey
    assert "--photograph" not in card


def test_a_true_mask_that_cannot_be_decoded_is_stated(params, render):
    rewritten(params, "height", 7)
    _, card = cards(render(params))[0]
    assert card.count("The true mask cannot be decoded") == 4
    assert "<img" not in card


def test_a_prediction_left_out_is_stated(params, render):
    path = params.run_dir("lavt-full-s0") / "predictions.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    page = render(params)
    assert page.count("No prediction for this expression") == 12
    assert len(cards(page)[0][0]["ious"].split()) == 3


def test_sizes_that_cannot_be_are_stated(params, render):
    path = params.run_dir("lavt-full-s0") / "test.resized.parquet"
    table = pa.parquet.read_table(path)
    at = table.schema.get_field_index("area_share")
    wrong = pa.array([float("nan")] * len(table))
    pa.parquet.write_table(table.set_column(at, table.schema.field(at), wrong), path)
    page = render(params)
    assert "Sizes of objects: row 0" in page
    assert {data["size"] for data, _ in cards(page)} == {"size not known"}
    assert not re.search(r"\bnan\b%?", re.sub(r"data:image/webp;base64,[^\")]*", "", page))


# time -----------------------------------------------------------------------------------------------------------------


def test_only_chosen_samples_are_decoded(params, monkeypatch):
    from harness.report import overlays

    photographs = []
    read = overlays.small_photograph
    monkeypatch.setattr(overlays, "small_photograph", lambda *a: photographs.append(1) or read(*a))
    assert len(read_gallery(gallery_of(params, 5)).samples) == len(photographs) == 5
