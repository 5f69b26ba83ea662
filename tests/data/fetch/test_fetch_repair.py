import json
import shutil
import subprocess

import pytest
from packing import zipped

from harness.errors import HarnessError

IMAGES = "images/rrsisd/JPEGImages"


@pytest.fixture
def fetched(server, fetching, mirror):
    """A complete target, fetched from a zip on a server."""
    fetching(server.put("/set.zip", mirror))
    server.log.clear()
    fetching.lines.clear()
    return fetching


def damage(fetched) -> tuple[str, str, str]:
    """One image missing, one cut off, one with a changed byte."""
    lost, cut, changed = (f"{IMAGES}/{number:05}.jpg" for number in (2, 5, 9))
    (fetched.root / lost).unlink()
    (fetched.root / cut).write_bytes((fetched.root / cut).read_bytes()[:-300])
    content = bytearray((fetched.root / changed).read_bytes())
    content[-20] ^= 1
    (fetched.root / changed).write_bytes(content)
    return lost, cut, changed


def write(files, root) -> None:
    """A complete root that came here by other means."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def intact(root) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=root, check=True)


def test_only_the_damaged_members_are_read_from_a_zip_on_a_server(server, fetched, mirror, files):
    names = damage(fetched)
    times = {
        name: (fetched.root / name).stat().st_mtime_ns for name in files if (fetched.root / name).exists()
    }
    report = fetched(f"{server.url}/set.zip", repair=True)
    assert fetched.content() == files
    assert report.repaired == tuple(sorted(names))
    assert all(asked.status == 206 for asked in server.log)
    needed = sum(len(files[name]) for name in names)
    directory = 64 << 10  # the zip's end, which the directory is in
    assert server.sent() <= directory + needed + 3 * 600
    assert report.received == server.sent() < len(mirror) / 10
    untouched = [name for name in files if name not in names]
    assert all((fetched.root / name).stat().st_mtime_ns == times[name] for name in untouched)
    intact(fetched.root)
    assert any("fetched for 3 of its files" in line for line in fetched.lines)
    repairs = json.loads((fetched.root / ".fetch.json").read_text())["repairs"]
    assert [one["files"] for one in repairs] == [sorted(names)]


def test_an_intact_target_is_left_alone(server, fetched, files):
    before = {path: path.stat().st_mtime_ns for path in fetched.root.rglob("*")}
    report = fetched(f"{server.url}/set.zip", repair=True)
    assert (report.outcome, report.repaired, server.log) == ("intact", (), [])
    assert {path: path.stat().st_mtime_ns for path in fetched.root.rglob("*")} == before


def test_without_ranges_the_archive_is_downloaded(server, fetched, files, mirror):
    names = damage(fetched)
    url = server.put("/set.zip", mirror, ranges=False)
    assert fetched(url, repair=True).repaired == tuple(sorted(names))
    assert fetched.content() == files


def test_an_archive_that_is_needed_for_the_most_part_is_downloaded_whole(server, fetching, files, drawn):
    write(files, fetching.root)
    shutil.rmtree(fetching.root / IMAGES)
    url = server.put("/set.zip", zipped(files))
    fetching(url, repair=True)
    assert fetching.content() == files
    assert server.log[-1].status == 200


def test_single_files_are_fetched_where_a_source_has_them(tmp_path, drawn, fetched, files):
    names = damage(fetched)
    assert fetched(drawn, repair=True).repaired == tuple(sorted(names))
    assert fetched.content() == files


def test_members_of_a_tar_here(tmp_path, drawn, fetched, files):
    names = damage(fetched)
    archive = shutil.make_archive(str(tmp_path / "set"), "gztar", drawn)
    assert fetched(tmp_path / archive, repair=True).repaired == tuple(sorted(names))
    assert fetched.content() == files


@pytest.mark.parametrize("table", ["rrsisd/instances.json", "rrsisd/refs(unc).p"])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_damaged_table_comes_before_what_it_names(server, fetched, files, table, recorded):
    if not recorded:
        (fetched.root / "SHA256SUMS").unlink()
    (fetched.root / table).write_bytes(b"")
    (fetched.root / IMAGES / "00004.jpg").unlink()
    report = fetched(f"{server.url}/set.zip", repair=True)
    assert report.repaired == tuple(sorted([table, f"{IMAGES}/00004.jpg"]))
    assert fetched.content() == files


def test_a_table_that_cannot_be_read_is_damaged_without_a_record(server, fetched, files):
    (fetched.root / "SHA256SUMS").unlink()
    (fetched.root / "rrsisd/refs(unc).p").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    report = fetched(f"{server.url}/set.zip", repair=True)
    assert (report.repaired, report.unchanged) == (("rrsisd/refs(unc).p",), ())
    assert fetched.content() == files


def test_without_a_record_images_are_decoded_to_the_last_pixel(server, fetching, files, drawn, mirror):
    write(files, fetching.root)
    cut, empty, lost = (f"{IMAGES}/{number:05}.jpg" for number in (1, 2, 3))
    (fetching.root / cut).write_bytes(files[cut][:-200])
    (fetching.root / empty).write_bytes(b"")
    (fetching.root / lost).unlink()
    (fetching.root / "images/rrsisd/ann_split/00004.xml").write_bytes(b"")
    report = fetching(server.put("/set.zip", mirror), repair=True)
    assert report.repaired == (cut, empty, lost, "images/rrsisd/ann_split/00004.xml")
    assert fetching.content() == files
    intact(fetching.root)


def test_an_image_that_is_damaged_at_the_source_too_stays_and_is_named(server, fetching, files, drawn):
    cut = f"{IMAGES}/00001.jpg"
    write(files, fetching.root)
    (fetching.root / cut).write_bytes(files[cut][:-200])
    url = server.put("/set.zip", zipped({**files, cut: files[cut][:-200]}, padding=500_000))
    report = fetching(url, repair=True)
    assert (report.outcome, report.unchanged) == ("intact", (cut,))
    intact(fetching.root)


def test_another_edition_of_a_recorded_file_does_not_come_in(server, fetched, files):
    name = f"{IMAGES}/00007.jpg"
    (fetched.root / name).unlink()
    (fetched.root / IMAGES / "00008.jpg").unlink()
    url = server.put("/set.zip", zipped({**files, name: files[name] + b"\0"}, padding=500_000))
    with pytest.raises(
        HarnessError,
        match=r"has other content than SHA256SUMS tells for 1 file \(.*00007\.jpg\); it is not taken",
    ) as caught:
        fetched(url, repair=True)
    assert "1 file is still missing or damaged" in str(caught.value)
    assert not (fetched.root / name).exists()
    assert (fetched.root / IMAGES / "00008.jpg").read_bytes() == files[
        f"{IMAGES}/00008.jpg"
    ]  # the others come


def test_without_the_record_another_edition_comes_in(server, fetched, files):
    name = f"{IMAGES}/00007.jpg"
    (fetched.root / name).unlink()
    (fetched.root / "SHA256SUMS").unlink()
    fetched(
        server.put("/set.zip", zipped({**files, name: files[name] + b"\0"}, padding=500_000)), repair=True
    )
    assert fetched.content() == {**files, name: files[name] + b"\0"}


def test_what_one_source_lacks_comes_from_the_next(server, fetched, files, mirror):
    names = damage(fetched)
    part = {name: one for name, one in files.items() if name != names[1]}
    report = fetched(
        server.url + "/none.zip",
        server.put("/part.zip", zipped(part, padding=500_000)),
        f"{server.url}/set.zip",
        repair=True,
    )
    assert fetched.content() == files
    assert report.sources == (f"{server.url}/part.zip", f"{server.url}/set.zip")


def test_what_no_source_has_is_an_error_that_lists_them(server, fetched, files):
    names = damage(fetched)
    part = {name: one for name, one in files.items() if name != names[1]}
    with pytest.raises(HarnessError) as caught:
        fetched(server.url + "/none.zip", server.put("/part.zip", zipped(part, padding=500_000)), repair=True)
    assert f"1 file is still missing or damaged ({names[1]})" in str(caught.value)
    assert "404" in str(caught.value)
    assert f"part.zip: lacks 1 file ({names[1]})\n" in str(caught.value)
    assert (fetched.root / names[0]).read_bytes() == files[names[0]]


def test_a_connection_that_drops_in_a_member_is_taken_up_again(server, fetched, files):
    damage(fetched)
    server.files["/set.zip"].drops = [10**9, 100]
    fetched(f"{server.url}/set.zip", repair=True)
    assert fetched.content() == files


def test_a_zip_that_changes_while_it_is_read_is_an_error(server, fetched, files, mirror, monkeypatch):
    from harness.data.fetch import repair

    class Changing(repair.Progress):
        def track(self, items):
            server.put("/set.zip", mirror[:-1] + b"\1")
            return super().track(items)

    damage(fetched)
    monkeypatch.setattr(repair, "Progress", Changing)
    with pytest.raises(HarnessError, match="has changed on the server"):
        fetched(f"{server.url}/set.zip", repair=True)


def test_a_line_of_the_record_that_leads_elsewhere_is_refused(server, fetched):
    with (fetched.root / "SHA256SUMS").open("a") as file:
        file.write("0" * 64 + "  ../evil\n")
    with pytest.raises(HarnessError, match=r"SHA256SUMS, line \d+ is not"):
        fetched(f"{server.url}/set.zip", repair=True)


def test_repairing_what_is_not_there_fetches_it(server, fetching, files, mirror):
    assert fetching(server.put("/set.zip", mirror), repair=True).outcome == "fetched"
    assert fetching.content() == files


def test_a_linked_root_on_another_disk_is_repaired_in_place(tmp_path, server, fetching, files, mirror):
    elsewhere = tmp_path / "disk" / "set"
    elsewhere.mkdir(parents=True)
    fetching.root.symlink_to(elsewhere)
    fetching(server.put("/set.zip", mirror))
    assert fetching.root.is_symlink()
    (elsewhere / IMAGES / "00001.jpg").unlink()
    fetching(f"{server.url}/set.zip", repair=True)
    assert fetching.content() == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "target"]
