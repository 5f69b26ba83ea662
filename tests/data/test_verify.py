"""`harness data verify` on a small drawn set into which one defect is planted a test."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from pycocotools import mask as coco_mask

from harness.cli import cli
from harness.data.drawing.synthetic import CATEGORIES
from harness.data.findings import KINDS
from harness.data.refer import IMAGES, INSTANCES, REFS


@pytest.fixture
def root(prepared, tmp_path):
    shutil.copytree(prepared.data.root, tmp_path / "set")
    return tmp_path / "set"


def run(root, *options, exit_code=0):
    """The findings, each as a dict, and what the command printed."""
    report = root.parent / "findings.json"
    arguments = ["data", "verify", str(root), "--workers", "1", "--json", str(report)]
    if "--expect" not in options:
        options = ("--expect", "none", *options)
    result = CliRunner().invoke(cli, [*arguments, *options])
    assert result.exit_code == exit_code, result.output
    return json.loads(report.read_text())["findings"], result.stdout


def of_kind(findings, kind):
    return [finding for finding in findings if finding["kind"] == kind]


def alter_refs(root, alter):
    refs = pickle.loads((root / REFS).read_bytes())
    alter(refs)
    (root / REFS).write_bytes(pickle.dumps(refs))


def alter_instances(root, alter):
    content = json.loads((root / INSTANCES).read_text())
    alter(content)
    (root / INSTANCES).write_text(json.dumps(content))


def alter_mask(root, number, mask):
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    segmentation = [{"size": list(mask.shape), "counts": rle["counts"].decode()}]
    alter_instances(
        root, lambda content: content["annotations"][number - 1].update(segmentation=segmentation)
    )


def split_of(root, number):
    return pickle.loads((root / REFS).read_bytes())[number - 1]["split"]


def test_an_intact_set_has_no_errors(root):
    findings, output = run(root)
    assert {finding["severity"] for finding in findings} <= {"warning"}
    assert "40 images, 40 without near duplicates" in output
    assert re.search(r"; \d+ categories$", output, re.M)
    assert output.splitlines()[-1].startswith("0 errors")


def plant(root, kind):
    """Plant a defect of a kind that `--expect none` finds; the number of the ref that has it."""
    image = root / IMAGES / "00017.jpg"
    if kind == "missing_image":
        image.unlink()
    elif kind == "unreadable_image":
        image.write_bytes(image.read_bytes()[:-200])
    elif kind == "image_size":
        Image.open(image).resize((70, 50)).save(image)
    elif kind == "mask_size":
        alter_mask(root, 17, np.eye(50, 70))
    elif kind == "bad_rle":
        alter_instances(root, lambda c: c["annotations"][16]["segmentation"][0].update(counts="Xe2"))
    elif kind == "empty_mask":
        alter_mask(root, 17, np.zeros((64, 64)))
    elif kind == "full_mask":
        alter_mask(root, 17, np.ones((64, 64)))
    elif kind == "missing_annotation":
        alter_instances(root, lambda content: content["annotations"].pop(16))
    elif kind == "duplicate_id":
        alter_refs(root, lambda refs: refs[20].update(ref_id=17))
    elif kind == "unknown_category":
        alter_instances(root, lambda content: content["annotations"][16].update(categories_id=77))
    elif kind == "long_sentence":
        alter_refs(root, lambda refs: refs[16]["sentences"][0].update(raw="left of " * 10 + "it"))
    elif kind == "duplicate_image":
        shutil.copy(root / IMAGES / "00003.jpg", image)
    elif kind == "near_duplicate_image":
        Image.open(root / IMAGES / "00003.jpg").save(image, quality=50)
    else:
        raise AssertionError(kind)


FILES = {
    "missing_annotation": INSTANCES, "unknown_category": INSTANCES, "duplicate_id": REFS,
}  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("split_count", "cross_split_duplicate")])
def test_a_planted_defect_is_found_and_its_file_named(root, kind):
    before, _ = run(root)
    plant(root, kind)
    harmless = KINDS[kind].harmless
    findings, output = run(root, exit_code=0 if harmless else 1)
    found = [finding for finding in of_kind(findings, kind) if finding not in before]
    assert len(found) == 1
    assert found[0]["severity"] == ("warning" if harmless else "error")
    assert found[0]["file"] == FILES.get(kind, f"{IMAGES}/00017.jpg")
    assert found[0]["id"] == 17
    if kind != "duplicate_id":
        assert found[0]["split"] == split_of(root, 17)
    assert f"\n{kind}: {KINDS[kind].meaning}\n" in output


def test_an_image_in_two_splits_is_found(root):
    train = next(number for number in range(1, 41) if split_of(root, number) == "train")
    val = next(number for number in range(1, 41) if split_of(root, number) == "val")
    Image.open(root / IMAGES / f"{train:05}.jpg").save(root / IMAGES / f"{val:05}.jpg", quality=60)
    findings, _ = run(root)
    (found,) = of_kind(findings, "cross_split_duplicate")
    assert found["split"] == "train, val"
    assert f"train: {train:05}.jpg; val: {val:05}.jpg" in found["message"]


def manifest(root, **changes):
    splits = [split_of(root, number) for number in range(1, 41)]
    content = {
        "dataset": "small",
        "expressions": {split: splits.count(split) for split in ("train", "val", "test")},
        "image_size": [64, 64],
        "categories": dict(enumerate(CATEGORIES)),
    } | changes
    path = root.parent / "manifest.yaml"
    path.write_text(yaml.safe_dump(content))
    return ("--expect", str(path))


def test_splits_are_counted_against_the_manifest(root):
    expected = manifest(root)
    assert not of_kind(run(root, *expected)[0], "split_count")
    alter_refs(root, lambda refs: refs.pop())
    (found,) = of_kind(run(root, *expected, exit_code=1)[0], "split_count")
    assert found["severity"] == "error"
    assert "small has" in found["message"]


def test_a_ref_without_annotation_counts_in_its_split(root):
    expected = manifest(root)
    plant(root, "missing_annotation")
    assert not of_kind(run(root, *expected, exit_code=1)[0], "split_count")


def test_categories_are_compared_with_the_manifest(root):
    expected = manifest(root, categories=dict(enumerate([*CATEGORIES[:-1], "mill"])))
    alter_instances(root, lambda content: content["annotations"][4].update(categories_id=19))
    findings, _ = run(root, *expected, exit_code=1)
    assert 5 in [finding["id"] for finding in of_kind(findings, "unknown_category")]


def test_defects_that_the_manifest_knows_are_warnings_and_one_more_is_an_error(root):
    alter_mask(root, 3, np.zeros((64, 64)))
    known = {"empty_mask": {"count": 1, "note": "published so"}}
    assert {f["severity"] for f in run(root, *manifest(root, known=known))[0]} == {"warning"}
    alter_mask(root, 4, np.zeros((64, 64)))
    findings, _ = run(root, *manifest(root, known=known), exit_code=1)
    assert [finding["severity"] for finding in of_kind(findings, "empty_mask")] == ["error", "error"]


def test_the_size_is_the_manifests_where_it_has_one(root):
    findings, _ = run(root, *manifest(root, image_size=[800, 800]), exit_code=1)
    assert len(of_kind(findings, "image_size")) == 40


def test_rrsisd_has_a_manifest(root):
    findings, output = run(root, "--expect", "rrsis-d", exit_code=1)
    assert {finding["kind"] for finding in findings if finding["severity"] == "error"} == {
        "split_count", "image_size",
    }  # fmt: skip
    assert "val has 4 expressions, rrsis-d has 1,740" in output


def test_tokens_are_counted_by_the_networks_tokenizer_where_given(prepared, root, tmp_path):
    """The toy vocabulary splits words, so more sentences are cut than words alone would tell."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(prepared.out / "data" / "tokenizer.json"))
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = of_kind(run(root, "--max-tokens", "12")[0], "long_sentence")
    tokens = of_kind(
        run(root, "--max-tokens", "12", "--tokenizer", str(tmp_path / "tokenizer"))[0], "long_sentence"
    )
    assert {finding["id"] for finding in words} <= {finding["id"] for finding in tokens}
    assert len(tokens) > len(words)


