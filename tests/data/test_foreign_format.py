"""docs/datasets.md shows how a package adds a layout: its files are installed here as they stand there."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import PROJECT, toy_params

from harness.data.prepare import open_split


def block(language):
    """The one code block of that language on the page."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", (PROJECT / "docs/datasets.md").read_text(), re.M | re.S
    )
    assert len(found) == 1
    return found[0]


@pytest.fixture
def site(tmp_path):
    """What pip leaves of the page's package: its module, and its entry points beside it."""
    project = tomllib.loads(block("toml"))["project"]
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
    (site / "tiles.py").write_text(block("python"))
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
    return root


def harness(site, *arguments):
    return subprocess.run(
        [Path(sys.executable).with_name("harness"), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_of_the_page_is_verified_and_prepared(site, root, tmp_path):
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
    assert "expression 2 has the category 'shrub'" in done.stdout
    table.write_text("picture,text\n")
    done = harness(site, "data", "verify", root, "--reader", "tiles", "--expect", "none")
    assert done.returncode == 2
    assert "tiles.csv has the columns" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_package_its_name_is_unknown(root, tmp_path):
    done = harness(tmp_path, "data", "verify", root, "--reader", "tiles")
    assert done.returncode == 2
    assert "unknown data set 'tiles'" in done.stderr
    for name in ("refsegrs", "risbench", "rrsis-d"):
        assert name in done.stderr
