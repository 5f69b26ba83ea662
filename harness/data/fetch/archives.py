"""Zip and tar archives that nobody vouches for: looked through whole before the first byte is written.

An archive is refused for a member that would land outside the target or is no plain file (link, device), for two
members that land on one place, for encryption, and for sizes that only a bomb has. What is unpacked is never more than
the archive declared.
"""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from rich.filesize import decimal

from harness.data.fetch.disk import SourceFailed, unsafe

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz")
UNREAD = (".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")
UNPACK = "unpack it yourself and name the folder as a source"
GZIP = b"\x1f\x8b"
Place = Callable[[str], str | None]


@dataclass(frozen=True)
class Limits:
    """What no data set has and a bomb does."""

    members: int = 1_000_000
    total: int = 500 * 10**9  # bytes unpacked
    ratio: float = 100.0  # unpacked to packed; images stay near 1, tables reach 20
    ratio_from: int = 10**9  # bytes unpacked from which the ratio counts: less does no harm


LIMITS = Limits()


class ArchiveRefused(SourceFailed):
    """The archive is unsafe, or of a kind that is not read."""


class ArchiveDamaged(SourceFailed):
    """The archive is broken or cut off."""


@dataclass(frozen=True)
class Member:
    """A file in an archive that belongs to the data set."""

    name: str
    target: str  # relative path under the data root
    size: int  # bytes unpacked, as declared
    packed: int  # bytes in the archive
    offset: int  # in the archive; reading in this order is fastest
    entry: Any  # of zipfile or tarfile


class Archive(Protocol):
    """An open archive: `entries` for looking, `open` for reading."""

    name: str
    size: int

    def entries(self) -> Iterator[tuple[Member, str | None]]:
        """Every entry that is no folder, and why it is refused if it is; targets are not filled in."""

    def open(self, member: Member) -> IO[bytes]:
        """A stream of the member's content."""

    def close(self) -> None:
        """Close the file."""


def is_archive_name(name: str) -> bool:
    """Whether a name is an archive's, for listings that tell nothing else."""
    return name.lower().endswith(SUFFIXES)


def is_unread_archive_name(name: str) -> bool:
    """Whether a name is that of an archive of a kind that is not read."""
    return name.lower().endswith(UNREAD)


def open_archive(file: Path | IO[bytes], name: str) -> Archive | None:
    """Open a zip or a (packed) tar; None when the content is neither.

    Raises:
        ArchiveDamaged: the name promises an archive and the content is none, or is cut off.
    """
    with damage_named(name):
        stream = file.open("rb") if isinstance(file, Path) else file
        try:
            start = stream.read(265)
            if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                return ZipArchive(stream, name)
            if start[257:262] == b"ustar" or start.startswith(GZIP):
                return TarArchive(stream, name, packed=start.startswith(GZIP))
        except BaseException:
            stream.close()
            raise
        stream.close()
    if is_archive_name(name):
        raise ArchiveDamaged(f"{name} is no zip or tar archive, or was cut off at its beginning")
    return None


def plan(archive: Archive, place: Place, limits: Limits = LIMITS) -> list[Member]:
    """Look through the whole archive and return its members that belong to the data set, in the archive's order.

    Raises:
        ArchiveRefused: one of its members is unsafe; names it and says why.
        ArchiveDamaged: the archive cannot be looked through.
    """
    members: dict[str, Member] = {}
    count = total = 0
    with damage_named(archive.name):
        for entry, problem in archive.entries():
            if problem:
                raise ArchiveRefused(f"{archive.name} is refused: its member {entry.name!r} {problem}")
            count, total = count + 1, total + entry.size
            _require_no_bomb(archive, count, total, limits)
            target = place(entry.name)
            if target is None:
                continue
            if other := members.get(target):
                raise ArchiveRefused(
                    f"{archive.name} is refused: {other.name!r} and {entry.name!r} both belong at {target}"
                )
            members[target] = Member(entry.name, target, entry.size, entry.packed, entry.offset, entry.entry)
    return sorted(members.values(), key=lambda member: member.offset)


