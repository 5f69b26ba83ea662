import hashlib
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from harness.data.drawing.synthetic import CATEGORIES, make_scene, splits, write_dataset
from harness.errors import HarnessError

REFS, SIZE, SEED = 40, 64, 5


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "set"
    write_dataset(out, refs=REFS, size=SIZE, seed=SEED, workers=1)
    return out


def tables(root: Path) -> tuple[list[dict], dict]:
    refs = pickle.loads((root / "rrsisd/refs(unc).p").read_bytes())
    return refs, json.loads((root / "rrsisd/instances.json").read_text())


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_files_are_those_of_rrsisd_and_the_two_of_the_drawing(root: Path) -> None:
    images = {f"images/rrsisd/JPEGImages/{i:05d}.jpg" for i in range(1, REFS + 1)}
    tables = {"refs(unc).p", "instances.json", "mini_rrsis.json", "mini_rrsis_scenes.jsonl"}
    assert set(digests(root)) == images | {f"rrsisd/{name}" for name in tables}
    assert json.loads((root / "rrsisd/mini_rrsis.json").read_text()) == {
        "dataset": "mini-rrsis",
        "generator_version": 1,
        "refs": REFS,
        "size": SIZE,
        "seed": SEED,
    }


def test_refs_have_the_documented_keys_and_equal_ids(root: Path) -> None:
    refs, _ = tables(root)
    assert [ref["ref_id"] for ref in refs] == list(range(1, REFS + 1))
    assert {ref["split"] for ref in refs} == {"train", "val", "test"}
    for ref in refs:
        assert set(ref) == {
            *("image_id", "ref_id", "ann_id", "split", "file_name", "category_id", "sent_ids", "sentences")
        }
        assert ref["image_id"] == ref["ann_id"] == ref["ref_id"] == int(Path(ref["file_name"]).stem)
        (sentence,) = ref["sentences"]
        assert set(sentence) == {"tokens", "raw", "sent", "sent_id"}
        assert ref["sent_ids"] == [sentence["sent_id"]]
        assert sentence["raw"].lower() == sentence["sent"] == " ".join(sentence["tokens"])


def test_pickle_holds_plain_data_only(root: Path) -> None:
    opcodes = {op.name for op, _, _ in pickletools.genops((root / "rrsisd/refs(unc).p").read_bytes())}
    assert not opcodes & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}


def test_instances_describe_images_masks_and_boxes(root: Path) -> None:
    refs, instances = tables(root)
    assert [(c["id"], c["name"]) for c in instances["categories"]] == list(enumerate(CATEGORIES))
    assert CATEGORIES[0] == "Expressway-Service-area"
    assert (CATEGORIES[13], CATEGORIES[19], len(CATEGORIES)) == ("ship", "windmill", 20)
    for ref, image, annotation in zip(refs, instances["images"], instances["annotations"], strict=True):
        assert image == {"id": ref["image_id"], "file_name": ref["file_name"], "height": SIZE, "width": SIZE}
        with Image.open(root / "images/rrsisd/JPEGImages" / ref["file_name"]) as picture:
            assert (picture.size, picture.mode, picture.format) == ((SIZE, SIZE), "RGB", "JPEG")
        assert annotation["id"] == annotation["image_id"] == ref["ann_id"]
        assert annotation["categories_id"] == ref["category_id"]
        assert "category_id" not in annotation
        (rle,) = annotation["segmentation"]
        assert rle["size"] == [SIZE, SIZE]
        assert isinstance(rle["counts"], str)
        mask = coco_mask.decode(rle)
        rows, columns = np.nonzero(mask)
        assert annotation["area"] == mask.sum() > 8
        assert annotation["bbox"] == [columns.min(), rows.min(), columns.max(), rows.max()]


def test_scene_records_belong_to_the_refs(root: Path) -> None:
    refs, instances = tables(root)
    lines = (root / "rrsisd/mini_rrsis_scenes.jsonl").read_text().splitlines()
    for ref, annotation, line in zip(refs, instances["annotations"], lines, strict=True):
        scene = json.loads(line)
        target = scene["things"][scene["target"]]
        assert scene["ref_id"] == ref["ref_id"]
        assert scene["sentence"] == ref["sentences"][0]["raw"]
        assert target["category"] == CATEGORIES[ref["category_id"]]
        assert target["area"] == pytest.approx(annotation["area"] / SIZE**2, abs=1e-6)


