import hashlib
import shutil

import pyarrow as pa
import pytest
from toy import toy_params

from harness.data.prepare import open_split, prepare
from harness.data.refer import IMAGES, read_rrsisd
from harness.data.source import record_source
from harness.data.text import tokenizer_file
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
        assert row["mask_counts"] == expression.mask_counts


def test_the_same_data_gives_the_same_bytes(prepared, profile):
    record_source(profile)
    prepare(profile)
    assert digests(profile) == digests(prepared)


def test_copies_of_an_image_share_a_cluster(profile):
    folder = profile.data.root / IMAGES
    for copy in ("00007.jpg", "00030.jpg"):
        shutil.copy(folder / "00003.jpg", folder / copy)
    record_source(profile)
    prepare(profile)
    rows = [
        row for split in ("train", "val", "test") for row in open_split(profile.split_file(split)).to_pylist()
    ]
    clusters = {row["image_id"]: row["cluster_id"] for row in rows}
    assert {clusters[3], clusters[7], clusters[30]} == {3}
    assert len(set(clusters.values())) == 38


def test_a_changed_data_root_is_noticed(profile):
    record_source(profile)
    (profile.data.root / IMAGES / "00001.jpg").write_bytes(b"other")
    with pytest.raises(HarnessError, match="has changed since"):
        prepare(profile)
    assert not profile.split_file("train").exists()


def test_a_split_without_expressions_is_refused(profile, monkeypatch):
    monkeypatch.setattr(
        "harness.data.source.read_expressions",
        lambda params: (e for e in read_rrsisd(params.data.root) if e.split != "val"),
    )
    with pytest.raises(HarnessError, match="no expression in the split 'val'"):
        record_source(profile)


def test_a_failure_half_way_leaves_the_old_files(prepared, profile):
    record_source(profile)
    prepare(profile)
    before = digests(profile)
    (profile.data.root / IMAGES / "00040.jpg").unlink()
    (profile.data.root / IMAGES / "00040.jpg").mkdir()  # reading it fails in the middle of the work
    record_source(profile)
    with pytest.raises(HarnessError, match=r"00040\.jpg cannot be read"):
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
