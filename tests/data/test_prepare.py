import hashlib
import json
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from PIL import Image
from pycocotools import mask as coco_mask
from toy import toy_params

from harness.data.prepare import SCHEMA_KEY, SCHEMA_VERSION, open_split, prepare, read_defects
from harness.data.refer import IMAGES, INSTANCES, REFS, read_rrsisd
from harness.data.source import record_source
from harness.data.text import make_tokenizer, tokenizer_file
from harness.errors import HarnessError


@pytest.fixture
def profile(prepared, tmp_path):
    params = toy_params(tmp_path)
    shutil.copytree(prepared.data.root, params.data.root)
    return params


def digests(params):
    files = [*(params.split_file(split) for split in ("train", "val", "test")), tokenizer_file(params)]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_every_expression_is_in_its_split_with_its_bytes(prepared):
    expected = {expression.ref_id: expression for expression in read_rrsisd(prepared.data.root)}
    rows = [
        row
        for split in ("train", "val", "test")
        for row in open_split(prepared.split_file(split)).to_pylist()
    ]
    assert sorted(row["ref_id"] for row in rows) == sorted(expected)
    for row in rows:
        expression = expected[row["ref_id"]]
        assert row["image"] == expression.image.read_bytes()
        assert (row["sentence"], row["category"], row["split"]) == (
            expression.sentence,
            expression.category,
            expression.split,
        )
        assert (row["height"], row["width"], row["mask_counts"]) == expression.mask


def test_the_same_data_gives_the_same_bytes(prepared, profile):
    record_source(profile)
    prepare(profile)
    assert digests(profile) == digests(prepared)


def rows_of(params):
    return [
        row for split in ("train", "val", "test") for row in open_split(params.split_file(split)).to_pylist()
    ]


def test_the_number_of_workers_does_not_matter(prepared, profile, tmp_path):
    record_source(profile)
    prepare(profile.model_copy(update={"data": profile.data.model_copy(update={"workers": 3})}))
    assert digests(profile) == digests(prepared)


def test_copies_of_an_image_share_a_cluster(profile):
    folder = profile.data.root / IMAGES
    shutil.copy(folder / "00003.jpg", folder / "00007.jpg")
    Image.open(folder / "00003.jpg").save(
        folder / "00030.jpg", quality=60
    )  # the same to the eye, other bytes
    Image.open(folder / "00030.jpg").resize((48, 48)).save(folder / "00031.jpg")
    record_source(profile)
    prepare(profile)
    clusters = {row["image_id"]: row["cluster_id"] for row in rows_of(profile)}
    assert {clusters[3], clusters[7], clusters[30], clusters[31]} == {3}
    assert len(set(clusters.values())) == 37
    defects = read_defects(profile.split_file("val"))
    assert defects["duplicate_image"] == {"found": 1, "treatment": "kept; one cluster"}
    assert defects["near_duplicate_image"]["found"] == 2
    assert defects["image_size"]["found"] == defects["mask_size"]["found"] == 1


def damage(params, ref_id, counts):
    path = params.data.root / INSTANCES
    instances = json.loads(path.read_text())
    next(a for a in instances["annotations"] if a["id"] == ref_id)["segmentation"][0]["counts"] = counts
    path.write_text(json.dumps(instances))


def test_an_empty_mask_is_kept_as_released_or_left_out(profile):
    damage(profile, 5, coco_mask.encode(np.zeros((64, 64), np.uint8, order="F"))["counts"].decode())
    record_source(profile)
    assert sum(prepare(profile).values()) == 40
    kept = {"found": 1, "treatment": "kept; its IoU is 0, as the released metric has it"}
    assert read_defects(profile.split_file("test"))["empty_mask"] == kept
    dropping = profile.model_copy(update={"data": profile.data.model_copy(update={"drop": ("empty_mask",)})})
    assert sum(prepare(dropping).values()) == 39
    assert 5 not in {row["ref_id"] for row in rows_of(profile)}
    assert read_defects(profile.split_file("test"))["empty_mask"] == {"found": 1, "treatment": "left out"}


@pytest.mark.parametrize("kind", ["missing_image", "unreadable_image", "bad_rle"])
def test_what_the_released_code_would_fail_on_stops_or_is_left_out(profile, kind):
    image = profile.data.root / IMAGES / "00009.jpg"
    if kind == "missing_image":
        image.unlink()
    elif kind == "unreadable_image":
        image.write_bytes(image.read_bytes()[:-300])
    else:
        damage(profile, 9, "Xe2")
    record_source(profile)
    with pytest.raises(HarnessError, match=rf"(?s)a defect.*{kind}.*drop: \[{kind}\]") as caught:
        prepare(profile)
    assert ("ref 9" if kind == "bad_rle" else "00009.jpg") in str(caught.value)
    assert not profile.split_file("train").exists()
    dropping = profile.model_copy(update={"data": profile.data.model_copy(update={"drop": (kind,)})})
    assert sum(prepare(dropping).values()) == 39
    assert read_defects(profile.split_file("train"))[kind] == {"found": 1, "treatment": "left out"}


def test_dropping_a_whole_split_is_refused(profile):
    for expression in read_rrsisd(profile.data.root):
        if expression.split == "val":
            expression.image.unlink()
    record_source(profile)
    dropping = profile.model_copy(
        update={"data": profile.data.model_copy(update={"drop": ("missing_image",)})}
    )
    with pytest.raises(HarnessError, match="leaves no expression in the split 'val'"):
        prepare(dropping)


