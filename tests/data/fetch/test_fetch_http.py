import hashlib
import json
import subprocess

import pytest

from harness.errors import HarnessError


def test_an_archive_on_a_server_becomes_the_target(server, fetching, mirror, files):
    report = fetching(server.put("/set.zip", mirror))
    assert fetching.content() == files
    assert (report.outcome, report.files, report.received) == ("fetched", len(files), len(mirror))
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=fetching.root, check=True
    )
    record = json.loads((fetching.root / ".fetch.json").read_text())
    assert record["downloads"] == [
        {"name": "set.zip", "address": f"{server.url}/set.zip", "bytes": len(mirror),
         "sha256": hashlib.sha256(mirror).hexdigest()}
    ]  # fmt: skip
    assert [path.name for path in fetching.staging.iterdir()] == ["lock"]  # the downloads are gone


def test_a_dropped_connection_goes_on_with_a_range_request(server, fetching, mirror, files):
    url = server.put("/set.zip", mirror, drops=[700_000, 500_000])
    fetching(url)
    assert fetching.content() == files
    first, second, third = server.log
    assert first.range is None
    start = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert 500_000 < start <= 700_000  # what was in flight is lost, no more
    assert second.headers["if-range"] == server.files["/set.zip"].tag
    assert (second.status, third.status) == (206, 206)
    assert server.sent() < 1.2 * len(mirror)
    told = [line for line in fetching.lines if "trying again" in line]
    assert len(told) == 1  # a line a file, however often
    assert "was lost (it ended early)" in told[0]


def test_a_download_that_fails_goes_on_with_the_next_call(server, fetching, mirror, files):
    url = server.put("/set.zip", mirror, drops=[900_000, 0, 0, 0, 0])
    with pytest.raises(HarnessError, match=r"5 times in a row; .* kB are kept for the next call"):
        fetching(url)
    assert not fetching.root.exists()
    kept = fetching.partial()
    assert kept > 500_000
    asked = len(server.log)
    report = fetching(url)
    assert fetching.content() == files
    assert server.log[asked].range == f"bytes={kept}-"
    assert report.received == len(mirror) - kept


def test_a_file_that_changed_meanwhile_is_downloaded_anew(server, fetching, mirror, files):
    url = server.put("/set.zip", mirror[:-100] + bytes(100), drops=[900_000, 0, 0, 0, 0])
    with pytest.raises(HarnessError):
        fetching(url)
    server.put("/set.zip", mirror)
    asked = len(server.log)
    fetching(url)
    assert fetching.content() == files
    assert (server.log[asked].range is not None, server.log[asked].status) == (True, 200)


@pytest.mark.parametrize(
    "how",
    [{"ranges": False}, {"etag": ""}, {"etag": 'W/"1"'}],
    ids=["no ranges", "no validator", "weak validator"],
)
def test_where_resuming_is_not_safe_the_download_starts_anew(server, fetching, mirror, files, how):
    fetching(server.put("/set.zip", mirror, drops=[900_000], **how))
    assert fetching.content() == files
    assert [asked.status for asked in server.log] == [200, 200]


def test_the_date_of_a_file_serves_where_there_is_no_strong_tag(server, fetching, mirror, files):
    fetching(server.put("/set.zip", mirror, drops=[900_000], etag='W/"1"', modified=1.7e9))
    assert fetching.content() == files
    assert server.log[1].headers["if-range"].endswith("GMT")
    assert server.log[1].status == 206


def test_a_server_that_drops_without_ranges_is_given_up(server, fetching, mirror):
    with pytest.raises(HarnessError, match="5 times in a row"):
        fetching(server.put("/set.zip", mirror, drops=[900_000] * 50, ranges=False))
    assert len(server.log) < 10


def test_a_shorter_answer_than_announced_is_not_taken_for_the_file(server, fetching, mirror):
    with pytest.raises(HarnessError, match=r"set\.zip: the connection .* was lost .*5 times in a row"):
        fetching(server.put("/set.zip", mirror[:1000], length=2000, ranges=False))
    assert not fetching.root.exists()


def test_a_file_without_length_is_fetched(server, fetching, mirror, files):
    fetching(server.put("/set.zip", mirror, length=-1))
    assert fetching.content() == files


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "is not there .404 Not Found"),
        (403, "is not given to everybody .403"),
        (401, "asks for a login .401"),
        (429, "is asked for too often"),
    ],
)
def test_a_refusal_is_one_clear_message(server, fetching, mirror, status, words):
    with pytest.raises(HarnessError, match=rf"set\.zip {words}") as caught:
        fetching(server.put("/set.zip", mirror, statuses=[status]))
    assert "--from" in str(caught.value)
    assert len(server.log) == 1  # asking again would not help
    assert not fetching.root.exists()


