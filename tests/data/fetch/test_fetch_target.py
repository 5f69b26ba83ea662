"""The target is complete or as it was: kills, full disks, two fetches at once, what was there before."""

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from packing import zipped
from processes import HARNESS, refused, start, wait_for

from harness.cli import main
from harness.errors import HarnessError


def test_a_killed_download_goes_on_with_a_range_request(server, fetching, mirror, files):
    url = server.put("/set.zip", mirror, rate=250_000)
    process = start("--from", url, "--to", fetching.root)
    wait_for(lambda: fetching.partial() > 100_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not fetching.root.exists()
    kept = fetching.partial()
    server.files["/set.zip"].rate = None
    process = start("--from", url, "--to", fetching.root)
    out, err = process.communicate()
    assert (process.returncode, err.count("error")) == (0, 0)
    assert fetching.content() == files
    assert [asked.range for asked in server.log] == [None, f"bytes={kept}-"]
    assert f"rrsis-d is in {fetching.root}: {len(files)} files" in out


def test_an_interrupt_says_that_the_download_is_kept(server, fetching, mirror):
    url = server.put("/set.zip", mirror, rate=250_000)
    process = start("--from", url, "--to", fetching.root)
    wait_for(lambda: fetching.partial() > 100_000)
    while process.poll() is None:  # Python loses an interrupt that comes within a callback of its own
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Finished downloads are kept" in err
    assert "goes on with an unfinished one where the server can send the rest" in err
    assert "Traceback" not in err
    assert fetching.partial() > 100_000


def test_a_termination_ends_like_an_interrupt(server, fetching, mirror):
    url = server.put("/set.zip", mirror, rate=250_000)
    here, there = pty.openpty()
    process = start("--from", url, "--to", fetching.root, stderr=there, env=os.environ | {"TERM": "xterm"})
    os.close(there)
    wait_for(lambda: fetching.partial() > 100_000)
    process.send_signal(signal.SIGTERM)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while block := os.read(here, 4096):
            shown += block
    os.close(here)
    process.communicate()
    assert process.returncode == 143
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") > 0  # the cursor is hidden and shown again
    assert b"Finished downloads are kept" in shown
    assert b"Traceback" not in shown
    assert sorted(path.name for path in fetching.staging.iterdir()) == ["downloads", "lock"]


MOMENTS = {  # a function, and at which of its calls the process ends
    "the download is whole and not yet checked": ("harness.data.fetch.download", "publish", 1),
    "it is being checked": ("pooch.core", "hash_matches", 1),
    "half of it is unpacked": ("harness.data.fetch.pieces", "pour", 20),
    "the checksums are written": ("harness.data.fetch.fetching", "write_json", 1),
    "the target is there, the downloads are not deleted": ("harness.data.fetch.staging:Staging", "clear", 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_next_call_goes_on(server, fetching, mirror, files, moment):
    owner, name, number = MOMENTS[moment]
    url = server.put("/set.zip", mirror)
    code = f"""
import os, pkgutil
from harness.cli import main
owner, calls = pkgutil.resolve_name({owner!r}), []
original = owner.{name}
def ending(*arguments, **named):
    calls.append(1)
    return os.kill(os.getpid(), 9) if len(calls) == {number} else original(*arguments, **named)
owner.{name} = ending
main()
"""
    command = [sys.executable, "-c", code, *HARNESS[1:], "--from", url, "--to", fetching.root]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert fetching.root.exists() == ("target is there" in moment)
    asked = len(server.log)
    fetching(url)
    assert fetching.content() == files
    assert len(server.log) == asked  # nothing is downloaded twice
    assert [path.name for path in fetching.staging.iterdir()] == ["lock"]


@pytest.mark.big
def test_two_fetches_at_once(server, fetching, mirror, files):
    url = server.put("/set.zip", mirror, rate=500_000)
    first = start("--from", url, "--to", fetching.root)
    wait_for(lambda: fetching.partial() > 50_000)
    with pytest.raises(
        HarnessError, match=rf"another fetch of .* is at work \(process {first.pid} on .*, since "
    ):
        fetching(url)
    second = start("--from", url, "--to", fetching.root)
    _, err = second.communicate()
    assert (second.returncode, "another fetch of" in err) == (2, True)
    assert first.wait() == 0
    assert fetching.content() == files
    assert len(server.log) == 1


def test_two_fetches_of_two_targets(server, fetching, mirror, tmp_path):
    url = server.put("/set.zip", mirror, rate=4_000_000)
    other = start("--from", url, "--to", tmp_path / "other")
    wait_for(lambda: server.log)
    fetching(url)
    assert other.wait() == 0


@pytest.mark.parametrize(("limit", "when"), [(600_000, "download"), (1_000, "unpacking")])
def test_no_space_left(server, fetching, mirror, files, limit, when, tmp_path):
    """A limit on the size of files stands for the disk's: the system refuses the write in the same way."""
    if when == "download":
        place = server.put("/set.zip", mirror)
    else:
        place = tmp_path / "set.zip"
        place.write_bytes(mirror)
    process = start("--from", place, "--to", fetching.root, limit=limit)
    _, err = process.communicate()
    assert process.returncode == 2
    assert "Traceback" not in err
    message = err.strip().splitlines()[-1]
    assert message.startswith("error: cannot write ")
    assert "File too large; the target folder is untouched" in message
    assert "Make room and run the command again" in message
    assert not fetching.root.exists()
    if when == "download":
        assert fetching.partial() == limit
        fetching(place)
        assert server.log[-1].range == f"bytes={limit}-"
    else:
        fetching(place)
    assert fetching.content() == files


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_small_disk_is_noticed_before_it_is_full(small_disk, server, fetching, mirror):
    fetching.root = small_disk / "target"
    with pytest.raises(
        HarnessError, match=r"2\.0 MB to download and 2\.0 MB unpacked are 4\.1 MB, 3\.1 MB are free"
    ):
        fetching(server.put("/set.zip", mirror))
    assert fetching.partial() == 0


def test_what_an_archive_unpacks_to_is_asked_for(small_disk, fetching, tmp_path, files):
    (tmp_path / "set.zip").write_bytes(zipped({**files, "images/rrsisd/JPEGImages/x.jpg": bytes(5_000_000)}))
    fetching.root = small_disk / "target"
    with pytest.raises(
        HarnessError, match=r"0 bytes to download and 5\.0 MB unpacked are 5\.0 MB, 3\.1 MB are free"
    ):
        fetching(tmp_path / "set.zip")


def test_a_disk_that_fills_up_meanwhile(small_disk, server, fetching, mirror):
    fetching.root = small_disk / "target"
    server.put("/set.zip", mirror, length=-1, ranges=False)  # the size is not known before
    (small_disk / "other").write_bytes(bytes(1_500_000))
    with pytest.raises(HarnessError, match="No space left on device; the target folder is untouched"):
        fetching(f"{server.url}/set.zip")
    assert not fetching.root.exists()


def test_a_complete_target_is_left_alone(server, fetching, mirror, files):
    url = server.put("/set.zip", mirror)
    fetching(url)
    asked = len(server.log)
    report = fetching(url)
    assert (report.outcome, report.files, len(server.log)) == ("complete", len(files), asked)


@pytest.mark.parametrize("lost", ["images/rrsisd/JPEGImages/00003.jpg", "rrsisd/instances.json"])
def test_an_incomplete_target_is_an_error_that_names_the_way_out(server, fetching, mirror, lost):
    url = server.put("/set.zip", mirror)
    fetching(url)
    (fetching.root / lost).unlink()
    before = fetching.content()
    with pytest.raises(HarnessError, match=rf"not complete: 1 file is missing \({lost}\).*--repair"):
        fetching(url)
    assert fetching.content() == before


@pytest.mark.parametrize("repair", [False, True])
def test_a_folder_with_something_else_is_not_touched(tmp_path, server, fetching, mirror, repair):
    fetching.root.mkdir()
    (fetching.root / "thesis.tex").write_text("mine")
    with pytest.raises(HarnessError, match=r"is not empty and holds no data set; name another folder$"):
        fetching(server.put("/set.zip", mirror), repair=repair)
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "thesis.tex"]


@pytest.mark.parametrize("there", ["rrsisd/instances.json", "images/rrsisd/JPEGImages/00003.jpg"])
def test_one_file_of_the_set_is_enough_for_a_repair(server, fetching, mirror, files, there):
    (fetching.root / there).parent.mkdir(parents=True)
    (fetching.root / there).write_bytes(files[there])
    fetching(server.put("/set.zip", mirror), repair=True)
    assert fetching.content()[there] == files[there]
    assert not {name for name in files if not name.endswith(".xml")} - set(fetching.content())


def test_an_empty_folder_is_taken(server, fetching, mirror, files):
    fetching.root.mkdir()
    fetching(server.put("/set.zip", mirror))
    assert fetching.content() == files


def test_a_file_in_place_of_the_target_is_an_error(server, fetching, mirror):
    fetching.root.write_text("mine")
    with pytest.raises(HarnessError, match="is a file; name another folder"):
        fetching(server.put("/set.zip", mirror))


def test_a_folder_that_may_not_be_written_is_named(tmp_path, drawn):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    said = refused("--from", drawn, "--to", folder / "set")
    assert f"cannot write {folder}/.set.fetch: Permission denied" in said


@pytest.fixture
def closed():
    """Takes all permissions from a file or folder, until the end of the test."""
    modes = {}

    def close(path: Path) -> Path:
        modes[path] = path.stat().st_mode
        path.chmod(0)
        return path

    yield close
    for path, mode in modes.items():
        path.chmod(mode)


@pytest.mark.parametrize("what", ["images", "images/rrsisd/JPEGImages/00003.jpg", "images/rrsisd/ann_split"])
@pytest.mark.parametrize("recorded", [True, False])
def test_what_may_not_be_read_in_the_target_is_named(fetching, drawn, closed, what, recorded):
    fetching(drawn)
    if not recorded:
        (fetching.root / "SHA256SUMS").unlink()
    path = closed(fetching.root / what)
    said = refused("--from", drawn, "--to", fetching.root, "--repair")
    assert f"error: no access to {path}" in said
    assert "(Permission denied); give it to this user" in said


@pytest.mark.parametrize("what", ["", "images", "rrsisd/instances.json"])
def test_what_may_not_be_read_in_the_source_is_named(tmp_path, drawn, closed, what):
    source = tmp_path / "source"
    shutil.copytree(drawn, source)
    path = closed(source / what)
    said = refused("--from", source, "--to", tmp_path / "set")
    assert f"{source}: {path} cannot be read: Permission denied" in said
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("repair", [False, True])
def test_target_and_source_are_apart(tmp_path, drawn, fetching, repair):
    source = tmp_path / "source"
    shutil.copytree(drawn, source)
    names = sorted(source.rglob("*"))
    fetching.root = source / "inner"
    with pytest.raises(
        HarnessError, match=rf"the source {source} and the target .*/inner lie in one another"
    ):
        fetching(source, repair=repair)
    assert sorted(source.rglob("*")) == names
    fetching.root = source  # complete: nothing to do
    if repair:
        with pytest.raises(HarnessError, match="lie in one another; name a folder elsewhere"):
            fetching(source / "images", repair=True)
        with pytest.raises(HarnessError, match="are one folder"):
            fetching(source, repair=True)
        assert sorted(source.rglob("*")) == names


def test_what_a_broken_unpacking_left_is_not_used(server, fetching, mirror, files):
    stale = fetching.staging / "unpacked" / "images/rrsisd/JPEGImages/00001.jpg"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    (fetching.staging / "unpacked/images/rrsisd/JPEGImages/99999.jpg").write_bytes(b"another set")
    fetching(server.put("/set.zip", mirror))
    assert fetching.content() == files


def profile(folder: Path, **data) -> Path:
    """A project's folder with the profiles of the project, and one whose data set has these sources."""
    here = Path(__file__).parents[3]
    shutil.copy(here / "params.yaml", folder)
    text = (here / "profiles/rrsisd/params.yaml").read_text()
    head, _, rest = text.partition("\ndata:\n")
    rest = rest[rest.index("\ntext:") :]
    target = folder / "profiles/rrsisd/params.yaml"
    target.parent.mkdir(parents=True)
    section = {"dataset": "rrsis-d", "reader": "rrsis-d", "root": "data/rrsis-d", **data}
    target.write_text(f"{head}\ndata: {json.dumps(section)}\n{rest}")
    return target


def test_the_command_takes_sources_and_root_from_the_profile(tmp_path, server, mirror, files):
    url = server.put("/set.zip", mirror)
    profile(tmp_path, sources=[{"path": "nowhere"}, {"url": url}])
    process = start(cwd=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "nowhere: does not exist" in err
    assert f"rrsis-d is in data/rrsis-d: {len(files)} files" in out
    assert out.endswith("Next: harness data verify data/rrsis-d\n")
    out, _ = start(cwd=tmp_path).communicate()
    assert "rrsis-d is complete in data/rrsis-d" in out
    (tmp_path / "data/rrsis-d/images/rrsisd/JPEGImages/00001.jpg").unlink()
    process = start("--repair", cwd=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "is repaired: 1 of" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rrsisd"], "no profile is about the data set 'rrsisd'. Did you mean 'rrsis-d'?"),
        (["mini-rrsis"], "mini-rrsis is drawn, not fetched"),
        (["rrsis-d", "--from", ""], "--from has an empty place"),
        (["rrsis-d", "--from", "s3://bucket/set"], "s3 addresses are not read"),
        (
            ["other", "--params", "profiles/rrsisd/params.yaml"],
            "is about 'rrsis-d' (data.dataset), not 'other'",
        ),
        (["other", "--from", ".", "--to", "x"], "unknown data set 'other'"),
        (["rrsis-d", "--params", "none.yaml"], "none.yaml does not exist"),
    ],
)
def test_wrong_arguments_are_one_message(tmp_path, monkeypatch, capsys, arguments, words):
    profile(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["harness", "data", "fetch", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: ")
    assert words in said


def verification(tmp_path, name: str, source: Path, **data) -> str:
    """The command that a fetch proposes next."""
    profile(tmp_path, dataset=name, **data)
    command = [*HARNESS[:-1], name, "--from", source, "--to", "a set"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    return process.stdout.rstrip().rpartition("Next: ")[2]


def test_the_next_command_expects_what_was_fetched(tmp_path, drawn):
    """Of a data set of one's own in RRSIS-D's layout, no manifest tells what it holds."""
    proposed = verification(tmp_path, "small", drawn)
    assert proposed == "harness data verify 'a set' --expect none"
    done = subprocess.run([HARNESS[0], *shlex.split(proposed)[1:]], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0


def test_the_next_command_names_another_layout(tmp_path):
    from PIL import Image

    source = tmp_path / "source"
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
        Image.new("L", (8, 8)).save(source / folder / "1.tif")
    for split in ("train", "val", "test"):
        (source / f"output_phrase_{split}.txt").write_text("1 a road\n")
    proposed = verification(tmp_path, "refsegrs", source, reader="refsegrs")
    assert proposed == "harness data verify 'a set' --reader refsegrs"


def test_from_and_to_need_no_profile(tmp_path, drawn, files):
    process = start("--from", drawn, "--to", "set", cwd=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert f"rrsis-d is in set: {len(files)} files" in out


def test_places_on_the_command_line():
    from harness.commands.fetch import source_at

    folder = "1Xqi3Am2Vgm4a5tHqiV9tfaqKNovcuK3A"
    assert source_at("hf:a/b").huggingface == "a/b"
    assert source_at("https://huggingface.co/datasets/a/b/tree/main").huggingface == "a/b"
    assert source_at(f"gdrive:{folder}").google_drive == folder
    assert source_at(f"https://drive.google.com/drive/folders/{folder}?usp=sharing").google_drive == folder
    assert source_at("https://drive.google.com/file/d/x/view").url == "https://drive.google.com/file/d/x/view"
    assert source_at("https://a.b/c.zip").url == "https://a.b/c.zip"
    assert source_at("some/folder").path == Path("some/folder")
    assert source_at("C:/data").path == Path("C:/data")


def test_nothing_of_the_staging_is_left_but_the_lock(tmp_path, fetching, files):
    (tmp_path / "set.zip").write_bytes(zipped(files))
    fetching(tmp_path / "set.zip")
    assert [path.name for path in fetching.staging.rglob("*")] == ["lock"]
