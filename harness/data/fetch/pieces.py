"""What was brought, and what of it belongs to the data set: a file itself, or members of an archive."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.data.fetch.archives import (
    UNPACK,
    Archive,
    ArchiveDamaged,
    Member,
    damage_named,
    open_archive,
    plan,
)
from harness.data.fetch.complete import Wanted
from harness.data.fetch.disk import SourceFailed, digest_of, pour, readable
from harness.data.fetch.origins import Offer
from harness.data.fetch.staging import Brought
from harness.progress import Progress


@dataclass(frozen=True)
class Piece:
    """A file that is here, with its members that belong to the data set; without archive, it is the only one."""

    brought: Brought
    archive: Archive | None
    members: tuple[Member, ...]

    @contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        """The content of a member.

        Raises:
            ArchiveDamaged: it cannot be unpacked, now or while it is read; a download is deleted then.
        """
        name = f"{self.brought.offer.name}, member {member.name}" if self.archive else member.name
        with (
            _deleted_if_damaged(self.brought),
            damage_named(name),
            readable(self.brought.path),
            self.brought.path.open("rb") if self.archive is None else self.archive.open(member) as stream,
        ):
            yield stream


def expected_sum(offer: Offer, wanted: Wanted) -> str:
    """The SHA-256 that a file must have by params.yaml or its origin; "" where neither knows it.

    Raises:
        SourceFailed: they contradict each other.
    """
    ours, theirs = wanted.known_sum(offer.name), offer.sha256 or ""
    if ours and theirs and ours != theirs:
        raise SourceFailed(f"{offer.name} has the SHA-256 {theirs} there, not {ours} as expected")
    return ours or theirs


def open_piece(brought: Brought, wanted: Wanted, stack: ExitStack) -> Piece:
    """Open what was brought and look through it; nothing is written yet.

    Raises:
        SourceFailed: an archive is unsafe or damaged, or the file is no part of the data set; a download of no use is
            deleted.
    """
    name = brought.offer.name
    with _deleted_if_damaged(brought), readable(brought.path):
        archive = open_archive(brought.path, name)
        if archive is not None:
            stack.callback(archive.close)
            return Piece(brought, archive, tuple(plan(archive, wanted.place, wanted.limits)))
        target = wanted.place(name)
        if target is None:
            if not brought.local:
                brought.path.unlink(missing_ok=True)
            raise SourceFailed(
                f"{name} is neither a file of this data set nor a zip, tar or tar.gz archive; if it is an archive of "
                f"another kind, {UNPACK}"
            )
        size = brought.path.stat().st_size
        return Piece(brought, None, (Member(name, target, size, size, 0, None),))


def unpack(piece: Piece, folder: Path, sums: dict[str, str], progress: Progress) -> None:
    """Write the members to their places under `folder` and their SHA-256 to `sums`.

    Raises:
        SourceFailed: damaged, or a file of the same place with other content was written before.
    """
    for member in piece.members:
        with piece.open(member) as stream:
            if member.target not in sums:
                sums[member.target] = pour(stream, folder / member.target, member.size, progress)
            elif sums[member.target] != digest_of(stream, progress):
                raise SourceFailed(
                    f"has two files for {member.target} that differ, the second in {piece.brought.offer.name}; "
                    "leave one out"
                )


@contextmanager
def _deleted_if_damaged(brought: Brought) -> Iterator[None]:
    try:
        yield
    except ArchiveDamaged as error:
        if brought.local:
            raise
        brought.path.unlink(missing_ok=True)
        raise ArchiveDamaged(f"{error}; the download is deleted, the next call downloads it anew") from error
