"""The folder beside the target where a fetch works: one fetch at a time, downloads that outlive it, nothing half done.

PARENT/.ROOT.fetch/lock        held while a fetch runs
PARENT/.ROOT.fetch/downloads   whole and partial files, until the target is complete
PARENT/.ROOT.fetch/unpacked    becomes the target by one rename
"""

import glob
import hashlib
import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pooch
from filelock import FileLock, Timeout

from harness.data.fetch.disk import Say, SourceFailed, readable, require_space, sha256_of, writing
from harness.data.fetch.download import KEPT
from harness.data.fetch.origins import Offer, Origin
from harness.errors import HarnessError
from harness.progress import Progress

_POOCH_LEFTOVER = re.compile(r"tmp[a-z0-9_]{8}")


@dataclass(frozen=True)
class Brought:
    """An offered file that is here."""

    offer: Offer
    path: Path
    sha256: str  # "" where nobody asked for it
    received: int  # bytes that came over the network for it now
    local: bool  # it was here before and is not ours to delete


@dataclass(frozen=True)
class Staging:
    """The folder, locked by this process."""

    root: Path
    folder: Path
    say: Say
    pause: float

    @property
    def unpacked(self) -> Path:
        """Where the target grows."""
        return self.folder / "unpacked"

    def empty_unpacked(self) -> Path:
        """The folder `unpacked`, without what an ended process left in it."""
        with writing(self.unpacked, "nothing is changed"):
            if self.unpacked.exists():
                shutil.rmtree(self.unpacked)
            self.unpacked.mkdir()
        return self.unpacked

    def clear(self) -> None:
        """Delete all but the lock: unlinking that would let two processes hold one each."""
        for name in ("downloads", "unpacked"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def downloaded(self, origin: Origin, offer: Offer) -> Path:
        """Where the download of an offered file ends up."""
        return self.folder / "downloads" / _key(origin) / offer.name

    def here(self, origin: Origin, offer: Offer) -> int:
        """Bytes of an offered file that an earlier call downloaded."""
        target = self.downloaded(origin, offer)
        parts = [target, *target.parent.glob(f"{glob.escape(target.name)}.part*")]
        return max((part.stat().st_size for part in parts if part.is_file()), default=0)

    def bring(
        self, origin: Origin, offer: Offer, expected: str, progress: Progress, unpacked: int
    ) -> Brought:
        """Have an offered file here, downloaded where it is not, and compare it with its SHA-256.

        Args:
            origin: where it comes from.
            offer: the file.
            expected: its SHA-256; "" where nobody knows it.
            progress: counts the bytes; its total grows here where the sizes were not known before.
            unpacked: bytes that the data set will take beside the download; 0: not known, as many as the file has.

        Raises:
            SourceFailed: the file does not come, or is another one.
        """
        target = self.downloaded(origin, offer)
        partial = target.with_name(f"{target.name}.part")
        counted = progress.done

        def on_size(size: int | None, here: int) -> None:
            if size is not None:
                progress.expect(max(counted + size, progress.total or 0))
            require_space(self.root, download=(size or 0) - here, unpacked=unpacked or size or 0)

        download = origin.download(
            offer, partial=partial, progress=progress, on_size=on_size, say=self.say, pause=self.pause
        )
        if download is None:
            path = Path(offer.address)
            with readable(path):
                found = sha256_of(path) if expected else ""
            if found != expected:
                raise SourceFailed(f"{offer.name} has the SHA-256 {found}, not {expected} as expected")
            return Brought(offer, path, found, 0, local=True)
        try:
            with writing(target, KEPT):
                pooch.retrieve(
                    origin.address(offer),
                    known_hash=f"sha256:{expected}" if expected else None,
                    fname=offer.name,
                    path=self.folder / "downloads" / _key(origin),
                    downloader=download,
                )
        except ValueError as error:  # pooch's, for another SHA-256
            _remove(partial)
            actual = re.findall(r"but got ([0-9a-f]{64})", str(error))
            if not actual:
                raise
            raise SourceFailed(
                f"{offer.name} has the SHA-256 {actual[0]}, not {expected} as expected; the download is deleted"
            ) from error
        _remove(partial)
        progress.skip(max(counted + target.stat().st_size - progress.done, 0))  # was here before
        return Brought(offer, target, expected or sha256_of(target), download.received, local=False)


def left_over(root: Path) -> bool:
    """Whether a process ended before it could delete the downloads for a target."""
    return (_folder(root) / "downloads").exists()


def _folder(root: Path) -> Path:
    return root.parent / f".{root.name}.fetch"


@contextmanager
def staging_of(root: Path, say: Say, pause: float) -> Iterator[Staging]:
    """Lock and yield the working folder of the target `root`.

    Raises:
        HarnessError: another process works on this target; names it.
    """
    folder = _folder(root)
    with writing(folder, "nothing is changed"):
        folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "holder.json"
    lock = FileLock(folder / "lock")
    try:
        with writing(folder, "nothing is changed"):
            lock.acquire(timeout=0)
    except Timeout:
        raise HarnessError(
            f"another fetch of {root} is at work{_named(holder)}; wait for it, or end it: its "
            "downloads are kept"
        ) from None
    try:
        with writing(holder, "nothing is changed"):
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
            holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))
        for path in (folder / "downloads").rglob("tmp*"):
            if _POOCH_LEFTOVER.fullmatch(path.name):
                path.unlink()
        pooch.get_logger().setLevel(logging.ERROR)  # it tells of every file
        yield Staging(root, folder, say, pause)
    finally:
        shutil.rmtree(folder / "unpacked", ignore_errors=True)  # on a full disk it would be in the way
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _named(holder: Path) -> str:
    try:
        content = json.loads(holder.read_text())
        return f" (process {content['pid']} on {content['host']}, since {content['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _key(origin: Origin) -> str:
    """A folder's name for the downloads from one origin: two of them may have files of one name."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", origin.label).strip("_.")[-40:]
    return f"{readable}-{hashlib.sha256(origin.label.encode()).hexdigest()[:8]}"


def _remove(partial: Path) -> None:
    for path in (partial, partial.with_name(f"{partial.name}.json")):
        path.unlink(missing_ok=True)
