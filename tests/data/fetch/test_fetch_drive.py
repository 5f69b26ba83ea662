"""The real gdown against a server that plays Google Drive: a proxy, with a certificate that these tests trust."""

import ssl

import pytest
import trustme
from packing import zipped
from serving import serving

from harness.config import Source
from harness.errors import HarnessError

FOLDER = "1Folder-aaaaaaaaaaaaaaaaaaaaaaaaa"
INNER = "1Inner--bbbbbbbbbbbbbbbbbbbbbbbbb"
ZIP = "1Zip----ccccccccccccccccccccccccc"
REFS = "1Refs---ddddddddddddddddddddddddd"
TABLE = "1Table--eeeeeeeeeeeeeeeeeeeeeeeee"
PAPER = "1Paper--fffffffffffffffffffffffff"
HOSTS = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")

CONFIRM = (  # Drive's pages are one line, and gdown reads them by lines
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    '<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="{0}">'
    '<input type="hidden" name="confirm" value="t"></form></body></html>'
)
QUOTA = (
    "<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    '<p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>'
    '<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing '
    "the file again later.</p></body></html>"
)
QUOTA_IN_OTHER_WORDS = (
    "<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>"
    "<div>Sorry, this file is popular.</div></body></html>"
)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def drive(authority, tmp_path, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with serving(context) as server:
        for name in ("NO_PROXY", "no_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        yield server


def put_folder(drive, identity: str, entries: dict[str, str]) -> None:
    links = "".join(f'<div><a href="{href}"><div>{name}</div></a></div>' for name, href in entries.items())
    page = f"<!DOCTYPE html><html><head><title>RRSIS-D</title></head><body>{links}</body></html>"
    drive.put(f"drive.google.com/embeddedfolderview?id={identity}", page.encode(), kind="text/html")


def put_file(drive, identity: str, name: str, content: bytes, *, large: bool = False, **how) -> None:
    """Small files come at once, large ones after a page that asks whether one is sure."""
    how = {
        "headers": {"Content-Disposition": f'attachment; filename="{name}"'},
        "kind": "application/x-zip",
        **how,
    }
    first = f"drive.google.com/uc?id={identity}"
    if large:
        drive.put(first, CONFIRM.format(identity).encode(), kind="text/html; charset=utf-8")
        first = f"drive.usercontent.google.com/download?id={identity}&confirm=t"
    drive.put(first, content, **how)


def at(identity: str) -> str:
    return f"https://drive.google.com/file/d/{identity}/view?usp=drive_web"


@pytest.fixture
def shared(drive, files):
    """A shared folder as the data set's authors have it: tables in a folder of their own, one large zip."""
    images = {name: content for name, content in files.items() if not name.startswith("rrsisd/")}
    put_folder(drive, FOLDER, {
        "images.zip": at(ZIP), "paper.pdf": at(PAPER), "rrsisd": f"https://drive.google.com/drive/folders/{INNER}",
    })  # fmt: skip
    put_folder(drive, INNER, {"refs(unc).p": at(REFS), "instances.json": at(TABLE)})
    put_file(drive, ZIP, "images.zip", zipped(images, padding=3_000_000), large=True)
    put_file(drive, REFS, "refs(unc).p", files["rrsisd/refs(unc).p"])
    put_file(drive, TABLE, "instances.json", files["rrsisd/instances.json"])
    return drive


def asked_for(drive, identity: str) -> list:
    return [one for one in drive.log if identity in one.path and "folderview" not in one.path]


def test_a_folder_of_drive(shared, fetching, files, capsys):
    report = fetching(Source(google_drive=FOLDER))
    assert fetching.content() == files
    assert report.sources == (f"Google Drive folder {FOLDER}",)
    assert len(asked_for(shared, ZIP)) == 2  # the page that asks, the file
    assert not asked_for(shared, PAPER)
    assert (
        "download  3.0 MB  " in capsys.readouterr().err
    )  # of all files, although their sizes come one by one


def test_a_dropped_download_from_drive_goes_on(shared, fetching, files):
    shared.files[f"drive.usercontent.google.com/download?id={ZIP}&confirm=t"].drops = [2_000_000]
    fetching(Source(google_drive=FOLDER))
    assert fetching.content() == files
    assert asked_for(shared, ZIP)[-1].range is not None
    assert asked_for(shared, ZIP)[-1].status == 206


def lose(drive) -> None:
    """Let the large file break off, again and again."""
    drive.files[f"drive.usercontent.google.com/download?id={ZIP}&confirm=t"].drops = [2_000_000, *[0] * 9]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("harness.data.fetch.drive.RETRIES", 1)


def test_a_download_from_drive_goes_on_with_the_next_call(shared, fetching, files, impatient):
    lose(shared)
    with pytest.raises(HarnessError, match=r"images\.zip: .*; 1\.\d MB are kept for the next call"):
        fetching(Source(google_drive=FOLDER))
    assert not fetching.root.exists()
    shared.files[f"drive.usercontent.google.com/download?id={ZIP}&confirm=t"].drops = []
    kept = fetching.partial()
    before = len(shared.log)
    report = fetching(Source(google_drive=FOLDER))
    assert fetching.content() == files
    ranges = [one.range for one in shared.log[before:] if ZIP in one.path and one.range]
    assert ranges == [f"bytes={kept}-"]
    assert report.received < 1_700_000


def test_a_file_that_changed_on_drive_is_downloaded_anew(shared, fetching, files, impatient):
    """gdown compares with what the server says now, and would append the new file's end to the old one's beginning."""
    lose(shared)
    with pytest.raises(HarnessError):
        fetching(Source(google_drive=FOLDER))
    images = {name: content for name, content in files.items() if not name.startswith("rrsisd/")}
    put_file(shared, ZIP, "images.zip", zipped(images, padding=2_500_000), large=True)
    fetching(Source(google_drive=FOLDER))
    assert fetching.content() == files
    assert any("images.zip cannot be resumed (it has another size now)" in line for line in fetching.lines)


@pytest.mark.parametrize("page", [QUOTA, QUOTA_IN_OTHER_WORDS], ids=["as gdown knows it", "in other words"])
def test_a_quota_page_is_recognised_as_what_it_is(shared, fetching, page):
    shared.put(f"drive.google.com/uc?id={ZIP}", page.encode(), kind="text/html")
    with pytest.raises(HarnessError, match=r"download quota of images\.zip is used up for now") as caught:
        fetching(Source(google_drive=FOLDER))
    assert f"https://drive.google.com/file/d/{ZIP}/view" in str(caught.value)
    assert "copy the file to your own Drive" in str(caught.value)
    assert not fetching.root.exists()


def test_a_file_that_is_not_shared_is_named(shared, fetching):
    shared.put(f"drive.google.com/uc?id={ZIP}", b"<html><title>Sign in</title></html>", kind="text/html")
    with pytest.raises(
        HarnessError, match=r"images\.zip is not shared with everybody, or not there any more"
    ):
        fetching(Source(google_drive=FOLDER))


def test_a_folder_that_is_not_there_is_named(shared, fetching):
    with pytest.raises(HarnessError, match=r"is not there or not shared with everybody \(status 404\)"):
        fetching(Source(google_drive="1None---ggggggggggggggggggggggggg"))


def test_drive_without_a_network_is_one_short_line(fetching, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(HarnessError, match=r"cannot be listed: .*Connection refused") as caught:
        fetching(Source(google_drive=FOLDER))
    assert "HTTPSConnectionPool" not in str(caught.value)


def test_a_wrong_checksum_of_drive_is_an_error(shared, fetching):
    with pytest.raises(HarnessError, match=r"images\.zip has the SHA-256 .*; the download is deleted"):
        fetching(Source(google_drive=FOLDER), sha256={"images.zip": "00" * 32})
    assert not fetching.root.exists()


def test_space_is_asked_for_when_drive_tells_the_size(shared, fetching):
    shared.files[f"drive.usercontent.google.com/download?id={ZIP}&confirm=t"].length = 10**15
    with pytest.raises(HarnessError, match=r"not enough disk space .*1\.0 PB to download"):
        fetching(Source(google_drive=FOLDER))
    assert not fetching.root.exists()


def test_one_file_of_drive_by_its_address(drive, fetching, files, mirror):
    put_file(drive, ZIP, "all.zip", mirror, large=True)
    fetching(at(ZIP))
    assert fetching.content() == files
