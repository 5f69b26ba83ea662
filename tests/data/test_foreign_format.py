"""The layout of another package, examples/tiny-fcn, which docs/add_a_dataset.md shows."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import PROJECT, toy_params

from harness.data.prepare import open_split
from harness.data.source import find_format
from harness.errors import HarnessError
from harness.testing import check_dataset

EXAMPLE = PROJECT / "examples/tiny-fcn"


def test_the_page_shows_the_file_as_it_is():
    page = (PROJECT / "docs/add_a_dataset.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert (EXAMPLE / "tinyfcn/tiles.py").read_text() in blocks


@pytest.fixture
def site(tmp_path):
    """What pip leaves of the package: its modules, and its entry points beside them."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    metadata = site / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    shutil.copytree(EXAMPLE / "tinyfcn", site / "tinyfcn", ignore=shutil.ignore_patterns("__pycache__"))
    return site


@pytest.fixture
def root(tmp_path):
    """A folder in the page's layout: three images, two objects on each."""
    root = tmp_path / "raw"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(1)
    lines = ["split,image,mask,category,sentence"]
    for split in ("train", "val", "test"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(root / f"images/{split}.png")
        for category, edge in (("road", 5), ("tree", 20)):
            mask = np.zeros((40, 40), np.uint8)
            mask[edge : edge + 9, 2:30] = 255
            Image.fromarray(mask).save(root / f"masks/{split}_{category}.png")
            lines.append(f'{split},{split}.png,{split}_{category}.png,{category},"the {category}, at {edge}"')
    (root / "tiles.csv").write_text("\n".join(lines) + "\n")
    (root / "categories.txt").write_text("building\nroad\ntree\n")
    return root


def harness(site, *arguments):
    return subprocess.run(
        [Path(sys.executable).with_name("harness"), *map(str, arguments)],
        env=os.environ
        | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{site}", "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_set_is_verified_and_prepared(site, root, tmp_path):
    found = tmp_path / "findings.json"
    done = harness(site, "data", "verify", root, "--reader", "tiles", "--expect", "none", "--json", found)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(found.read_text())["expressions"] == {"train": 2, "val": 2, "test": 2}

    params = toy_params(
        tmp_path,
        data={"dataset": "my-tiles", "reader": "tiles", "root": str(root), "workers": 1},
        text={"tokenizer": "trained", "vocab_size": 100, "max_tokens": 20},
    )
    for command in (("data", "source"), ("prepare",)):
        done = harness(site, *command, "--params", params.params)
        assert done.returncode == 0, done.stdout + done.stderr
    rows = open_split(params.split_file("test")).to_pylist()
    assert [(row["sentence"], row["category"], row["category_id"]) for row in rows] == [
        ("the road, at 5", "road", 1),
        ("the tree, at 20", "tree", 2),
    ]
    assert rows[0]["image_id"] == rows[1]["image_id"]


def test_its_bad_lines_are_findings_and_bad_tables_are_one_message(site, root):
    table = root / "tiles.csv"
    table.write_text(table.read_text().replace(",tree,", ",shrub,", 1))
    done = harness(site, "data", "verify", root, "--reader", "tiles", "--expect", "none")
    assert done.returncode == 1
    assert "unknown_category" in done.stdout
    assert "entry 2 has the category 'shrub'" in done.stdout
    table.write_text("picture,text\n")
    done = harness(site, "data", "verify", root, "--reader", "tiles", "--expect", "none")
    assert done.returncode == 2
    assert "tiles.csv has the columns" in done.stderr
    assert "Traceback" not in done.stderr
    table.write_text("split,image,mask,category,sentence\nvalid,a.png,b.png,road,a road\n")
    done = harness(site, "data", "verify", root, "--reader", "tiles", "--expect", "none")
    assert done.returncode == 2
    assert "entry 1 is ['valid', 'a.png'" in done.stderr


def test_without_the_package_its_name_is_unknown(root, tmp_path):
    done = harness(tmp_path, "data", "verify", root, "--reader", "tiles")
    assert done.returncode == 2
    assert "unknown data set 'tiles'" in done.stderr
    for name in ("refsegrs", "risbench", "rrsis-d"):
        assert name in done.stderr


SLOPPY = """
from dataclasses import replace
from pathlib import Path
from harness.data import DatasetFormat, Expression, Finding

GOOD = Expression(1, 2, 3, 4, "train", 0, "road", "the road", Path("a.png"), Path("b.png"))
ITEMS = {
    "split": replace(GOOD, split="valid"),
    "id": replace(GOOD, ref_id="7"),
    "big": replace(GOOD, image_id=2**64),
    "text": replace(GOOD, sentence=" "),
    "image": replace(GOOD, image="a.png"),
    "mask": replace(GOOD, mask=None),
    "kind": Finding("odd", "train", "a.csv", None, "..."),
    "row": {"sentence": "the road"},
}
SLOPPY = DatasetFormat(read=lambda root: iter([GOOD, ITEMS[root.name]]), tables=())
NONE = dict()
"""


@pytest.fixture
def sloppy(tmp_path, monkeypatch):
    """A package whose reader yields what it should not; the name of the root says what."""
    metadata = tmp_path / "sloppy_sets-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sloppy-sets\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[rrsis_harness.datasets]\nsloppy = sloppy_sets:SLOPPY\nnone = sloppy_sets:NONE\n"
    )
    (tmp_path / "sloppy_sets.py").write_text(SLOPPY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sloppy_sets", raising=False)


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("split", "has the split 'valid', none of train, val, test"),
        ("id", "has the ref_id '7', no integer of 64 bits"),
        ("big", "has the image_id 18446744073709551616, no integer"),
        ("text", "has the sentence ' ', no text"),
        ("image", "has the image 'a.png', no Path"),
        ("mask", "has a NoneType as mask, no Path or Rle"),
        ("kind", "is a finding of the kind 'odd', which is not in KINDS"),
        ("row", "is a dict, no Expression or Finding"),
    ],
)
def test_what_no_expression_can_be_is_named_with_its_package(root, problem, sloppy):
    who = "data set 'sloppy' of package sloppy-sets (sloppy_sets:SLOPPY)"
    with pytest.raises(HarnessError, match=re.escape(f"{who}: item 2 that it reads from {root} {problem}")):
        list(find_format("sloppy").read(Path(root)))