def test_splits_have_the_sizes_of_rrsisd_and_depend_on_the_seed() -> None:
    full = splits(17402, 0)
    assert [full.count(name) for name in ("train", "val", "test")] == [12181, 1740, 3481]
    assert splits(17402, 1) != full
    assert sorted(splits(3, 0)) == ["test", "train", "val"]
    assert full[:2000].count("train") == pytest.approx(1400, abs=100)


def test_same_bytes_from_one_process_and_from_two(tmp_path: Path) -> None:
    counts: list[int] = []
    write_dataset(tmp_path / "one", refs=70, size=48, seed=3, workers=1)
    write_dataset(tmp_path / "two", refs=70, size=48, seed=3, workers=2, progress=counts.append)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert counts == sorted(counts)
    assert counts[-1] == 70


def test_another_seed_draws_another_set(root: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", refs=REFS, size=SIZE, seed=SEED + 1, workers=1)
    ours, other = digests(root), digests(tmp_path / "set")
    assert set(ours) == set(other)
    same = [name for name in ours if ours[name] == other[name]]
    assert same == []


def test_more_refs_keep_the_scenes_before_them(root: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", refs=REFS + 3, size=SIZE, seed=SEED, workers=1)
    ours, longer = digests(root), digests(tmp_path / "set")
    assert all(ours[name] == longer[name] for name in ours if name.endswith(".jpg"))


def test_the_same_set_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_dataset(root, refs=REFS, size=SIZE, seed=SEED, workers=2)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_set_of_other_parameters_is_not_overwritten(root: Path) -> None:
    before = digests(root)
    with pytest.raises(
        HarnessError, match=r"set holds another drawn data set \(size 64 instead of 96\); remove"
    ):
        write_dataset(root, refs=REFS, size=96, seed=SEED, workers=1)
    assert digests(root) == before


def test_a_foreign_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(HarnessError, match="mine is not empty and was not drawn by this command"):
        write_dataset(tmp_path / "mine", refs=3, size=48, seed=0, workers=1)
    with pytest.raises(HarnessError, match="is a file"):
        write_dataset(tmp_path / "mine/notes.txt", refs=3, size=48, seed=0, workers=1)
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_dataset(tmp_path / "empty", refs=3, size=48, seed=0, workers=1)
    assert (tmp_path / "empty/rrsisd/refs(unc).p").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, workers: int) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", refs=100, size=48, seed=0, workers=workers, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refs": 2}, "refs = 2: at least 3"),
        ({"size": 20}, "size = 20: below 48"),
        ({"seed": -1}, "seed = -1"),
        ({"workers": -2}, "workers = -2"),
    ],
)
def test_parameters_out_of_range_are_refused(tmp_path: Path, change: dict[str, int], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        write_dataset(tmp_path / "set", **({"refs": 3, "size": 48, "seed": 0, "workers": 1} | change))
    assert list(tmp_path.iterdir()) == []


def test_jpeg_shows_the_drawn_scene(root: Path) -> None:
    scene, _, _ = make_scene(7, SIZE, SEED)
    data = (root / "images/rrsisd/JPEGImages/00007.jpg").read_bytes()
    stored = np.asarray(Image.open(io.BytesIO(data)), np.int16)
    assert np.abs(stored - scene.image).mean() < 12
    other, _, _ = make_scene(8, SIZE, SEED)
    assert np.abs(stored - other.image).mean() > 24


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(HarnessError, match=r"cannot write .*notes\.txt/set: Not a directory"):
        write_dataset(tmp_path / "notes.txt/set", refs=3, size=48, seed=0, workers=1)


def test_a_set_with_a_missing_image_is_not_taken_for_whole(tmp_path):
    out = tmp_path / "set"
    assert write_dataset(out, refs=12, size=64, seed=1, workers=1)
    assert not write_dataset(out, refs=12, size=64, seed=1, workers=1)
    (out / "images/rrsisd/JPEGImages/00007.jpg").unlink()
    with pytest.raises(HarnessError, match="not whole: 11 of 12 images"):
        write_dataset(out, refs=12, size=64, seed=1, workers=1)
    assert write_dataset(out, refs=12, size=64, seed=1, workers=1, replace=True)
    assert (out / "images/rrsisd/JPEGImages/00007.jpg").is_file()


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, others = tmp_path / f".set.{ended.pid}.tmp", tmp_path / f".set.{os.getppid()}.tmp"
    for folder in (left, others):
        folder.mkdir()
    write_dataset(tmp_path / "set", refs=3, size=64, seed=1, workers=1)
    assert not left.exists()
    assert others.exists()
