"""What makes a data root complete, and what a fetch reports about one."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.data.fetch.archives import LIMITS, Limits, Place
from harness.data.fetch.disk import walk
from harness.errors import HarnessError, suggestion

SCHEMA_VERSION = 1  # of the record
RECORD = ".fetch.json"  # where a data root came from
Missing = Callable[[Path], list[str]]


@dataclass(frozen=True)
class Wanted:
    """What makes a data root complete.

    Args:
        place: where a file belongs under the root by its path in an archive or folder; None: it is left out.
        required: relative paths of the tables.
        missing: relative paths of the files that the tables of a root name and that are not there.
        sha256: of files, by their names in the source or their paths under the root, where known.
        limits: for archives.
    """

    place: Place
    required: Sequence[str]
    missing: Missing
    sha256: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = LIMITS

    def __post_init__(self) -> None:
        """Refuse what is no SHA-256, before anything is fetched."""
        for name, value in self.sha256.items():
            if not re.fullmatch(r"[0-9A-Fa-f]{64}", value):
                raise HarnessError(
                    f"data.sha256 of {name!r} is no SHA-256, which has 64 hexadecimal digits: {value!r}"
                )

    def lacking(self, root: Path) -> list[str]:
        """What a root lacks. Raises HarnessError where its tables cannot be read."""
        return [name for name in self.required if not (root / name).is_file()] or self.missing(root)

    def known_sum(self, name: str) -> str:
        """The SHA-256 of a file by its path or its base name; "" where it is not known."""
        return (self.sha256.get(name) or self.sha256.get(name.rpartition("/")[2]) or "").lower()

    def files(self, root: Path) -> list[str]:
        """The files under a root that belong to the data set, as relative paths."""
        paths = (Path(folder, name) for folder, _, names in walk(root) for name in names)
        names = (path.relative_to(root).as_posix() for path in paths if path.is_file())
        return sorted(name for name in names if self.place(name) == name)

    def not_compared(self, names: Iterable[str]) -> list[str]:
        """What to say of each name of `sha256` that none of these files has: it was compared with nothing."""
        known = {part for name in names for part in (name, name.rpartition("/")[2])}
        return [
            f"data.sha256 names {name!r}, which no file has here: nothing was compared with it."
            f"{suggestion(name, sorted(known))}"
            for name in self.sha256
            if name not in known
        ]


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did."""

    root: Path
    outcome: Literal["fetched", "complete", "intact", "repaired"]
    files: int  # of the data set
    size: int  # bytes of the data set
    sources: tuple[str, ...] = ()  # that gave something
    received: int = 0  # bytes that came over the network
    repaired: tuple[str, ...] = ()  # files added or replaced
    unchanged: tuple[str, ...] = ()  # files that look damaged and are the same at the source


def listed(names: Sequence[str], what: str = "") -> str:
    """Number of files and the first few of them: "3 files are missing (a, b, c)", or "3 files (a, b, c)"."""
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    files, are = ("file", " is ") if len(names) == 1 else ("files", " are ")
    return f"{len(names):,} {files}{are + what if what else ''} ({some})"


def passing(label: str, reason: str) -> str:
    """The line that says why the next source is tried: the reason's first clause, as all fail only at the end."""
    return f"{label}: {re.split(r'; |[.] |[.]?$', reason, maxsplit=1, flags=re.MULTILINE)[0]}"


def no_source(what: str, reasons: Sequence[str], way_out: str) -> HarnessError:
    """The error that lists why each source failed, and the way out."""
    if not reasons:
        return HarnessError(f"{what}: there is no source; list some as data.sources, or {way_out}")
    lines = "\n".join(f"  {reason}" for reason in reasons)
    return HarnessError(
        f"{what}:\n{lines}\nDownload the files another way, with a browser say, and {way_out}"
    )
