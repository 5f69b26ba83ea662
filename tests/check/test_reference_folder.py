"""The reference on disk: damage is one clear error, an update is all or nothing and says what changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pycocotools import mask as coco_mask
from toy_gate import PROJECT, SIDE, check, encoded, profile

from harness.config import load_params
from harness.errors import HarnessError
from harness.gate import update
from harness.gate.reference import Reference, read_reference
from harness.samples import read_samples


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def beside(folder):
    return sorted(path.name for path in folder.parent.iterdir() if folder.name in path.name)


def error(params, reference, *arguments):
    with pytest.raises(HarnessError) as caught:
        check(params, reference, *arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def overwrite(path, text):
    path.write_text(text, encoding="utf-8")


def test_the_tables_are_ordinary_per_sample_tables(gate):
    tables = sorted(gate.reference.glob("retrained/*.parquet"))
    assert [path.stem for path in tables] == sorted(gate.params.runs)
    for path in tables:
        found = gate.params.run_dir(path.stem) / "test.resized.parquet"
        assert read_samples(path).equals(read_samples(found))


@pytest.mark.parametrize("name", ["predictions.parquet", "retrained/mafn-full-s0.parquet"])
@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_a_damaged_file_is_named_with_the_way_out(gate, name, damage):
    path = gate.reference / name
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        shutil.copy(gate.reference / "retrained/lavt-full-s0.parquet", path)
    message = error(gate.params, gate.reference)
    assert str(path) in message
    assert "git checkout" in message
    assert "harness check --update" in message


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("reference.json", "{", "cannot be read as JSON"),
        ("reference.json", "[]", "is damaged"),
        ("reference.json", '{"schema_version": 1}', "is damaged: samples_schema: Field required"),
        ("exact.json", "", "cannot be read as JSON"),
        ("exact.json", '{"metrics": {}}', "is damaged"),
    ],
)
def test_a_damaged_json_is_named(gate, name, text, said):
    overwrite(gate.reference / name, text)
    message = error(gate.params, gate.reference)
    assert str(gate.reference / name) in message
    assert said in message


def test_no_reference_says_how_to_make_one(gate, tmp_path):
    assert "--update --seed-runs" in error(gate.params, tmp_path / "none")


@pytest.mark.parametrize("key", ["schema_version", "samples_schema"])
def test_a_changed_schema_fails_the_gate(gate, key):
    path = gate.reference / "reference.json"
    content = json.loads(path.read_text())
    content[key] = {"schema_version": 0, "samples_schema": "0"}[key]
    overwrite(path, json.dumps(content))
    result = check(gate.params, gate.reference)
    assert result.exit_code == 1
    assert "schema: changed" in result.output
    assert "schema version 0" in " ".join(result.output.split())


def test_an_edited_number_is_a_changed_one(gate):
    path = gate.reference / "exact.json"
    content = json.loads(path.read_text())
    content["metrics"]["mafn-full"]["mIoU"] += 1e-12
    overwrite(path, json.dumps(content))
    result = check(gate.params, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    assert "mafn-full mIoU: reference" in result.output


def test_updating_with_nothing_new_writes_nothing(gate):
    before = {path: path.stat().st_mtime_ns for path in gate.reference.rglob("*")}
    assert check(gate.params, gate.reference, "--update").output.strip().endswith("nothing changed")
    assert {path: path.stat().st_mtime_ns for path in gate.reference.rglob("*")} == before


def test_the_same_runs_give_the_same_bytes(gate, tmp_path):
    check(gate.params, tmp_path / "again", "--update", "--seed-runs", gate.seeds.params)
    assert files(tmp_path / "again") == files(gate.reference)


def test_an_update_says_what_changed_and_is_then_the_reference(gate, tmp_path):
    worse = profile(tmp_path / "worse", "toy", quality={"mafn-full": -0.25})
    assert check(worse, gate.reference).exit_code == 1
    said = check(worse, gate.reference, "--update").output
    assert "mafn-full mIoU: 7" in said
    assert "of 80 predicted masks" in said
    assert "exact.json, tables: mafn-full against rmsin-full, all runs" in said
    assert "lavt-full mIoU" not in said
    assert "seed SD" not in said
    assert check(worse, gate.reference).exit_code == 0
    assert beside(gate.reference) == ["reference"]


def test_the_exact_layer_is_updated_without_any_run(gate, tmp_path, monkeypatch):
    bare = profile(tmp_path / "bare", "toy")
    shutil.rmtree(bare.out)
    before = files(gate.reference)
    assert "nothing changed" in check(bare, gate.reference, "--update", "--layer", "exact").output
    monkeypatch.setattr("harness.comparing.sheet.verdict", lambda *_: "All is well.")
    said = check(bare, gate.reference, "--update", "--layer", "exact").output
    assert "exact.json, tables: mafn-full against rmsin-full, one run" in said
    assert check(bare, gate.reference, "--layer", "exact").exit_code == 0
    changed = [path.name for path, content in files(gate.reference).items() if content != before[path]]
    assert changed == ["exact.json"]


def test_seed_noise_can_be_measured_anew(gate, tmp_path):
    other = profile(tmp_path / "more", "more", seeds=range(5, 11))
    said = check(gate.params, gate.reference, "--update", "--seed-runs", other.params).output
    assert "seed noise: measured on more, seeds 5, 6, 7, 8, 9, 10" in said
    assert "seed SD of mafn-full: P@0.5" in said
    assert " mIoU: " not in said
    assert read_reference(gate.reference).settings.noise.seeds == tuple(range(5, 11))


def test_seed_noise_is_that_of_the_same_networks(gate, tmp_path):
    content = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    slower = profile(tmp_path / "slower", training=content["training"] | {"epochs": 9})
    message = error(gate.params, gate.reference, "--update", "--seed-runs", slower.params)
    assert "training is" in message
    larger = profile(tmp_path / "larger", n=90)
    assert "samples not in the reference" in error(
        gate.params, gate.reference, "--update", "--seed-runs", larger.params
    )
    single = profile(tmp_path / "single", seeds=(0,))
    assert "one seed" in error(gate.params, gate.reference, "--update", "--seed-runs", single.params)
    assert "--seed-runs" in error(gate.params, tmp_path / "first", "--update")


def test_an_update_needs_every_run_and_leaves_the_reference_alone(gate, tmp_path):
    before = files(gate.reference)
    broken = profile(tmp_path / "broken", "toy")
    (broken.run_dir("mafn-full-s1") / "test.resized.parquet").unlink()
    assert "harness evaluate --run mafn-full-s1" in error(broken, gate.reference, "--update")
    broken = profile(tmp_path / "broken", "toy")
    shutil.copy(broken.run_dir("lavt-full-s0") / "predictions.parquet", broken.run_dir("mafn-full-s0"))
    assert "is not that of its mask" in error(broken, gate.reference, "--update")
    assert files(gate.reference) == before


def test_masks_of_other_sizes_are_resized_as_in_the_evaluation(gate, tmp_path, monkeypatch):
    """Every mask twice as large, and resized back."""
    params = profile(tmp_path / "toy")
    small = update._true_masks(params)
    table = update.open_split(params.split_file("test")).to_pandas()

    def doubled(counts):
        mask = coco_mask.decode({"size": [SIDE, SIDE], "counts": counts.encode()})
        return encoded(np.kron(mask, np.ones((2, 2), np.uint8)))

    large = table.assign(mask_counts=table["mask_counts"].map(doubled), height=2 * SIDE, width=2 * SIDE)
    monkeypatch.setattr(update, "open_split", lambda _: pa.Table.from_pandas(large))
    assert update._true_masks(params).equals(small)


def test_a_folder_of_something_else_is_not_replaced(gate, tmp_path):
    for name in ("notes", "reference"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        overwrite(folder / "thesis.tex", "mine")
        message = error(gate.seeds, folder, "--update", "--seed-runs", gate.seeds.params)
        assert "thesis.tex" in message
        assert (folder / "thesis.tex").read_text() == "mine"


KILLED = """
import os, sys
from pathlib import Path
from harness.cli import main
moment, rename, done = int(sys.argv.pop(1)), Path.rename, []
def killed(self, target):
    if ".reference" in f"{self.name} {Path(target).name}":
        if len(done) == moment:
            os._exit(9)
        done.append(self)
    return rename(self, target)
