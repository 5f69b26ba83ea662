"""Bring only what a data root lacks or has damaged, from the first sources that have it.

Damaged is what differs from ROOT/SHA256SUMS. Without that record it is what is empty or, for an image, cannot be
decoded to its last pixel. Members of a zip on a server are read singly where the server gives parts of files.
"""

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from rich.filesize import decimal

from harness.data.fetch.archives import Member, ZipArchive, damage_named, is_archive_name, plan
from harness.data.fetch.complete import (
    RECORD,
    SCHEMA_VERSION,
    FetchReport,
    Wanted,
    listed,
    no_source,
    passing,
)
from harness.data.fetch.disk import (
    SUMS,
    Readable,
    SourceFailed,
    different,
    pour,
    read_sums,
    require_space,
    sha256_of,
    sums_of,
    write_sums,
)
from harness.data.fetch.origins import Offer, Origin
from harness.data.fetch.pieces import expected_sum, open_piece
from harness.data.fetch.staging import Staging
from harness.errors import HarnessError
from harness.files import atomic_write, read_json, write_json
from harness.progress import Progress

IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
WHOLE_FROM = 0.5  # share of an archive from which it is downloaded as a whole
ZIP_END = b"PK\5\6"
HEADER = 512  # bytes before a zip member, with its name; more is fetched where that is too few
LARGEST_PART = 16 << 20  # bytes in one request


def repair_root(staging: Staging, origins: Sequence[Origin], wanted: Wanted, way_out: str) -> FetchReport:
    """Repair the data root of `staging`; each file is replaced at once or not at all.

    Raises:
        HarnessError: no source has a file that is needed, or it differs from the record.
    """
    root = staging.root
    recorded = read_sums(root)
    repair = _Repair(staging, origins, wanted, way_out, recorded)
    staging.empty_unpacked()
    bad = set(different(root, recorded)) if recorded is not None else set()
    bad |= {name for name in wanted.required if not _has_content(root / name)}
    tables = bad & set(wanted.required) or _unreadable_tables(root, wanted)
    if tables:
        repair.bring(tables)
    bad |= set(wanted.missing(root))
    if recorded is None:
        bad |= set(_undecodable(root, wanted))
    repair.bring(bad - tables)
    return repair.finish()


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _unreadable_tables(root: Path, wanted: Wanted) -> set[str]:
    """All tables where they cannot be read: which one is at fault is not known here."""
    try:
        wanted.missing(root)
    except HarnessError:
        return set(wanted.required)
    return set()


def _undecodable(root: Path, wanted: Wanted) -> list[str]:
    """Files without content, and images that cannot be decoded whole."""
    from PIL import Image

    found = []
    for name in Progress("check", len(names := wanted.files(root)), "files").track(names):
        try:
            if not _has_content(root / name):
                raise ValueError("empty")
            if name.lower().endswith(IMAGES):
                with Image.open(root / name) as image:
                    image.load()
        except PermissionError:
            raise
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ):  # what Pillow raises for bad files
            found.append(name)
    return found