def test_what_is_no_format_is_named(sloppy):
    with pytest.raises(
        HarnessError, match=r"'none' of package sloppy-sets .* is no harness.data.DatasetFormat"
    ):
        find_format("none")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "images/val.png").unlink(), "files: {root}/images/val.png: it does not exist"),
        (
            lambda root: (root / "masks/val_tree.png").write_bytes(b"no image"),
            "files: the mask of ref_id 4: it is no im",
        ),
        (
            lambda root: Image.new("L", (7, 9), 255).save(root / "masks/val_tree.png"),
            "files: the mask of ref_id 4 has 9 x 7 pixels, its image 40 x 40",
        ),
        (
            lambda root: edit(root, "val,val.png,val_road.png", "test,val.png,val_road.png"),
            "pairing: image_id 1 stands with more than one of the split: test, val",
        ),
        (
            lambda root: edit(root, ",tree,", ",shrub,"),
            "findings: unknown_category: entry 2 has the category 'shrub'",
        ),
        (lambda root: edit(root, "val,val.png", "train,val.png"), "splits: val has no expression"),
    ],
)
def test_check_dataset_finds(damage, message, site, root, monkeypatch):
    monkeypatch.syspath_prepend(site)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tinyfcn"]:
        monkeypatch.delitem(sys.modules, name)
    check_dataset("tiles", root)
    damage(root)
    with pytest.raises(AssertionError, match=re.escape(message.format(root=root))):
        check_dataset("tiles", root)


def edit(root, old, new):
    table = root / "tiles.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))
