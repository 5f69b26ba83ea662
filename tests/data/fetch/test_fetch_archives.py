"""Archives that are refused, or found to be broken, before the target is touched."""

import io
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest
from packing import zipped

from harness.data.fetch.archives import ArchiveDamaged, ArchiveRefused, Limits, open_archive, plan
from harness.data.fetch.disk import pour
from harness.data.refer import RRSISD
from harness.errors import HarnessError

IMAGE = "images/rrsisd/JPEGImages"


def zip_of(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return buffer.getvalue()


def zip_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def tar_of(*members: tuple[tarfile.TarInfo | str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_kind(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


UNSAFE = {
    "..": ("a/../../evil.jpg", r"leads out of the target with '\.\.'"),
    "..-folder": ("../", r"leads out of the target with '\.\.'"),
    "absolute": ("/etc/evil.jpg", "is an absolute path"),
    "backslash": ("..\\evil.jpg", "has a backslash"),
    "drive letter": ("C:evil.jpg", "is an absolute path"),
    "line break": ("evil\n.jpg", "has no name that a file can have"),
}


@pytest.mark.parametrize("case", UNSAFE)
@pytest.mark.parametrize("packer", [zip_of, tar_of], ids=["zip", "tar"])
def test_a_member_outside_the_target_is_refused(tmp_path, fetching, case, packer):
    name, words = UNSAFE[case]
    if packer is tar_of and name.endswith("/"):
        member = (tar_kind(name, tarfile.DIRTYPE), b"")
    else:
        member = (name, b"x")
    archive = tmp_path / "set"
    archive.write_bytes(packer((f"{IMAGE}/1.jpg", b"y"), member))
    written = []

    def say(line: str) -> None:
        if "is refused" in line:
            assert (fetching.staging / "unpacked").is_dir()
            written.append(list(fetching.staging.glob("unpacked/**/*.jpg")))

    with pytest.raises(HarnessError, match=rf"set is refused: its member .* {words}"):
        fetching(archive, tmp_path / "nowhere", say=say)  # the first of two, so that its failure is said
    assert written == [[]]  # the good member neither
    assert not fetching.root.exists()
    assert not list(tmp_path.rglob("evil*"))


ODD = {
    "link in a zip": zip_of((zip_mode("1.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd")),
    "device in a zip": zip_of((zip_mode("1.jpg", stat.S_IFCHR | 0o600), b"")),
    "link that is no part of the set": zip_of((zip_mode("readme", stat.S_IFLNK | 0o777), b"1.jpg")),
    "symbolic link in a tar": tar_of((tar_kind("1.jpg", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "hard link in a tar": tar_of((tar_kind("1.jpg", tarfile.LNKTYPE, "0.jpg"), b"")),
    "device in a tar": tar_of((tar_kind("1.jpg", tarfile.CHRTYPE), b"")),
    "pipe in a tar": tar_of((tar_kind("1.jpg", tarfile.FIFOTYPE), b"")),
}


@pytest.mark.parametrize("case", ODD)
def test_links_and_devices_are_refused(tmp_path, fetching, case):
    archive = tmp_path / "set"
    archive.write_bytes(ODD[case])
    with pytest.raises(HarnessError, match=r"set is refused: its member .* is (a link|no plain file)"):
        fetching(archive)
    assert not fetching.root.exists()


def test_a_name_that_goes_on_after_its_end_is_refused(tmp_path):
    content = zip_of(("1.jpg#.exe", b"x")).replace(b"1.jpg#", b"1.jpg\0")
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(ArchiveRefused, match=r"'1\.jpg.x00\.exe' has no name that a file can have"):
        plan(open_archive(tmp_path / "set.zip", "set.zip"), RRSISD.place)


def test_two_members_for_one_place_are_refused(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(zip_of(("a/1.jpg", b"x"), ("b/1.jpg", b"y")))
    with pytest.raises(ArchiveRefused, match=rf"'a/1\.jpg' and 'b/1\.jpg' both belong at {IMAGE}/1\.jpg"):
        plan(open_archive(archive, "set.zip"), RRSISD.place)


def test_an_encrypted_zip_is_refused(tmp_path):
    content = bytearray(zip_of(("1.jpg", b"x")))
    content[content.index(b"PK\1\2") + 8] |= 1  # the flag, in the directory
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(ArchiveRefused, match=r"'1\.jpg' is encrypted; unpack it yourself"):
        plan(open_archive(tmp_path / "set.zip", "set.zip"), RRSISD.place)


def test_a_zip_packed_in_a_rare_way_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.jpg", b"x")
    with pytest.raises(ArchiveRefused, match="method 14, which is not read"):
        plan(open_archive(tmp_path / "set.zip", "set.zip"), RRSISD.place)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(members=5), "more than 5 members"),
        (Limits(total=10_000), "would unpack to .* or more"),
        (Limits(ratio=20, ratio_from=10_000), "would unpack to .* or more"),
    ],
    ids=["members", "total", "ratio"],
)
@pytest.mark.parametrize("packer", [zip_of, tar_of], ids=["zip", "tar"])
def test_a_bomb_is_refused(tmp_path, fetching, limits, words, packer):
    archive = tmp_path / "set"
    archive.write_bytes(packer(*((f"{number}.jpg", bytes(100_000)) for number in range(9))))
    with pytest.raises(HarnessError, match=rf"set is refused: .*{words}"):
        fetching(archive, limits=limits)
    assert not fetching.root.exists()


def test_a_tar_whose_header_is_the_bomb_does_not_fill_memory(tmp_path):
    header = tarfile.TarInfo("1.jpg")
    header.type, header.size = tarfile.XHDTYPE, 200 << 20
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(header.tobuf()) + packer.compress(bytes(200 << 20)) + packer.flush()
    (tmp_path / "set.tar.gz").write_bytes(packed)
    tracemalloc.start()
    with pytest.raises(ArchiveDamaged, match=r"a header of 209,715,\d+ bytes"):
        open_archive(tmp_path / "set.tar.gz", "set.tar.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def lying(content: bytes, size: int) -> bytes:
    """The zip with another size declared for its one member."""
    changed = bytearray(content)
    struct.pack_into("<I", changed, changed.index(b"PK\1\2") + 24, size)
    struct.pack_into("<I", changed, 22, size)
    return bytes(changed)


@pytest.mark.parametrize("size", [10, 5000], ids=["less", "more"])
def test_a_member_of_another_size_than_declared_is_an_error(tmp_path, fetching, size):
    archive = tmp_path / "set.zip"
    archive.write_bytes(lying(zip_of(("1.jpg", bytes(1000))), size))
    with pytest.raises(HarnessError, match=r"set\.zip, member 1\.jpg is damaged"):
        fetching(archive)
    assert not fetching.root.exists()


def test_a_wrong_crc_is_named_with_its_member(tmp_path, fetching, mirror):
    content = bytearray(mirror)
    start = content.index(b"00007.jpg", 0)
    content[start + 200] ^= 255
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(HarnessError, match=r"set\.zip, member RRSIS-D/new/images.*00007\.jpg is damaged"):
        fetching(tmp_path / "set.zip")
    assert not fetching.root.exists()
    assert (tmp_path / "set.zip").exists()  # the user's own file stays


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9999])
def test_a_truncated_zip_is_downloaded_anew(server, fetching, mirror, files, share):
    url = server.put("/set.zip", mirror[: int(share * len(mirror))])
    with pytest.raises(HarnessError, match=r"set\.zip is .*; the download is deleted"):
        fetching(url)
    assert not fetching.root.exists()
    server.put("/set.zip", mirror)
    assert fetching(url).received == len(mirror)
    assert fetching.content() == files


def tar_set(files: dict[str, bytes], mode: str) -> bytes:
    return tar_of((tar_kind(".", tarfile.DIRTYPE), b""), *files.items(), mode=mode)


@pytest.mark.parametrize(("mode", "name"), [("w", "set.tar"), ("w:gz", "set.tgz")])
def test_a_tar_is_unpacked(tmp_path, fetching, files, mode, name):
    (tmp_path / name).write_bytes(tar_set(files, mode))
    fetching(tmp_path / name)
    assert fetching.content() == files


@pytest.mark.parametrize("lost", [1, 700, 20_000])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_tar_is_an_error(tmp_path, fetching, files, mode, lost):
    content = tar_set(files, mode).rstrip(b"\0") if mode == "w" else tar_set(files, mode)
    (tmp_path / "set").write_bytes(content[:-lost])
    with pytest.raises(HarnessError, match=r"set(, member .*)? is damaged"):
        fetching(tmp_path / "set")
    assert not fetching.root.exists()


def test_a_damaged_byte_in_a_packed_tar_is_an_error(tmp_path, fetching, files):
    content = bytearray(tar_set(files, "w:gz"))
    content[-6] ^= 1  # of gzip's checksum: nothing in the tar itself tells of a changed image
    (tmp_path / "set").write_bytes(content)
    with pytest.raises(HarnessError, match="CRC check failed"):
        fetching(tmp_path / "set")


def test_a_tar_cut_between_two_members_is_an_error(tmp_path, files):
    content = tar_set(files, "w")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        middle = archive.getmembers()[9].offset
    (tmp_path / "set.tar").write_bytes(content[:middle])
    with pytest.raises(ArchiveDamaged, match="the mark at its end is missing"):
        plan(open_archive(tmp_path / "set.tar", "set.tar"), RRSISD.place)


def test_a_tar_with_a_damaged_header_is_an_error(tmp_path, files):
    content = bytearray(tar_set(files, "w"))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        content[archive.getmembers()[9].offset] ^= 255
    (tmp_path / "set.tar").write_bytes(content)
    with pytest.raises(ArchiveDamaged, match="the mark at its end is missing"):
        plan(open_archive(tmp_path / "set.tar", "set.tar"), RRSISD.place)


def test_no_more_is_written_than_announced_and_nothing_over_another_file(tmp_path):
    with pytest.raises(ValueError, match="holds more than the 5 bytes"):
        pour(io.BytesIO(b"123456"), tmp_path / "a", 5)
    assert (tmp_path / "a").stat().st_size <= 5
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(HarnessError, match="File exists"):
        pour(io.BytesIO(b"123456"), tmp_path / "b", 6)
    assert (tmp_path / "b").read_bytes() == b"old"


def test_what_is_named_zip_and_is_none_is_named(tmp_path, fetching):
    (tmp_path / "set.zip").write_bytes(b"just words" * 100)
    with pytest.raises(HarnessError, match=r"set\.zip is no zip or tar archive"):
        fetching(tmp_path / "set.zip")


def test_a_zip_without_its_end_is_said_to_be_so(server, fetching, mirror):
    with pytest.raises(HarnessError, match=r"set\.zip is damaged or cut off \(its end is missing\)"):
        fetching(server.put("/set.zip", mirror[:-100]))


def test_an_archive_of_another_kind_is_not_downloaded(server, fetching, files):
    url = server.put("/set.tar.bz2", tar_set(files, "w:bz2"))
    with pytest.raises(
        HarnessError, match=r"set\.tar\.bz2 is an archive of a kind that is not read .*unpack it your"
    ):
        fetching(url)
    assert not server.log


def test_a_folder_with_an_archive_of_another_kind_is_told_so(tmp_path, fetching, files):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/set.tar.bz2").write_bytes(tar_set(files, "w:bz2"))
    with pytest.raises(
        HarnessError, match=r"set\.tar\.bz2 is an archive of a kind that is not read .*unpack it your"
    ):
        fetching(tmp_path / "downloads")


def test_a_download_of_no_use_does_not_stay(server, fetching, files):
    url = server.put("/download", tar_set(files, "w:bz2"))  # its name does not tell
    with pytest.raises(
        HarnessError, match=r"download is neither a file of this data set .*unpack it yourself"
    ):
        fetching(url)
    assert [path.name for path in fetching.staging.rglob("*") if path.is_file()] == ["lock"]


def test_members_are_never_written_twice(tmp_path, fetching, files):
    """A zip whose directory lists a member under two names that are one place."""
    half = dict(list(files.items())[:3])
    (tmp_path / "set.zip").write_bytes(zipped({**half, **{f"again/{name}": b"z" for name in half}}))
    with pytest.raises(HarnessError, match="both belong at"):
        fetching(tmp_path / "set.zip")
