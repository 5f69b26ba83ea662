"""`harness predict`."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from predict_inputs import SENTENCE
from rasterio.transform import from_origin

from harness import __version__
from harness.predicting import Predictor


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def one_line(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_mask_overlay_and_record_of_an_image(harness, weights: Path, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    result = harness(
        "predict", "--weights", weights, "--model", "mafn", "--text", SENTENCE, image, "--out", out
    )
    assert result.code == 0, result.err
    expected = Predictor(weights)(image, SENTENCE)
    (record,) = records(out)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*record["files"].values(), record["files"]["mask"].replace(".mask.png", ".json")]
    )
    mask = Image.open(out / record["files"]["mask"])
    assert mask.mode == "L"
    assert np.array_equal(mask, expected.mask * np.uint8(255))
    assert (record["height"], record["width"]) == (100, 150)
    assert (record["area"], record["share"]) == (expected.area, expected.area / 15_000)
    assert record["box"] == list(expected.box)
    assert record["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
    assert (record["image"], record["sentence"], record["truncated"]) == (str(image), SENTENCE, False)
    assert record["georeference"] is None
    assert record["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (record["model"], record["weights"]["run"]) == ("mafn", "mafn-k13-s0")
    assert record["versions"]["harness"] == __version__
    assert "1 prediction in " in result.out
    assert f"{expected.area:,}" in result.out
    assert f"{expected.confidence:.2f}" in result.out


def test_the_overlay_is_the_image_with_the_object_coloured(
    harness, weights: Path, image: Path, tmp_path: Path
) -> None:
    assert (
        harness("predict", "--weights", weights, "--text", SENTENCE, image, "--out", tmp_path / "out").code
        == 0
    )
    overlay = np.asarray(Image.open(next((tmp_path / "out").glob("*.overlay.jpg"))), dtype=int)
    photograph = np.asarray(Image.open(image), dtype=int)
    mask = np.asarray(Image.open(next((tmp_path / "out").glob("*.mask.png")))) > 0
    changed = np.abs(overlay - photograph).max(axis=-1)
    grown = np.pad(mask, 3)
    around = np.any([np.roll(grown, (dy, dx), (0, 1)) for dy in range(-3, 4) for dx in range(-3, 4)], axis=0)
    assert np.median(changed[mask]) > 20
    assert np.median(changed[~around[3:-3, 3:-3]]) < 5  # JPEG


def test_an_empty_mask_is_an_answer(harness, blind: Path, image: Path, tmp_path: Path) -> None:
    result = harness("predict", "--weights", blind, "--text", SENTENCE, image, "--out", tmp_path / "out")
    assert result.code == 0
    assert "nothing found" in result.out
    assert "nothing was found in 1" in result.out
    (record,) = records(tmp_path / "out")
    assert (record["area"], record["share"], record["box"], record["confidence"]) == (0, 0.0, None, None)
    assert not np.asarray(Image.open(tmp_path / "out" / record["files"]["mask"])).any()


def test_folders_patterns_and_several_sentences(
    harness, weights: Path, scene: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x.jpg", "a/x.png", "a/notes.txt", "a/.hidden.png", "b/c/x.jpg", "b/[1].jpg", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        scene.save(tmp_path / name, format="PNG" if "png" in name or "txt" in name else "JPEG")
    monkeypatch.chdir(tmp_path)
    sentences = ["--text", "a ship", "--text", "a tree"]
    sources = ["a", "b/**/*.jpg", "b/[1].jpg", tmp_path / "a/x.jpg"]
    result = harness("predict", "--weights", weights, *sentences, *sources, "--out", "out", "--batch-size", 3)
    assert result.code == 0, result.err
    asked = [(record["image"], record["sentence"]) for record in records(tmp_path / "out")]
    images = [
        "a/x.jpg",
        "a/x.png",
        "b/1.jpg",
        "b/[1].jpg",
        "b/c/x.jpg",
    ]  # each once, though two are named twice
    assert sorted((str(Path(image).absolute()), sentence) for image, sentence in asked) == sorted(
        (str(Path(image).absolute()), sentence) for image in images for sentence in ("a ship", "a tree")
    )
    assert "10 predictions in out" in result.out
    assert len(list((tmp_path / "out").iterdir())) == 30
    before = {path.name for path in (tmp_path / "out").iterdir()}
    assert harness("predict", "--weights", weights, *sentences, "a/x.jpg", "--out", "out").code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == before


def test_a_table_of_pairs(harness, weights: Path, scene: Image.Image, image: Path, tmp_path: Path) -> None:
    table = image.parent / "pairs.csv"
    rows = [
        ("id", "image", "sentence"),
        ("1", "scene.png", "a ship, the red one"),
        ("2", str(image), "a tree"),
        ("3", "scene.png", ""),
        ("4", "nosuch.png", "a tree"),
        ("5", "", "a tree"),
        ("6", "scene.png", "\u200b"),
    ]
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(rows)
    with table.open("a") as file:
        file.write("7,scene.png,a ship, without quotes\n")
    result = harness("predict", "--weights", weights, "--pairs", table, "--out", tmp_path / "out")
    assert result.code == 2
    assert {record["sentence"] for record in records(tmp_path / "out")} == {"a ship, the red one", "a tree"}
    for words in (
        "5 inputs could not be predicted, the others are done",
        "line 4: the sentence is empty",
        "nosuch.png does not exist",
        "line 6: the image is empty",
        "has no word",
        "line 8: more fields than columns; put a sentence with commas in quotes",
    ):
        assert words in one_line(result.err)
    assert "2 predictions in" in result.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,text\na.png,a tree\n", "has no column 'image', only 'file', 'text'"),
        (b"image;sentence\na.png;a tree\n", "has no column 'image', only 'image;sentence'"),
        (b"image,sentence,image\na.png,a tree,b.png\n", "has the column 'image' twice"),
        (b"image,sentence\na.png,a r\xf4d ship\n", "is not UTF-8"),
        (b"image,sentence\n", "has no row below its header"),
        (b"", "has no column 'image', only an empty line"),
        (b'image,sentence\na.png,"a tree\n', "line 2"),
    ],
)
def test_tables_that_are_none(harness, weights: Path, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "pairs.csv").write_bytes(content)
    result = harness(
        "predict", "--weights", weights, "--pairs", tmp_path / "pairs.csv", "--out", tmp_path / "out"
    )
    assert result.code == 2
    assert words in one_line(result.err)
    assert not (tmp_path / "out").exists()


def test_a_missing_table(harness, weights: Path, tmp_path: Path) -> None:
    result = harness(
        "predict", "--weights", weights, "--pairs", tmp_path / "none.csv", "--out", tmp_path / "out"
    )
    assert result.code == 2
    assert "none.csv cannot be read: No such file" in one_line(result.err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--text", "", "{image}"], "the sentence is empty"),
        (["--text", "a tree", "--text", "  ", "{image}"], "the sentence is empty"),
        (["--text", "a tree", "{folder}/text.jpg"], "text.jpg is no image that Pillow can read"),
        (["--text", "a tree", "{folder}/nosuch.jpg"], "nosuch.jpg does not exist"),
        (["--text", "a tree", "{folder}/none"], "none has no image in it (.bmp, "),
        (["--text", "a tree", "{folder}/*.webp"], "no file matches"),
        (["--text", "a tree", "n" * 300], "cannot be read: File name too long"),
        (["--text", "a tree"], "name what to find and where"),
        (["{image}"], "name what to find and where"),
        (["--pairs", "p.csv", "--text", "a tree"], "leave out IMAGE and --text"),
        (["--pairs", "p.csv", "{image}"], "leave out IMAGE and --text"),
        (["--text", "a tree", "{image}", "--model", "lavt"], "holds mafn, not lavt: pass --model mafn"),
        (["--text", "a tree", "{image}", "--tokenizer", "bert"], "has a tokenizer of its own; name no other"),
        (["--text", "a tree", "{image}", "--batch-size", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(
    harness, weights: Path, image: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (image.parent / "text.jpg").write_text("a text, not an image")
    (image.parent / "none").mkdir()
    filled = [argument.format(image=image, folder=image.parent) for argument in arguments]
    result = harness("predict", "--weights", weights, *filled, "--out", tmp_path / "out")
    assert result.code == 2
    assert words in one_line(result.err)
    assert not result.out
    assert not list(tmp_path.glob("out/*"))


def test_one_bad_image_among_others(harness, weights: Path, image: Path, tmp_path: Path) -> None:
    (image.parent / "text.jpg").write_text("a text, not an image")
    (image.parent / "cut.png").write_bytes(image.read_bytes()[:900])
    Image.new("RGB", (1, 1)).save(image.parent / "dot.png")
    inputs = [image.parent, "nosuch.jpg", tmp_path / "*.webp"]
    texts = ["--text", "a tree", "--text", "a ship"]
    result = harness("predict", "--weights", weights, *texts, *inputs, "--out", tmp_path / "out")
    assert result.code == 2
    assert {Path(record["image"]).name for record in records(tmp_path / "out")} == {"scene.png", "dot.png"}
    assert len(list((tmp_path / "out").iterdir())) == 12
    assert "4 inputs could not be predicted, the others are done:" in one_line(result.err)
    for words in (
        "text.jpg is no image",
        "cut.png cannot be read",
        "nosuch.jpg does not exist",
        "no file matches",
    ):
        assert result.err.count(words) == 1
    assert "4 predictions in" in result.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"no tensors in here, only a sentence", "is not a checkpoint"),
    ],
)
def test_weights_of_something_else(harness, image: Path, tmp_path: Path, content, words: str) -> None:
    for name in ("w.safetensors", "w.pth"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        result = harness(
            "predict", "--weights", tmp_path / name, "--text", SENTENCE, image, "--out", tmp_path / "out"
        )
        assert result.code == 2
        assert name in result.err
        assert "Traceback" not in result.err
        if name == "w.safetensors" or content is None:
            assert words in one_line(result.err)
        assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(harness, weights: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out, words in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "out", "cannot write")):
        result = harness("predict", "--weights", weights, "--text", SENTENCE, image, "--out", out)
        assert result.code == 2
        assert words in one_line(result.err)


def test_a_long_sentence_is_cut_and_said(harness, weights: Path, image: Path, tmp_path: Path) -> None:
    words = f"{SENTENCE} and " * 25
    result = harness("predict", "--weights", weights, "--text", words, image, "--out", tmp_path / "out")
    assert result.code == 0
    (record,) = records(tmp_path / "out")
    assert record["truncated"]
    assert record["sentence"] == words
    assert words.startswith(record["sentence_read"])
    assert f'the sentence is too long; what was read of it: "{record["sentence_read"]}"' in result.err


def test_a_geotiff_gives_a_geotiff(harness, weights: Path, scene: Image.Image, tmp_path: Path) -> None:
    bands = np.asarray(scene).transpose(2, 0, 1)
    profile = {"driver": "GTiff", "count": 3, "height": 100, "width": 150, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_800_000, 0.5, 0.5)}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, **place) as raster:
        raster.write(bands)
    call = [
        "predict",
        "--weights",
        weights,
        "--text",
        SENTENCE,
        tmp_path / "a.tif",
        "--out",
        tmp_path / "out",
    ]
    assert harness(*call).code == 0
    (record,) = records(tmp_path / "out")
    with rasterio.open(tmp_path / "out" / record["files"]["raster"]) as raster:
        assert raster.crs == rasterio.CRS.from_epsg(32633)
        assert raster.transform == place["transform"]
        assert (raster.count, raster.dtypes) == (1, ("uint8",))
        assert np.array_equal(raster.read(1), Image.open(tmp_path / "out" / record["files"]["mask"]))
    assert record["georeference"] == {
        "crs": "EPSG:32633",
        "transform": [0.5, 0.0, 500_000.0, 0.0, -0.5, 5_800_000.0],
    }
    scene.save(tmp_path / "a.tif")  # the same name without a georeference
    assert harness(*call).code == 0
    assert not list((tmp_path / "out").glob("*.tif"))


def test_the_table_fits_80_columns(harness, weights: Path, scene: Image.Image, tmp_path: Path) -> None:
    for number in range(52):
        scene.resize((60, 60)).save(tmp_path / f"[bold]a rather long name of an image, {number}.png")
    scene.resize((12_000, 20)).save(tmp_path / "wide.png")
    sentence = f"{SENTENCE} and [red]everything[/red] that is moored beside it"
    result = harness("predict", "--weights", weights, "--text", sentence, tmp_path, "--out", tmp_path / "out")
    assert result.code == 0
    *lines, last = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("1,9…" in line or "confiden…" in line for line in lines)
    assert "and 3 more" in lines
    assert sum("[bold]a rather" in line for line in lines) == 50
    assert last.startswith("53 predictions in")


def test_names_that_are_no_text(harness, weights: Path, scene: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"\xff\xfe.png", b" .. .png", "über \U0001f6a2.png".encode(), b"x" * 251 + b".png"):
        scene.resize((50, 50)).save(os.fsencode(tmp_path / "in") + b"/" + name)
    images = [str(path) for path in (tmp_path / "in").iterdir()]
    result = harness("predict", "--weights", weights, "--text", SENTENCE, *images, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert "4 predictions" in result.out
    assert len(records(tmp_path / "out")) == 4
    assert not any(path.name.startswith((".", " ")) for path in (tmp_path / "out").iterdir())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom harness.cli import cli\n"
        "result = CliRunner().invoke(cli, ['predict', '--help'], terminal_width=80)\n"
        "assert result.exit_code == 0 and 'STEM' in result.output\n"
        "print([m for m in ('torch', 'PIL', 'rasterio', 'numpy') if m in sys.modules])"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "[]"
