import hashlib
import json
import shutil
from pathlib import Path

import pytest
from packing import zipped

from harness.config import Source
from harness.errors import HarnessError

HUB = Source(huggingface="someone/rrsis-d")
COMMIT = "c0ffee" * 6 + "beef"


def put_on_hub(
    server, contents: dict[str, bytes], large: tuple[str, ...] = (), sums: dict[str, str] | None = None
):
    """Play the hub: the list of a repository's files, and their addresses, which lead elsewhere."""
    siblings = []
    for name, content in contents.items():
        entry = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
        if name in large:
            digest = (sums or {}).get(name, hashlib.sha256(content).hexdigest())
            entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        siblings.append(entry)
        target = server.put(f"/cdn/{name}", content)
        server.put(f"/datasets/someone/rrsis-d/resolve/{COMMIT}/{name.replace('(', '%28').replace(')', '%29')}", b"",
                   redirect=target)  # fmt: skip
    info = {"id": "someone/rrsis-d", "sha": COMMIT, "private": False, "gated": False, "disabled": False,
            "downloads": 1, "likes": 0, "tags": [], "siblings": siblings}  # fmt: skip
    server.put("/api/datasets/someone/rrsis-d", json.dumps(info).encode(), kind="application/json")


@pytest.fixture
def hub(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return server


@pytest.fixture
def on_hub(files) -> dict[str, bytes]:
    """The files of the mirror: one zip of images, two tables, and what repositories have besides."""
    images = {name: content for name, content in files.items() if name.endswith(".jpg")}
    return {
        ".gitattributes": b"*.zip filter=lfs",
        "README.md": b"# RRSIS-D",
        "JPEGImages.zip": zipped(
            {f"JPEGImages/{Path(name).name}": one for name, one in images.items()}, 700_000
        ),
        "instances.json": files["rrsisd/instances.json"],
        "refs(unc).p": files["rrsisd/refs(unc).p"],
    }


def without_boxes(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.endswith(".xml")}


def test_the_hub(hub, fetching, files, on_hub):
    put_on_hub(hub, on_hub, large=("JPEGImages.zip",))
    report = fetching(HUB)
    assert fetching.content() == without_boxes(files)
    assert report.sources == ("Hugging Face someone/rrsis-d",)
    paths = [asked.path for asked in hub.log]
    assert not [path for path in paths if "README" in path or "gitattributes" in path]
    assert all(
        COMMIT in path for path in paths if "/resolve/" in path
    )  # one edition, whatever happens meanwhile
    asked = [one for one in hub.log if "/resolve/" in one.path]
    assert {one.headers["authorization"] for one in asked} == {"Bearer hf_secret"}
    record = json.loads((fetching.root / ".fetch.json").read_text())
    assert {one["name"]: one["sha256"] for one in record["downloads"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in on_hub.items() if name[0] not in ".R"
    }


def test_a_download_from_the_hub_is_resumed(hub, fetching, files, on_hub):
    put_on_hub(hub, on_hub, large=("JPEGImages.zip",))
    hub.files["/cdn/JPEGImages.zip"].drops = [400_000, 0, 0, 0, 0]
    with pytest.raises(HarnessError, match=r"JPEGImages\.zip: the connection .* are kept"):
        fetching(HUB)
    kept = fetching.partial()
    asked = len(hub.log)
    fetching(HUB)
    assert fetching.content() == without_boxes(files)
    ranges = [one.range for one in hub.log[asked:] if one.path == "/cdn/JPEGImages.zip"]
    assert ranges == [f"bytes={kept}-"]


def test_the_hubs_own_checksum_is_compared(hub, fetching, on_hub):
    put_on_hub(hub, on_hub, large=("JPEGImages.zip",), sums={"JPEGImages.zip": "ab" * 32})
    found = hashlib.sha256(on_hub["JPEGImages.zip"]).hexdigest()
    with pytest.raises(HarnessError, match=rf"JPEGImages\.zip has the SHA-256 {found}, not " + "ab" * 32):
        fetching(HUB)
    assert not fetching.root.exists()


def test_a_checksum_that_contradicts_the_hub_costs_no_download(hub, fetching, on_hub):
    put_on_hub(hub, on_hub, large=("JPEGImages.zip",))
    with pytest.raises(HarnessError, match=r"has the SHA-256 [0-9a-f]{64} there, not " + "cd" * 32):
        fetching(HUB, sha256={"JPEGImages.zip": "cd" * 32})
    assert len(hub.log) == 1


def test_space_is_asked_for_all_files_of_the_hub_at_once(hub, fetching, on_hub):
    put_on_hub(hub, on_hub)
    info = json.loads(hub.files["/api/datasets/someone/rrsis-d"].content)
    info["siblings"][2]["size"] = 3 * 10**15
    hub.put("/api/datasets/someone/rrsis-d", json.dumps(info).encode(), kind="application/json")
    with pytest.raises(
        HarnessError, match=r"not enough disk space .*3\.0 PB to download and 3\.0 PB unpacked"
    ):
        fetching(HUB)
    assert len(hub.log) == 1


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (401, {}, "is not there, or is private: then `hf auth login`"),
        (404, {"X-Error-Code": "RepoNotFound"}, "is not there, or is private"),
        (403, {"X-Error-Code": "GatedRepo"}, "asks for its conditions to be accepted"),
        (401, {"X-Error-Code": "GatedRepo"}, "asks for its conditions to be accepted"),
        (500, {}, r"does not answer as it should \(500\)"),
    ],
)
def test_the_hubs_refusals_are_told_apart(hub, fetching, status, headers, words):
    hub.put("/api/datasets/someone/rrsis-d", b"", statuses=[status] * 9, headers=headers)
    with pytest.raises(HarnessError, match=rf"Hugging Face someone/rrsis-d: {words}"):
        fetching(HUB)


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch, fetching):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HarnessError, match=r"Hugging Face someone/rrsis-d: cannot be reached \(.*refused"):
        fetching(HUB)


