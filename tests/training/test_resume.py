import os
import subprocess
import sys
import zipfile

import pytest
import torch

from harness.errors import HarnessError
from harness.training.resume import Checkpoints, only_writer

SETTINGS = {"training.epochs": "2", "code/mafn/model.py": "ab", "data/train.arrow": "cd"}


def state(value):
    return {"model": {"weight": torch.full((1000,), float(value))}}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path, SETTINGS)


def best(checkpoints, step):
    checkpoints.best_file(step).write_bytes(b"weights")


def kept(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_the_last_two_are_kept_with_the_best_weights_that_they_name(checkpoints):
    best(checkpoints, 5)
    checkpoints.save(10, state(1), 5)
    checkpoints.save(20, state(2), 5)
    best(checkpoints, 30)
    checkpoints.save(30, state(3), 30)
    assert kept(checkpoints) == [
        "best-000000005.safetensors",
        "best-000000030.safetensors",
        "step-000000020.pt",
        "step-000000030.pt",
    ]
    checkpoints.save(40, state(4), 30)
    assert kept(checkpoints) == ["best-000000030.safetensors", "step-000000030.pt", "step-000000040.pt"]
    content = checkpoints.load(checkpoints.latest())
    assert (content["step"], content["best_step"]) == (40, 30)
    assert torch.equal(content["model"]["weight"], torch.full((1000,), 4.0))


def test_nothing_there_is_a_start(checkpoints):
    assert checkpoints.latest() is None


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"<html>"),
        lambda path: torch.save({"other": 1}, path),
    ],
    ids=["a bit", "cut off", "empty", "a page", "another file"],
)
def test_a_damaged_one_is_told_and_the_one_before_is_taken(checkpoints, damage, capsys):
    checkpoints.save(10, state(1), None)
    checkpoints.save(20, state(2), None)
    damage(checkpoints.folder / "step-000000020.pt")
    assert checkpoints.latest().name == "step-000000010.pt"
    told = capsys.readouterr().out
    assert "step-000000020.pt is damaged" in told
    assert "going on from the one before" in told
    assert (checkpoints.folder / "step-000000020.damaged").exists()


def test_what_was_made_from_something_else_is_set_aside_and_told(checkpoints, capsys):
    best(checkpoints, 10)
    checkpoints.save(10, state(1), 10)
    others = Checkpoints(checkpoints.folder, SETTINGS | {"training.epochs": "3", "code/mafn/model.py": "ef"})
    assert others.latest() is None
    told = capsys.readouterr().out
    assert "training.epochs was 2, is 3" in told
    assert "code/mafn/model.py" in told
    assert "data/train.arrow" not in told
    assert kept(checkpoints) == ["set-aside-1"]
    aside = checkpoints.folder / "set-aside-1"
    assert sorted(path.name for path in aside.iterdir()) == [
        "best-000000010.safetensors",
        "step-000000010.pt",
    ]
    others.save(10, state(1), None)
    assert checkpoints.latest() is None
    assert (checkpoints.folder / "set-aside-2").is_dir()


def test_code_in_a_checkpoint_is_not_run(checkpoints, tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"version": 1, "fingerprint": SETTINGS, "trap": Trap()}, tmp_path / "step-000000010.pt")
    assert checkpoints.latest() is None
    assert "is no checkpoint of a training" in capsys.readouterr().out
    assert not (tmp_path / "sprung").exists()


@pytest.mark.big
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_on_a_full_disk_the_last_one_survives(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        checkpoints = Checkpoints(tmp_path, SETTINGS)
        checkpoints.save(10, state(1), None)
        with pytest.raises(HarnessError, match=r"cannot write .*step-000000020\.pt: No space left on device"):
            checkpoints.save(20, {"model": torch.zeros(1_000_000)}, None)
        assert kept(checkpoints) == ["step-000000010.pt"]
        assert checkpoints.latest().name == "step-000000010.pt"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_finished_run_leaves_nothing_but_what_was_set_aside(checkpoints):
    with only_writer(checkpoints.folder):
        checkpoints.save(10, state(1), None)
        Checkpoints(checkpoints.folder, {}).latest()
        checkpoints.save(10, state(1), None)
        (checkpoints.folder / "curves").mkdir()
        checkpoints.clear()
    assert set(kept(checkpoints)) <= {"lock", "set-aside-1"}


def test_a_second_writer_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.training.resume.PATIENCE", 0.2)
    held = (
        "import sys, time; from pathlib import Path; from harness.training.resume import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen([sys.executable, "-c", held, tmp_path], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    with (
        pytest.raises(HarnessError, match=rf"another training of this run \(process {first.pid}\)"),
        only_writer(tmp_path),
    ):
        pass
    first.kill()
    first.wait()
    with only_writer(tmp_path):
        pass


@pytest.mark.parametrize(
    "content",
    [
        [1],
        {"version": 1},
        {"version": 1, "fingerprint": 5},
        {"version": 1, "fingerprint": {"code": 1}},
        {"version": 10**30, "fingerprint": {}},
    ],
)
def test_a_checkpoint_of_another_form_is_put_aside(checkpoints, content, capsys):
    torch.save(content, checkpoints.folder / "step-000000010.pt")
    assert checkpoints.latest() is None
    assert "step-000000010.pt" in capsys.readouterr().out
    assert kept(checkpoints) == ["step-000000010.damaged"]


def test_a_zip_bomb_is_put_aside_unopened(checkpoints, capsys):
    with zipfile.ZipFile(checkpoints.folder / "step-000000010.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**27))
    assert checkpoints.latest() is None
    assert "its members are compressed, or larger than the file" in capsys.readouterr().out
