import json
import os
import pickle
import shutil

import pytest

from harness.data import Finding
from harness.data.refer import INSTANCES, REFS, place, read_rrsisd
from harness.errors import HarnessError


@pytest.fixture
def root(prepared, tmp_path):
    shutil.copytree(prepared.data.root, tmp_path / "set")
    return tmp_path / "set"


def change(root, file, function):
    path = root / file
    if file == REFS:
        content = pickle.loads(path.read_bytes())
        function(content)
        path.write_bytes(pickle.dumps(content))
    else:
        content = json.loads(path.read_text())
        function(content)
        path.write_text(json.dumps(content))


def refusal(root):
    with pytest.raises(HarnessError) as caught:
        list(read_rrsisd(root))
    return str(caught.value)


def test_every_ref_becomes_an_expression(root):
    expressions = list(read_rrsisd(root))
    assert len(expressions) == 40
    refs = pickle.loads((root / REFS).read_bytes())
    assert [expression.sentence for expression in expressions] == [ref["sentences"][0]["raw"] for ref in refs]
    assert {expression.split for expression in expressions} == {"train", "val", "test"}
    assert all(expression.mask[:2] == expression.stated_size == (64, 64) for expression in expressions)
    assert all(expression.image.is_file() for expression in expressions)


def test_a_ref_with_two_sentences_becomes_two_expressions(root):
    change(
        root,
        REFS,
        lambda refs: refs[0]["sentences"].append({"tokens": [], "raw": "it", "sent": "it", "sent_id": 99}),
    )
    assert [expression.sent_id for expression in read_rrsisd(root)].count(99) == 1


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_would_run_code_is_refused_before_it_does(root, tmp_path):
    marker = tmp_path / "ran"
    (root / REFS).write_bytes(pickle.dumps([Evil(str(marker))]))
    assert "posix.mkdir" in refusal(root)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"<html>quota exceeded</html>", pickle.dumps({"a": 1}), pickle.dumps([])]
)
def test_what_is_no_list_of_refs_is_refused(root, content):
    (root / REFS).write_bytes(content)
    assert "refs(unc).p" in refusal(root)


def test_missing_files_are_named_with_the_way_out(root):
    for path in (root / REFS, root / INSTANCES):
        hidden = path.with_name("hidden")
        path.rename(hidden)
        assert str(path) in (message := refusal(root))
        assert "harness data fetch" in message
        hidden.rename(path)


def test_the_bad_record_of_instances_is_named_by_its_index(root):
    whole = (root / INSTANCES).read_text()
    (root / INSTANCES).write_text(whole[:5000])
    assert "instances.json is damaged" in refusal(root)
    for index, record, field in [
        (7, {"id": "seven"}, "annotations[7].id"),
        (3, {"segmentation": []}, "annotations[3].segmentation"),
        (3, {"segmentation": [{"size": [0, 64], "counts": ""}]}, "annotations[3].segmentation[0].size[0]"),
    ]:
        (root / INSTANCES).write_text(whole)
        change(root, INSTANCES, lambda content, i=index, r=record: content["annotations"][i].update(r))
        assert f"instances.json is damaged: {field}: " in refusal(root)
    (root / INSTANCES).write_text(whole)
    change(root, INSTANCES, lambda content: content["images"][11].pop("height"))
    assert "images[11].height: Field required" in refusal(root)


def test_the_bad_record_of_refs_is_named_by_its_index(root):
    change(root, REFS, lambda refs: refs[2].update(split="testing"))
    assert "ref number [2].split: " in (message := refusal(root))
    assert "'testing'" in message
    change(root, REFS, lambda refs: refs[2].update(split="test", file_name="../secret.jpg"))
    assert "ref number [2].file_name: " in refusal(root)
    change(root, REFS, lambda refs: refs[2].pop("file_name"))
    assert "ref number [2].file_name: Field required" in refusal(root)


@pytest.mark.parametrize(
    ("file", "kind", "alter", "named"),
    [
        (REFS, "missing_annotation", lambda refs: refs[4].update(ann_id=999), "annotation 999"),
        (REFS, "missing_annotation", lambda refs: refs[4].update(image_id=998), "image 998"),
        (INSTANCES, "unknown_category", lambda i: i["annotations"][4].update(categories_id=77), "categories_id 77"),
        (REFS, "duplicate_id", lambda refs: refs[4].update(ref_id=1), "refs[4] has the id 1"),
        (INSTANCES, "duplicate_id", lambda i: i["annotations"].append(i["annotations"][0]), "annotations[40]"),
        (INSTANCES, "duplicate_id", lambda i: i["images"].append(i["images"][8]), "images[40] has the id 9"),
    ],
)  # fmt: skip
def test_what_points_nowhere_or_occurs_twice_is_a_finding(root, file, kind, alter, named):
    change(root, file, alter)
    found = [item for item in read_rrsisd(root) if isinstance(item, Finding)]
    assert [finding.kind for finding in found] == [kind]
    assert found[0].file == INSTANCES if kind != "duplicate_id" else file
    assert named in found[0].message


def test_the_images_table_is_optional(root):
    change(root, INSTANCES, lambda content: content.pop("images"))
    expressions = list(read_rrsisd(root))
    assert len(expressions) == 40
    assert {expression.stated_size for expression in expressions} == {None}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("JPEGImages/00001.jpg", "images/rrsisd/JPEGImages/00001.jpg"),
        ("a/b/00001.JPG", "images/rrsisd/JPEGImages/00001.JPG"),
        ("rrsisd/images/rrsisd/ann_split/00001.xml", "images/rrsisd/ann_split/00001.xml"),
        ("refs(unc).p", "rrsisd/refs(unc).p"),
        ("x/instances.json", "rrsisd/instances.json"),
        ("README.md", None),
        ("__MACOSX/JPEGImages/._00001.jpg", None),
        ("JPEGImages/._00001.jpg", None),
    ],
)
def test_files_are_placed_by_their_base_name(name, expected):
    assert place(name) == expected


def test_a_million_bad_records_cost_no_more_than_the_first(root):
    """A message for each would take gigabytes."""
    (root / INSTANCES).write_text('{"annotations": [' + ",".join(["{}"] * 1_000_000) + '], "categories": []}')
    assert "annotations[0].id: Field required; 2 more" in refusal(root)


@pytest.mark.parametrize("file", [REFS, INSTANCES])
def test_numbers_of_thousands_of_digits_are_refused(root, file):
    if file == REFS:
        change(root, REFS, lambda refs: refs[0].update(image_id="9" * 5000))
    else:
        (root / INSTANCES).write_text('{"annotations": [{"id": %s}], "categories": []}' % ("9" * 5000))
    assert len(refusal(root)) < 500
