"""The gallery of predictions as a part of the page, and what it says where something lacks."""

import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_inputs import ATTACK, make_params

from harness.report import overlays
from harness.report.gallery import read_gallery

CARD = re.compile(r'<article class="sample".*?</article>', re.DOTALL)


def gallery_of(params, number):
    return params.model_copy(update={"report": params.report.model_copy(update={"gallery": number})})


def cards(page):
    """Each card's data-* attributes and its whole text."""
    return [
        (dict(re.findall(r'data-([\w-]+)="([^"]*)"', card.partition(">")[0])), card)
        for card in CARD.findall(page)
    ]


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
    for word in (
        "hit: predicted and true",
        "false: predicted, not true",
        "missed: true, not predicted (hatched)",
    ):
        assert word in page
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
        metadata = pq.read_schema(path).metadata
        table["category"] = '"><img src=x onerror=alert(1)>'
        pq.write_table(
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


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff no picture", b"RIFF0000WEBP"])
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
    table = pq.read_table(path)
    at = table.schema.get_field_index("area_share")
    wrong = pa.array([float("nan")] * len(table))
    pq.write_table(table.set_column(at, table.schema.field(at), wrong), path)
    page = render(params)
    assert "Sizes of objects: row 0" in page
    assert {data["size"] for data, _ in cards(page)} == {"size not known"}
    assert not re.search(r"\bnan\b%?", re.sub(r"data:image/webp;base64,[^\")]*", "", page))


# time -----------------------------------------------------------------------------------------------------------------


def test_only_chosen_samples_are_decoded(params, monkeypatch):
    photographs = []
    read = overlays.small_photograph
    monkeypatch.setattr(overlays, "small_photograph", lambda *a: photographs.append(1) or read(*a))
    assert len(read_gallery(gallery_of(params, 5)).samples) == len(photographs) == 5


def test_a_prediction_without_a_size_is_a_gap(params, render):
    path = params.run_dir("lavt-full-s0") / "predictions.parquet"
    pd.read_parquet(path).assign(height=None).to_parquet(path)
    assert "predictions.parquet is missing or cannot be read" in render(params)


@pytest.mark.parametrize("counts", ["o", "P" * 20])
def test_a_prediction_that_c_would_read_past_its_end_is_stated(params, render, counts):
    path = params.run_dir("lavt-full-s0") / "predictions.parquet"
    pd.read_parquet(path).assign(prediction=counts).to_parquet(path)
    assert len(cards(render(params))) == 12