def test_a_repository_cannot_name_a_file_outside(hub, fetching, on_hub):
    put_on_hub(hub, {**on_hub, "../../../evil.jpg": b"x"})
    with pytest.raises(HarnessError, match="leads out of the target"):
        fetching(HUB)
    assert len(hub.log) == 1


def test_a_repository_without_a_file_of_the_set_is_named(hub, fetching):
    put_on_hub(hub, {"README.md": b"nothing here"})
    with pytest.raises(HarnessError, match="has no file of this data set and no archive"):
        fetching(HUB)


def test_sources_are_tried_in_order_and_one_line_says_why(server, fetching, tmp_path, files, mirror):
    broken = server.put("/broken.zip", mirror[:5000])
    incomplete = {
        name: one for name, one in files.items() if "00003.jpg" not in name and "00009.jpg" not in name
    }
    report = fetching(
        tmp_path / "nowhere",
        server.url + "/none.zip",
        broken,
        server.put("/part.zip", zipped(incomplete)),
        server.put("/whole.zip", mirror),
        server.put("/never.zip", mirror),
    )
    assert fetching.content() == files
    assert report.sources == (f"{server.url}/whole.zip",)
    failures = fetching.lines
    assert [line.partition(": ")[0].rpartition("/")[2] for line in failures] == [
        "nowhere", "none.zip", "broken.zip", "part.zip",
    ]  # fmt: skip
    assert failures[0].endswith("nowhere: does not exist")
    assert "not complete: 2 files are missing (images/rrsisd/JPEGImages/00003.jpg" in failures[3]
    assert not [asked for asked in server.log if asked.path == "/never.zip"]


def test_when_all_sources_fail_one_error_lists_them(server, fetching, tmp_path):
    with pytest.raises(HarnessError) as caught:
        fetching(tmp_path / "nowhere", server.url + "/none.zip", Source(url="ftp://x/y.zip"))
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{fetching.root} could not be fetched:"
    assert lines[1].endswith("nowhere: does not exist")
    assert "404 Not Found" in lines[2]
    assert lines[3] == "  ftp://x/y.zip: is no http or https address"
    assert "--from" in lines[4]
    assert not fetching.root.exists()


