"""Fetch a data set: from the first source that gives it whole, into a folder that is complete or not there."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from harness.config import Source
from harness.data.fetch.archives import LIMITS, Limits, Place
from harness.data.fetch.complete import (
    RECORD,
    SCHEMA_VERSION,
    FetchReport,
    Missing,
    Wanted,
    listed,
    no_source,
    passing,
)
from harness.data.fetch.disk import Say, SourceFailed, require_space, write_sums
from harness.data.fetch.origins import Offer, Origin, open_origin
from harness.data.fetch.pieces import expected_sum, open_piece, unpack
from harness.data.fetch.repair import repair_root
from harness.data.fetch.staging import Brought, Staging, left_over, staging_of
from harness.errors import HarnessError
from harness.files import write_json
from harness.progress import Progress


def fetch(
    root: Path,
    sources: Sequence[Source],
    *,
    place: Place,
    required: Sequence[str],
    missing: Missing,
    way_out: str,
    sha256: Mapping[str, str] | None = None,
    repair: bool = False,
    say: Say = lambda line: print(line, file=sys.stderr, flush=True),
    pause: float = 1.0,
    limits: Limits = LIMITS,
) -> FetchReport:
    """Bring a data set to the folder `root`.

    Args:
        root: the data root; it appears when it is complete and checked.
        sources: tried in this order.
        place: see `Wanted`, as for `required`, `missing` and `sha256`.
        required: relative paths of the tables.
        missing: lists what a root's tables name and the root lacks.
        way_out: how to name files that came another way, for the error when all sources fail.
        sha256: of files, where known.
        repair: bring what is missing or damaged in a root that is there.
        say: prints one line for the user.
        pause: seconds before the second attempt of a download; doubled for each further one.
        limits: for archives.

    Raises:
        HarnessError: no source gives the data set, and why each of them does not; no space; another fetch of this
            target is at work; the root is there and incomplete, or something else; a source is in it, or it in one.
    """
    root = Path(root).resolve()  # a link to another disk is followed, so that the rename stays on one
    wanted = Wanted(place, tuple(required), missing, dict(sha256 or {}), limits)
    with _access_to(root):
        if _is_there(root):
            _require_data_set(root, wanted)
            if not repair and not _problem(root, wanted) and not left_over(root):
                return _complete(root, wanted)  # without the lock: the disk may be read-only
        _require_apart(root, sources)
        with staging_of(root, say, pause) as staging:
            origins = [open_origin(source, (root, staging.folder)) for source in sources]
            if not _is_there(root):
                return _fetch_first(staging, origins, wanted, way_out)
            if repair:
                return repair_root(staging, origins, wanted, way_out)
            if problem := _problem(root, wanted):
                raise HarnessError(
                    f"{root} is there and not complete: {problem}. "
                    "--repair brings what is missing; --to names another folder"
                )
            staging.clear()
            return _complete(root, wanted)


@contextmanager
def _access_to(root: Path) -> Iterator[None]:
    """Turn a missing permission within the root into one message; sources have theirs."""
    try:
        yield
    except PermissionError as error:
        raise HarnessError(
            f"no access to {error.filename or root} ({error.strerror}); give it to this user, then run the command "
            "again"
        ) from error


def _require_data_set(root: Path, wanted: Wanted) -> None:
    """Refuse a folder with other things: a repair would put a whole data set among them."""
    if not any((root / name).is_file() for name in wanted.required) and not wanted.files(root):
        raise HarnessError(f"{root} is not empty and holds no data set; name another folder")


def _require_apart(root: Path, sources: Sequence[Source]) -> None:
    """Refuse a target in a source, which is never written to, and a source in the target."""
    for folder in (source.path.resolve() for source in sources if source.path is not None):
        folder_here = os.path.isdir(folder)  # noqa: PTH112 - of one without access False, where Path raises
        if folder_here and (root.is_relative_to(folder) or folder.is_relative_to(root)):
            how = "are one folder" if folder == root else "lie in one another"
            raise HarnessError(f"the source {folder} and the target {root} {how}; name a folder elsewhere")


def _is_there(root: Path) -> bool:
    if root.exists() and not root.is_dir():
        raise HarnessError(f"{root} is a file; name another folder with --to")
    return root.is_dir() and any(root.iterdir())


def _problem(root: Path, wanted: Wanted) -> str:
    """Why a root is not complete; "" when it is."""
    try:
        lacking = wanted.lacking(root)
    except HarnessError as error:
        return str(error)
    return listed(lacking, "missing") if lacking else ""


def _complete(root: Path, wanted: Wanted) -> FetchReport:
    files = wanted.files(root)
    return FetchReport(root, "complete", len(files), sum((root / name).stat().st_size for name in files))


def _fetch_first(staging: Staging, origins: Sequence[Origin], wanted: Wanted, way_out: str) -> FetchReport:
    """Fetch from the first origin that gives the data set whole."""
    reasons = []
    for number, origin in enumerate(origins, 1):
        try:
            report = _fetch_from(origin, staging, wanted)
        except SourceFailed as error:
            reasons.append(f"{origin.label}: {error}")
            if number < len(origins):
                staging.say(passing(origin.label, str(error)))
        else:
            staging.clear()
            return report
    raise no_source(f"{staging.root} could not be fetched", reasons, way_out)


def _fetch_from(origin: Origin, staging: Staging, wanted: Wanted) -> FetchReport:
    folder = staging.empty_unpacked()  # before space is asked for: an ended process may have left much in it
    brought = _bring_all(origin, origin.offers(wanted.place), staging, wanted)
    with ExitStack() as stack:
        pieces = [open_piece(one, wanted, stack) for one in brought]
        total = sum(member.size for piece in pieces for member in piece.members)
        require_space(staging.root, download=0, unpacked=total)
        sums: dict[str, str] = {}
        with Progress(
            "unpack" if any(piece.archive for piece in pieces) else "copy", total, "bytes"
        ) as progress:
            for piece in pieces:
                unpack(piece, folder, sums, progress)
    for name, found in sums.items():
        if (expected := wanted.known_sum(name)) and expected != found:
            raise SourceFailed(f"{name} has the SHA-256 {found}, not {expected} as expected")
    if problem := _problem(folder, wanted):
        raise SourceFailed(f"is not complete: {problem}")
    for line in wanted.not_compared([*(one.offer.name for one in brought), *sums]):
        staging.say(line)
    write_sums(folder, sums)
    write_json(folder / RECORD, _record(origin, brought, len(sums), total))
    try:
        folder.replace(staging.root)
    except OSError as error:
        raise HarnessError(
            f"{folder} is complete but cannot be renamed to {staging.root}: {error}"
        ) from error
    received = sum(one.received for one in brought)
    return FetchReport(staging.root, "fetched", len(sums), total, (origin.label,), received)


def _bring_all(origin: Origin, offers: Sequence[Offer], staging: Staging, wanted: Wanted) -> list[Brought]:
    """Have every offered file here, after asking for the space that it and its content need."""
    expected = [expected_sum(offer, wanted) for offer in offers]
    known = [offer.size for offer in offers if offer.size is not None]
    size = sum(known) if len(known) == len(offers) else None
    if size is not None:
        staging.say(f"{origin.label}: {len(offers):,} file{'s' if len(offers) > 1 else ''}, {decimal(size)}")
    if origin.local:
        quiet = Progress("read", size, "bytes")
        return [
            staging.bring(origin, offer, sum_, quiet, 0) for offer, sum_ in zip(offers, expected, strict=True)
        ]
    to_come = sum(max((offer.size or 0) - staging.here(origin, offer), 0) for offer in offers)
    require_space(staging.root, download=to_come, unpacked=size or 0)  # images hardly shrink in an archive
    with Progress("download", size, "bytes") as progress:
        return [
            staging.bring(origin, offer, sum_, progress, size or 0)
            for offer, sum_ in zip(offers, expected, strict=True)
        ]


def _record(origin: Origin, brought: Sequence[Brought], files: int, size: int) -> dict[str, Any]:
    """Where the data set came from."""
    return {
        "schema_version": SCHEMA_VERSION,
        "source": origin.label,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
        "bytes": size,
        "downloads": [
            {
                "name": one.offer.name,
                "address": one.offer.address,
                "bytes": one.path.stat().st_size,
                "sha256": one.sha256,
            }
            for one in brought
            if not one.local
        ],
    }