def test_trouble_of_a_server_is_waited_for(server, fetching, mirror, files):
    fetching(server.put("/set.zip", mirror, statuses=[503, 500]))
    assert fetching.content() == files
    assert any("503" in line and "trying again" in line for line in fetching.lines)


def test_trouble_that_lasts_is_named(server, fetching, mirror):
    with pytest.raises(
        HarnessError, match=r"the server has trouble \(503 Service Unavailable\), 5 times in a row"
    ):
        fetching(server.put("/set.zip", mirror, statuses=[503] * 9))


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_the_file_is_recognised(server, fetching, kind):
    page = b"\n<!DOCTYPE html>\n<html><head><title>Sign in &amp; go on</title></head></html>"
    with pytest.raises(HarnessError, match=r"sent a web page \('Sign in & go on'\) in place of the file"):
        fetching(server.put("/set.zip", page, kind=kind))
    assert not fetching.root.exists()
    assert fetching.partial() == 0


def test_a_server_that_is_not_there_is_named(fetching):
    with pytest.raises(HarnessError, match=r"connection to 127\.0\.0\.1:9 was lost \(.*Connection refused"):
        fetching("http://127.0.0.1:9/set.zip")


def test_a_name_that_does_not_resolve_is_not_tried_again(fetching):
    with pytest.raises(HarnessError, match=r"no-such-host\.invalid cannot be resolved; is there a network"):
        fetching("http://no-such-host.invalid/set.zip", pause=60)


def test_a_wrong_checksum_is_an_error_and_the_download_is_deleted(server, fetching, mirror):
    expected = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(
        HarnessError,
        match=rf"set\.zip has the SHA-256 .*, not {expected} as expected; the download is deleted",
    ) as caught:
        fetching(server.put("/set.zip", mirror), sha256={"set.zip": expected})
    assert hashlib.sha256(mirror).hexdigest() in str(caught.value)
    assert not fetching.root.exists()
    assert not [path for path in (fetching.staging / "downloads").rglob("*") if path.is_file()]


def test_a_right_checksum_passes(server, fetching, mirror, files):
    sums = {
        "set.zip": hashlib.sha256(mirror).hexdigest(),
        "instances.json": hashlib.sha256(files["rrsisd/instances.json"]).hexdigest().upper(),
    }
    fetching(server.put("/set.zip", mirror), sha256=sums)
    assert fetching.content() == files
    assert not [line for line in fetching.lines if "sha256" in line]


@pytest.mark.parametrize("repair", [False, True])
def test_a_checksum_of_no_file_is_named(server, fetching, mirror, files, repair):
    url = server.put("/set.zip", mirror)
    if repair:
        fetching(url)
        (fetching.root / "images/rrsisd/JPEGImages/00003.jpg").unlink()
    fetching(url, sha256={"sett.zip": "00" * 32}, repair=repair)
    assert fetching.content() == files
    assert fetching.lines[-1] == (
        "data.sha256 names 'sett.zip', which no file has here: nothing was compared with it. Did you mean 'set.zip'?"
    )


@pytest.mark.parametrize("value", ["", "00", "0" * 63 + "g", "sha256:" + "0" * 64])
def test_what_is_no_checksum_is_refused_before_any_download(server, fetching, mirror, value):
    with pytest.raises(HarnessError, match=r"data\.sha256 of 'set\.zip' is no SHA-256, which has 64 hexadec"):
        fetching(server.put("/set.zip", mirror), sha256={"set.zip": value})
    assert not server.log


def test_a_wrong_checksum_of_a_member_is_an_error(server, fetching, mirror):
    with pytest.raises(HarnessError, match=r"rrsisd/instances\.json has the SHA-256 .*, not 00"):
        fetching(server.put("/set.zip", mirror), sha256={"instances.json": "00" * 32})
    assert not fetching.root.exists()


def test_space_is_asked_for_before_anything_is_written(server, fetching):
    with pytest.raises(
        HarnessError, match=r"not enough disk space .*1\.0 PB to download and 1\.0 PB unpacked"
    ):
        fetching(server.put("/set.zip", b"PK\3\4", length=10**15))
    assert not fetching.root.exists()
    assert fetching.partial() == 0


def test_a_whole_download_is_not_asked_for_again(server, fetching, mirror, files, capsys):
    bad = {"instances.json": "00" * 32}
    url = server.put("/set.zip", mirror)
    with pytest.raises(HarnessError):
        fetching(url, sha256=bad)
    asked = len(server.log)
    capsys.readouterr()
    report = fetching(url)
    assert fetching.content() == files
    assert (len(server.log), report.received) == (asked, 0)
    assert "download" not in capsys.readouterr().err  # nothing was
