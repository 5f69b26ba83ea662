import json
import os
import pickle
import shutil

import pytest

from harness.data.refer import IMAGES, INSTANCES, REFS, read_rrsisd
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
    assert all(expression.mask_size == (64, 64) and expression.image.is_file() for expression in expressions)


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
    for path in (root / REFS, root / INSTANCES, root / IMAGES):
        hidden = path.with_name("hidden")
        path.rename(hidden)
        assert str(path) in (message := refusal(root))
        assert "data.root" in message
        hidden.rename(path)


def test_missing_images_are_counted_and_named(root):
    for name in ("00003.jpg", "00011.jpg"):
        (root / IMAGES / name).unlink()
    assert "lacks 2 of the 40 images that the refs name: 00003.jpg, 00011.jpg" in refusal(root)


def test_damaged_instances_are_refused(root):
    (root / INSTANCES).write_text('{"annotations": [')
    assert "instances.json is damaged" in refusal(root)
    (root / INSTANCES).write_text('{"annotations": [{}], "categories": []}')
    assert "annotations[0] has no id" in refusal(root)


def test_refs_that_point_nowhere_are_named(root):
    change(root, REFS, lambda refs: refs[4].update(ann_id=999))
    assert "ref number 4: ann_id 999" in refusal(root)
    change(root, REFS, lambda refs: refs[2].update(split="testing"))
    assert "ref number 2: split 'testing'" in refusal(root)
    change(root, REFS, lambda refs: refs[0].pop("split"))
    assert "ref number 0: lacks the key 'split'" in refusal(root)


def test_a_category_that_is_not_listed_is_named(root):
    change(root, INSTANCES, lambda instances: instances["annotations"][0].update(categories_id=77))
    assert "categories_id 77" in refusal(root)