@pytest.mark.parametrize("repair", [False, True])
def test_the_failure_of_one_source_is_told_once(server, fetching, drawn, repair):
    if repair:
        shutil.copytree(drawn, fetching.root)
        (fetching.root / "images/rrsisd/JPEGImages/00003.jpg").unlink()
    with pytest.raises(HarnessError, match="404 Not Found"):
        fetching(server.url + "/none.zip", repair=repair)
    assert [line for line in fetching.lines if "none.zip" in line] == []


@pytest.mark.parametrize("repair", [False, True])
def test_the_lines_between_sources_are_short_and_the_last_list_is_whole(server, fetching, drawn, repair):
    if repair:
        shutil.copytree(drawn, fetching.root)
        (fetching.root / "images/rrsisd/JPEGImages/00003.jpg").unlink()
    page = server.put("/page.zip", b"<html><title>Sign in</title></html>")
    with pytest.raises(HarnessError) as caught:
        fetching(page, server.url + "/none.zip", repair=repair)
    short = f"{page}: page.zip: the server sent a web page ('Sign in') in place of the file"
    assert [line for line in fetching.lines if ".zip" in line] == [short]
    assert f"  {short}; open the address in a browser to see what it wants\n" in str(caught.value)


def test_nothing_unpacked_is_left_when_all_sources_fail(server, fetching, files):
    part = {name: one for name, one in files.items() if "00003.jpg" not in name}
    with pytest.raises(HarnessError, match="is not complete: 1 file is missing"):
        fetching(server.put("/part.zip", zipped(part)))
    assert sorted(path.name for path in fetching.staging.iterdir()) == ["downloads", "lock"]


def test_no_source_at_all(fetching):
    with pytest.raises(HarnessError, match=r"there is no source; list some as data\.sources"):
        fetching()


def test_a_folder_is_copied(drawn, fetching, files):
    fetching(drawn)
    assert fetching.content() == files
    image = "images/rrsisd/JPEGImages/00001.jpg"
    assert not (fetching.root / image).samefile(drawn / image)  # the source may be changed later
    assert (fetching.root / image).stat().st_nlink == 1


def test_a_folder_with_archives_and_loose_tables(tmp_path, fetching, files, on_hub):
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name, content in on_hub.items():
        (folder / name).write_bytes(content)
    fetching(folder)
    assert fetching.content() == without_boxes(files)


def test_a_folder_of_links_to_folders(tmp_path, drawn, fetching, files):
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "pictures").symlink_to(drawn / "images")
    (folder / "circle").symlink_to(folder)
    shutil.copytree(drawn / "rrsisd", folder / "tables")
    fetching(folder)
    assert fetching.content() == files


def test_a_file_twice_is_fine_and_two_versions_of_it_are_not(tmp_path, drawn, fetching, files, mirror):
    folder = tmp_path / "downloads"
    shutil.copytree(drawn, folder)
    (folder / "all.zip").write_bytes(mirror)
    fetching(folder)
    assert fetching.content() == files
    shutil.rmtree(fetching.root)
    (folder / "rrsisd/instances.json").write_bytes(b"{}")
    with pytest.raises(HarnessError, match=r"two files for rrsisd/instances\.json that differ"):
        fetching(folder)
    assert not fetching.root.exists()


def test_the_target_is_no_source(tmp_path, drawn, fetching):
    shutil.copytree(drawn, fetching.root)
    (fetching.root / "images/rrsisd/JPEGImages/00001.jpg").unlink()
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/link").symlink_to(tmp_path)  # the folder that the target is in
    with pytest.raises(HarnessError, match="has no file of this data set"):
        fetching(tmp_path / "downloads", repair=True)


def test_passwords_in_addresses_are_not_written_down(server, fetching, mirror):
    url = server.put("/set.zip", mirror).replace("http://", "http://me:secret@")
    fetching(url)
    assert server.log[0].headers["authorization"].startswith("Basic ")
    assert "secret" not in (fetching.root / ".fetch.json").read_text() + "".join(fetching.lines)