def test_fields_and_order_of_findings(root):
    for kind in ("bad_rle", "long_sentence"):
        plant(root, kind)
    (root / IMAGES / "00001.jpg").unlink()
    findings, _ = run(root, exit_code=1)
    assert all(list(f) == ["kind", "severity", "split", "file", "id", "message"] for f in findings)
    order = list(KINDS)
    assert [f["kind"] for f in findings] == sorted((f["kind"] for f in findings), key=order.index)


def test_one_category_is_told_in_the_singular(root):
    def one(content):
        for annotation in content["annotations"]:
            annotation["categories_id"] = 0

    alter_instances(root, one)
    assert re.search("; 1 category$", run(root)[1], re.M)


def test_output_fits_eighty_columns(root):
    for number in range(1, 15):
        (root / IMAGES / f"{number:05}.jpg").write_bytes(b"")
    _, output = run(root, exit_code=1)
    assert max(map(len, output.splitlines()[1:])) <= 80
    assert "and 4 more" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--expect", "rrsisd"], "Did you mean 'rrsis-d'"),
        (["--reader", "rrsisd"], "Did you mean 'rrsis-d'"),
        (["--expect", "none"], "refs(unc).p"),
    ],
)
def test_bad_input_is_one_message(root, options, message):
    if options == ["--expect", "none"]:
        (root / REFS).unlink()
    result = CliRunner().invoke(cli, ["data", "verify", str(root), *options])
    assert message in str(result.exception)
    assert type(result.exception).__name__ == "HarnessError"


def test_the_manifest_is_that_of_the_reader_where_there_is_one(root):
    result = CliRunner().invoke(cli, ["data", "verify", str(root), "--workers", "1"])
    assert "against rrsis-d" in result.stdout
    (root / "images").rename(root / "img_rgb")
    tables = ["--reader", "risbench"]
    for split in ("train", "val", "test"):
        (root / f"output_phrase_{split}.txt").write_text("1 a ship\n")
    (root / "mask").mkdir()
    result = CliRunner().invoke(cli, ["data", "verify", str(root), "--workers", "1", *tables])
    assert "against" not in result.stdout.splitlines()[-1]


def test_a_file_that_cannot_be_written_is_noticed_before_the_work(root, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.data.verify.inspect", None)
    (tmp_path / "file").write_text("")
    for option in ("--json", "--html"):
        result = CliRunner().invoke(cli, ["data", "verify", str(root), option, str(tmp_path / "file" / "x")])
        assert "cannot write" in str(result.exception)


def test_a_damaged_manifest_is_refused(root, tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("dataset: x\nexpression: {train: 1}\n")
    result = CliRunner().invoke(cli, ["data", "verify", str(root), "--expect", str(path)])
    assert f"{path} is no manifest: expressions: Field required; expression: Extra" in str(result.exception)