def test_the_same_sentence_twice_stops(profile):
    path = profile.data.root / REFS
    refs = pickle.loads(path.read_bytes())
    refs[3]["sentences"] *= 2
    path.write_bytes(pickle.dumps(refs))
    record_source(profile)
    with pytest.raises(HarnessError, match="results pair on both") as caught:
        prepare(profile)
    assert "drop" not in str(caught.value), "which of the two to leave out is not for us to say"


def test_two_at_once_are_refused(profile):
    record_source(profile)
    with (
        FileLock(profile.out / ".prepare.lock"),
        pytest.raises(HarnessError, match="another `harness prepare`"),
    ):
        prepare(profile)


def test_a_kill_leaves_nothing_half_written(profile):
    """Killed while it writes: the old files are whole, and the next run removes what lies about."""
    record_source(profile)
    prepare(profile)
    before = digests(profile)
    script = (
        "import os, signal, harness.data.prepare as p\n"
        "from harness.config import load_params\n"
        "row, count = p._row, [0]\n"
        "def dying(*args):\n"
        "    count[0] += 1\n"
        "    if count[0] == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return row(*args)\n"
        "p._row = dying\n"
        f"p.prepare(load_params({str(profile.params)!r}))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    folder = profile.split_file("train").parent
    assert digests(profile) == before
    assert list(folder.glob(".*.tmp"))
    prepare(profile)
    assert digests(profile) == before
    assert not list(folder.glob(".*.tmp"))


def test_a_changed_data_root_is_noticed(profile):
    record_source(profile)
    (profile.data.root / IMAGES / "00001.jpg").write_bytes(b"other")
    with pytest.raises(HarnessError, match="has changed since"):
        prepare(profile)
    assert not profile.split_file("train").exists()


def test_the_records_of_a_fetch_are_no_part_of_the_data(profile):
    record_source(profile)
    for name in (".fetch.json", "SHA256SUMS"):
        (profile.data.root / name).write_text("{}")
    prepare(profile)


def test_a_split_without_expressions_is_refused(profile, monkeypatch):
    monkeypatch.setattr(
        "harness.data.source.read_expressions",
        lambda params: (e for e in read_rrsisd(params.data.root) if e.split != "val"),
    )
    with pytest.raises(HarnessError, match="no expression in the split 'val'"):
        record_source(profile)


def test_a_failure_half_way_leaves_the_old_files(profile, monkeypatch):
    record_source(profile)
    prepare(profile)
    before = digests(profile)
    image = profile.data.root / IMAGES / "00040.jpg"

    def changed_in_the_middle(*settings):
        image.write_bytes(image.read_bytes() + b"more")
        return make_tokenizer(*settings)

    monkeypatch.setattr("harness.data.prepare.make_tokenizer", changed_in_the_middle)
    with pytest.raises(HarnessError, match=r"00040\.jpg was changed while it was being prepared"):
        prepare(profile)
    assert digests(profile) == before
    assert not [path for path in (profile.out / "data").iterdir() if path.name.startswith(".")]


def test_what_is_no_prepared_split_is_refused(tmp_path):
    path = tmp_path / "train.arrow"
    with pytest.raises(HarnessError, match="harness prepare"):
        open_split(path)
    path.write_bytes(b"not arrow")
    with pytest.raises(HarnessError, match="not a prepared split"):
        open_split(path)
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(HarnessError, match="not a prepared split"):
        open_split(path)


def split_file(path, table, edit=lambda content: content):
    """A prepared split of one's own."""
    sink = pa.BufferOutputStream()
    described = json.dumps({"version": SCHEMA_VERSION, "dataset": "x", "defects": {}})
    table = table.replace_schema_metadata({SCHEMA_KEY: described.encode()})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(edit(sink.getvalue().to_pybytes()))
    return path


def test_texts_that_begin_outside_the_file_are_refused(prepared, tmp_path):
    """pyarrow maps a file without a look at its offsets; the first text that is read then ends the process."""
    table = open_split(prepared.split_file("test"))
    offsets = np.cumsum([0, *(len(text.encode()) for text in table["sentence"].to_pylist())]).astype("<i4")
    wrong = offsets.copy()
    wrong[1] = 2**30
    path = split_file(
        tmp_path / "test.arrow",
        table.combine_chunks(),
        lambda c: c.replace(offsets.tobytes(), wrong.tobytes()),
    )
    with pytest.raises(HarnessError, match="not a prepared split"):
        open_split(path)


@pytest.mark.parametrize("change", ["a column less", "another type", "a gap", "no defects"])
def test_another_table_is_no_prepared_split(prepared, tmp_path, change):
    table = open_split(prepared.split_file("test"))
    place = table.schema.get_field_index("ref_id")
    if change == "a column less":
        table = table.remove_column(place)
    elif change == "another type":
        table = table.set_column(place, "ref_id", table["sentence"])
    elif change == "a gap":
        table = table.set_column(place, table.schema.field(place), pa.nulls(len(table), pa.int64()))
    edit = {"no defects": lambda content: content.replace(b"defects", b"defectz")}
    path = split_file(tmp_path / "test.arrow", table, edit.get(change, lambda content: content))
    with pytest.raises(HarnessError, match=r"not a prepared split|does not say what is wrong with its data"):
        read_defects(path)