Path.rename = killed
main()
"""


@pytest.mark.parametrize("moment", [0, 1])
@pytest.mark.big
def test_a_kill_while_updating_leaves_the_old_reference(gate, tmp_path, moment):
    """Before the first rename, and between the two."""
    worse = profile(tmp_path / "worse", "toy", quality={"mafn-full": -0.25})
    before = files(gate.reference)
    result = run_update(gate, worse, ["-c", KILLED, str(moment)])
    assert result.returncode == 9, result.stderr
    assert gate.reference.exists() == (moment == 0)
    result = check(gate.params, gate.reference)
    assert result.exit_code == 0, result.output
    assert files(gate.reference) == before
    assert check(worse, gate.reference, "--update").exit_code == 0
    assert check(worse, gate.reference).exit_code == 0
    assert beside(gate.reference) == ["reference"]


FULL = """
import resource, signal
from harness.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
main()
"""


def test_a_full_disk_is_one_message_and_leaves_the_old_reference(gate, tmp_path):
    pytest.importorskip("resource")
    worse = profile(tmp_path / "worse", "toy", quality={"mafn-full": -0.25})
    before = files(gate.reference)
    result = run_update(gate, worse, ["-c", FULL])
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: cannot write")
    assert "Traceback" not in result.stderr
    assert files(gate.reference) == before
    assert beside(gate.reference) == ["reference"]


def run_update(gate, params, program):
    return subprocess.run(
        [
            sys.executable,
            *program,
            "check",
            "--update",
            "--params",
            str(params.params),
            "--reference",
            str(gate.reference),
        ],
        cwd=params.params.parent,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )


def test_the_committed_reference_is_the_embedded_profile_s():
    folder = PROJECT / "reports/reference"
    reference = read_reference(folder)
    params = load_params(PROJECT / "params.yaml")
    assert isinstance(reference, Reference)
    assert reference.settings.profile == params.profile == "embedded"
    assert set(reference.settings.runs) == set(params.tables.table1.rows.values())
    assert len(reference.settings.noise.seeds) == 5
    assert sum(path.stat().st_size for path in Path(folder).rglob("*")) < 10**6