def _require_no_bomb(archive: Archive, count: int, total: int, limits: Limits) -> None:
    if count > limits.members:
        raise ArchiveRefused(f"{archive.name} is refused: it has more than {limits.members:,} members")
    if total > limits.total or (total > limits.ratio_from and total > limits.ratio * archive.size):
        raise ArchiveRefused(
            f"{archive.name} is refused: its {decimal(archive.size)} would unpack to {decimal(total)} or more, "
            "which no data set does"
        )


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what the libraries raise for broken archives into one message."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveDamaged(f"{name} is damaged or cut off ({error})") from error
    except (ValueError, OverflowError, struct.error, NotImplementedError) as error:
        # Offsets and sizes that contradict each other, and versions of the format that do not exist
        raise ArchiveDamaged(f"{name} is damaged ({error})") from error


class ZipArchive:
    """A zip file, from any seekable stream."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self.size = stream.seek(0, io.SEEK_END)
        self.stream = stream
        if not zipfile.is_zipfile(stream):  # it begins like one
            raise zipfile.BadZipFile("its end is missing")
        self.zip = zipfile.ZipFile(stream)

    def entries(self) -> Iterator[tuple[Member, str | None]]:
        """See `Archive`."""
        for info in self.zip.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 when packed on a system without Unix modes
            problem = None
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                problem = "is a link" if kind == stat.S_IFLNK else "is no plain file"
            elif info.flag_bits & 0x1:
                problem = f"is encrypted; {UNPACK}"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                problem = f"is packed with method {info.compress_type}, which is not read; {UNPACK}"
            name = info.orig_filename  # zipfile cuts `filename` at a NUL
            if info.is_dir():
                problem = problem or unsafe(f"{name}/x")
            if problem or not info.is_dir():
                yield (
                    Member(name, "", info.file_size, info.compress_size, info.header_offset, info),
                    problem or unsafe(name),
                )

    def open(self, member: Member) -> IO[bytes]:
        """See `Archive`."""
        return self.zip.open(member.entry)

    def close(self) -> None:
        """See `Archive`."""
        self.zip.close()
        self.stream.close()


class TarArchive:
    """A tar file, plain or packed as a whole; looking through a packed one unpacks it once without writing."""

    def __init__(self, stream: IO[bytes], name: str, *, packed: bool) -> None:
        self.name = name
        self.size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.stream = stream
        self.reads = _BoundedReads(gzip.GzipFile(fileobj=stream) if packed else stream)
        self.tar = tarfile.TarFile(fileobj=cast(Any, self.reads))

    def entries(self) -> Iterator[tuple[Member, str | None]]:
        """See `Archive`."""
        end = 0
        for info in self.tar:
            end = info.offset_data + (
                0 if info.isdir() else -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            )
            problem = None
            if info.issym() or info.islnk():
                problem = "is a link"
            elif not (info.isdir() or (info.isreg() and not info.issparse())):
                problem = "is no plain file"
            if info.isdir():
                problem = problem or unsafe(f"{info.name}/x")
            if problem or not info.isdir():
                yield (
                    Member(info.name, "", info.size, info.size, info.offset_data, info),
                    problem or unsafe(info.name),
                )
        # tarfile takes the end of the file, and a header that it cannot read, for the end of the archive
        if self.reads.last.strip(b"\0") or self.reads.tell() < end + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the mark at its end is missing")
        if len(self.reads.read(_BoundedReads.LARGEST)) == _BoundedReads.LARGEST:  # gzip's checksum comes last
            raise tarfile.ReadError("it goes on after its end")

    def open(self, member: Member) -> IO[bytes]:
        """See `Archive`."""
        content = self.tar.extractfile(member.entry)
        if content is None:
            raise ArchiveRefused(f"{self.name} is refused: its member {member.name!r} is no plain file")
        return content

    def close(self) -> None:
        """See `Archive`."""
        self.tar.close()
        self.reads.close()
        self.stream.close()


class _BoundedReads:
    """A stream for tarfile that refuses large reads: it reads extended headers into memory, whatever their size."""

    LARGEST = 16 << 20

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.last = b""  # what was read last

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.LARGEST:
            raise tarfile.ReadError(f"it has a header of {size:,} bytes")
        self.last = self.stream.read(size)
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position: int = self.stream.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self.stream.tell()
        return position

    def close(self) -> None:
        self.stream.close()