@dataclass
class _Repair:
    """One repair: what was brought so far, and why sources failed."""

    staging: Staging
    origins: Sequence[Origin]
    wanted: Wanted
    way_out: str
    recorded: dict[str, str] | None
    offers: dict[str, list[Offer]] = field(default_factory=dict)  # by the origin's label
    reasons: dict[str, str] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)  # files that the present origin has with other content
    sources: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    received: int = 0

    def bring(self, names: Iterable[str]) -> None:
        """Bring these files from whatever origins have them.

        Raises:
            HarnessError: some are in no source; the others are repaired.
        """
        needed = set(names)
        if needed:
            self.staging.say(listed(sorted(needed), "missing or damaged"))
        for origin in self.origins:
            if not needed:
                return
            try:
                self._bring_from(origin, needed)
            except SourceFailed as error:
                if origin is not self.origins[-1] and origin.label not in self.reasons:
                    self.staging.say(passing(origin.label, str(error)))
                self.reasons[origin.label] = str(error)
            else:
                if needed:
                    self.reasons.setdefault(origin.label, f"lacks {listed(sorted(needed))}")
        if needed:
            reasons = [f"{label}: {reason}" for label, reason in self.reasons.items()]
            what = f"{self.staging.root}: {listed(sorted(needed), 'still missing or damaged')}"
            raise no_source(what, reasons, self.way_out)

    def _bring_from(self, origin: Origin, needed: set[str]) -> None:
        """Take out of `needed` what this origin has."""
        place = self.wanted.place
        if origin.label not in self.offers:
            self.offers[origin.label] = origin.offers(place)
        self.other.clear()
        offers = self.offers[origin.label]
        archives = [offer for offer in offers if is_archive_name(offer.name) or place(offer.name) is None]
        for offer in offers:
            if offer not in archives and place(offer.name) in needed:
                self._bring_whole(origin, offer, needed)
        for offer in archives:
            if needed and not self._bring_members(origin, offer, needed):
                self._bring_whole(origin, offer, needed)
        if self.other:
            raise SourceFailed(
                f"has other content than {SUMS} tells for {listed(self.other)}; it is not taken. If it is another "
                f"edition of the data set, fetch that into another folder; if the record is wrong, delete {SUMS}"
            )

    def _bring_whole(self, origin: Origin, offer: Offer, needed: set[str]) -> None:
        """Have the whole file here, and take from it what is needed."""
        progress = Progress("download", offer.size, "bytes")
        with nullcontext() if origin.local else progress:
            brought = self.staging.bring(origin, offer, expected_sum(offer, self.wanted), progress, 1)
        self.received += brought.received
        with ExitStack() as stack:
            piece = open_piece(brought, self.wanted, stack)
            members = [member for member in piece.members if member.target in needed]
            require_space(self.staging.root, download=0, unpacked=sum(member.size for member in members))
            for member in members:
                with piece.open(member) as stream:
                    self._put(origin, member, stream, needed)

    def _bring_members(self, origin: Origin, offer: Offer, needed: set[str]) -> bool:
        """Read single members of a zip on a server; False where that is not possible or does not pay."""
        parts = origin.in_parts(offer)
        if parts is None:
            return False
        try:
            if ZIP_END not in parts.block:  # what came first is the end
                return False
            with damage_named(offer.name):
                archive = ZipArchive(cast("IO[bytes]", parts), offer.name)
            members = [
                one for one in plan(archive, self.wanted.place, self.wanted.limits) if one.target in needed
            ]
            if sum(member.packed for member in members) > WHOLE_FROM * archive.size:
                return False
            for member in Progress("repair", len(members), "files").track(members):
                parts.least = min(member.packed + HEADER, LARGEST_PART)
                with damage_named(f"{offer.name}, member {member.name}"), archive.open(member) as stream:
                    self._put(origin, member, stream, needed)
            self.staging.say(
                f"{offer.name}: {decimal(parts.fetched)} of {decimal(parts.size)} fetched for {len(members):,} of its "
                "files"
            )
            return True
        finally:
            self.received += parts.fetched

    def _put(self, origin: Origin, member: Member, stream: Readable, needed: set[str]) -> None:
        """Put one file in its place in the root."""
        name, path = member.target, self.staging.root / member.target
        staged = self.staging.unpacked / name
        found = pour(stream, staged, member.size)
        expected = (self.recorded or {}).get(name) or self.wanted.known_sum(name)
        if expected and expected != found:
            self.other.append(name)
        elif path.is_file() and sha256_of(path) == found:
            if name not in self.wanted.required:  # tables are suspects together where one cannot be read
                self.unchanged.append(name)
            needed.discard(name)
        else:
            with atomic_write(path) as temporary:
                shutil.copyfile(staged, temporary)
            self.repaired.append(name)
            needed.discard(name)
            if origin.label not in self.sources:
                self.sources.append(origin.label)
        staged.unlink()

    def finish(self) -> FetchReport:
        """Check everything once more, unless nothing was changed since, and write the checksums."""
        root = self.staging.root
        names = self.wanted.files(root)
        known = {} if self.repaired else self.recorded or {}
        sums = {**known, **sums_of(root, {*names, *(self.recorded or {})} - set(known))}
        wrong = [name for name, expected in (self.recorded or {}).items() if sums.get(name) != expected]
        if lacking := sorted({*wrong, *self.wanted.lacking(root)}):
            raise HarnessError(f"{root}: {listed(lacking, 'damaged again')}; is the disk in order?")
        if self.offers:
            offered = [offer.name for offers in self.offers.values() for offer in offers]
            for line in self.wanted.not_compared([*offered, *names]):
                self.staging.say(line)
        if sums != self.recorded:
            write_sums(root, sums)
        if self.repaired:
            self._record()
        self.staging.clear()
        return FetchReport(
            root,
            "repaired" if self.repaired else "intact",
            len(names),
            sum((root / name).stat().st_size for name in names),
            tuple(self.sources),
            self.received,
            tuple(sorted(self.repaired)),
            tuple(sorted(self.unchanged)),
        )

    def _record(self) -> None:
        """Add the repair to the record of where the root came from."""
        path = self.staging.root / RECORD
        record: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        with suppress(HarnessError):  # fetched by other means, or the record is damaged too
            record = read_json(path, "harness data fetch")
        entry = {
            "repaired": datetime.now(UTC).isoformat(timespec="seconds"),
            "sources": self.sources,
            "files": sorted(self.repaired),
            "received": self.received,
        }
        write_json(path, {**record, "repairs": [*record.get("repairs", []), entry]})
