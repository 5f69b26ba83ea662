"""What a fetch writes: free space asked for first, streamed copies with their SHA-256, the file SHA256SUMS."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from rich.filesize import decimal

from harness.errors import HarnessError
from harness.files import UNWRITABLE, atomic_write
from harness.progress import Progress

SUMS = "SHA256SUMS"
BLOCK = 1 << 20  # bytes read at a time
Say = Callable[[str], None]  # prints one line for the user
_SUMS_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class SourceFailed(Exception):
    """A source does not give the data set, and why; the next one is tried."""


class Readable(Protocol):
    """What `pour` reads from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""


def unsafe(name: str) -> str | None:
    """Why no file may be written to the relative path `name`; None when it stays under its folder."""
    if not PurePosixPath(name).name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "has no name that a file can have"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if "\\" in name:
        return "has a backslash, which some systems take for a folder"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the target with '..'"
    return None


@contextmanager
def writing(path: Path, kept: str) -> Iterator[None]:
    """Turn a full disk, a missing permission or the like into one message; `kept` says what is left as it was."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "Make room and run the command again" if full else "Name another folder"
        raise HarnessError(f"cannot write {path}: {os.strerror(error.errno or 0)}; {kept}. {hint}") from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system refuses to read of a source, `path` or something in it, into `SourceFailed`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise SourceFailed(f"{error.filename or path} cannot be read: {os.strerror(error.errno)}") from error


def walk(folder: Path, *, follow: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` that raises where a folder cannot be read."""

    def stop(error: OSError) -> None:
        raise error

    return os.walk(folder, onerror=stop, followlinks=follow)


def require_space(folder: Path, *, download: int, unpacked: int) -> None:
    """Raise HarnessError unless the disk of `folder` has room for both, given in bytes."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if download + unpacked > free:
        raise HarnessError(
            f"not enough disk space for {folder}: {decimal(download)} to download and {decimal(unpacked)} unpacked "
            f"are {decimal(download + unpacked)}, {decimal(free)} are free. Make room, or name a folder on another "
            "disk"
        )


def pour(source: Readable, target: Path, size: int, progress: Progress | None = None) -> str:
    """Copy `source` into the new file `target`; returns the SHA-256.

    Raises:
        ValueError: there is more or less than the `size` bytes announced.
    """
    digest, count = hashlib.sha256(), 0
    with writing(target, "the target folder is untouched, downloads are kept"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:  # and closed within `writing`: that writes too
            while block := source.read(BLOCK):
                count += len(block)
                if count > size:
                    raise ValueError(f"holds more than the {size:,} bytes that it announces")
                digest.update(block)
                out.write(block)
                if progress is not None:
                    progress.advance(units=len(block))
    if count < size:
        raise ValueError(f"ends after {count:,} of the {size:,} bytes that it announces")
    return digest.hexdigest()


def digest_of(source: Readable, progress: Progress | None = None) -> str:
    """The SHA-256 of what a stream still holds."""
    digest = hashlib.sha256()
    while block := source.read(BLOCK):
        digest.update(block)
        if progress is not None:
            progress.advance(units=len(block))
    return digest.hexdigest()


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return digest_of(file, progress)


def sums_of(root: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of every file of `names` that is there under `root`."""
    present = [name for name in sorted(names) if (root / name).is_file()]
    if not present:
        return {}
    with Progress("check", sum((root / name).stat().st_size for name in present), "bytes") as progress:
        return {name: sha256_of(root / name, progress) for name in present}


def write_sums(root: Path, sums: Mapping[str, str]) -> None:
    """Write ROOT/SHA256SUMS, which `sha256sum -c` reads."""
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    with atomic_write(root / SUMS) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def read_sums(root: Path) -> dict[str, str] | None:
    """Relative path -> SHA-256 as recorded in ROOT/SHA256SUMS; None when there is no record.

    Raises:
        HarnessError: a line is none of `sha256sum`'s, or names a file outside the root.
    """
    try:
        text = (root / SUMS).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    sums = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        match = _SUMS_LINE.fullmatch(line)
        if match is None or unsafe(match[2]):
            raise HarnessError(
                f"{root / SUMS}, line {number} is not '<sha256>  <relative path>' ({line[:80]!r}); delete the file, "
                "then --repair checks without it and writes it anew"
            )
        sums[match[2]] = match[1]
    return sums


def different(root: Path, sums: Mapping[str, str]) -> list[str]:
    """The files of `sums` that are missing under `root` or have another SHA-256."""
    found = sums_of(root, sums)
    return [name for name in sorted(sums) if found.get(name) != sums[name]]
