import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.files import atomic_write, read_json, replace_together, write_json


def write_half(path):
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("interrupted")


def write_to_a_full_disk(path):
    with atomic_write(path) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_text("x" * 10_000)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="interrupted"):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, sys\nfrom harness.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as t:\n    t.write_text('half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -9
    assert path.read_text() == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full stands for a full disk; Linux has it")
def test_a_full_disk_is_one_clear_error(tmp_path):
    with pytest.raises(HarnessError, match="No space left"):
        write_to_a_full_disk(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="file"), atomic_write(tmp_path / "file" / "a.txt") as temporary:
        temporary.write_text("x")


def test_json_round_trip_and_its_errors(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"ä": [1.5, None]})
    assert read_json(path, "make") == {"ä": [1.5, None]}
    with pytest.raises(ValueError, match=r"not JSON compliant|Out of range"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text()) == {"ä": [1.5, None]}
    path.write_text("{")
    with pytest.raises(HarnessError, match="`make`"):
        read_json(path, "make")
    with pytest.raises(HarnessError, match="does not exist"):
        read_json(tmp_path / "b.json", "make")


def write_together(paths, broken=False):
    with replace_together(paths) as temporary:
        for path in temporary:
            path.write_text("new")
        if broken:
            raise RuntimeError


def test_files_that_belong_together_are_replaced_together(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("old")
    (tmp_path / ".a.4711.tmp").write_text("left by a killed process")
    with pytest.raises(RuntimeError):
        write_together(paths, broken=True)
    assert [path.read_text() for path in paths] == ["old", "old"]
    write_together(paths)
    assert [path.read_text() for path in paths] == ["new", "new"]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_break_between_the_renames_never_leaves_old_beside_new(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("old")
    rename = Path.replace

    def breaking(self, target):
        if target == paths[1]:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", breaking)
    with pytest.raises(KeyboardInterrupt):
        write_together(paths)
    assert {path.read_text() for path in paths if path.exists()} <= {"new"}
    assert not all(path.exists() for path in paths)


@pytest.mark.parametrize("content", ["[" * 5000, "9" * 5000, "\udcff", ""])
def test_json_that_is_a_trap_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(HarnessError, match=r"a\.json cannot be read as JSON"):
        read_json(path, "make")
