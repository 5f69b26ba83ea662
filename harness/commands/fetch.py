"""`harness data fetch`: bring a data set from its sources, or repair one."""

import re
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from harness.errors import HarnessError, suggestion

if TYPE_CHECKING:
    from harness.config import Data, Source
    from harness.data import DatasetFormat
    from harness.data.fetch import FetchReport

_HUB = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/([^/?#]+/[^/?#]+)(?:/tree/[^/]+)?/?(?:[?#].*)?"
)
_DRIVE_FOLDER = re.compile(r"https?://drive\.google\.com/drive/(?:u/\d+/)?folders/([-\w]+)/?(?:[?#].*)?")


@click.command(name="fetch")
@click.argument("name")
@click.option(
    "--params",
    "params_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The profile; otherwise that of NAME among params.yaml and profiles/*/params.yaml.",
)
@click.option(
    "--from",
    "places",
    multiple=True,
    metavar="PLACE",
    help="A folder, an archive, an http(s) address, hf:OWNER/NAME or gdrive:FOLDER-ID, in place of the profile's "
    "sources. Several are tried in order.",
)
@click.option(
    "--to",
    "root",
    type=click.Path(path_type=Path),
    help="The data root, in place of the profile's data.root.",
)
@click.option("--repair", is_flag=True, help="Bring only what is missing or damaged in the data root.")
def command(
    name: str, params_path: Path | None, places: tuple[str, ...], root: Path | None, repair: bool
) -> None:
    """Fetch the data set NAME, rrsis-d say.

    The data root appears when it is complete and checked. A stopped download goes on with the same command.
    """
    from harness.data.source import find_format

    data = _data_section(name, params_path, optional=bool(places) and root is not None)
    if data is not None and data.synthetic is not None and not places:
        raise HarnessError(f"{name} is drawn, not fetched: `dvc repro` or `harness data synth` does it")
    reader = name if data is None else data.reader
    target = root or (data.root if data is not None else None)
    if target is None:
        raise HarnessError(f"no folder to fetch {name} to: name one with --to")
    sources = [source_at(place) for place in places] or (data.sources if data is not None else ())
    sha256 = data.sha256 if data is not None else {}
    bring(
        name,
        target,
        sources,
        find_format(reader),
        reader=reader,
        sha256=sha256,
        repair=repair,
        way_out="name their folder or archive with --from",
    )


def bring(
    name: str,
    root: Path,
    sources: "Sequence[Source]",
    layout: "DatasetFormat",
    *,
    reader: str,
    sha256: Mapping[str, str],
    repair: bool = False,
    way_out: str = "list their folder or archive under data.sources of the params file",
) -> None:
    """Fetch a data set of a layout to its root, and say what was done.

    `way_out` tells how to name files that came another way.
    """
    from harness.data.fetch import fetch

    if layout.place is None:
        raise HarnessError(f"the layout {reader!r} cannot be fetched: it does not tell where files belong")
    try:
        with _exit_on_sigterm():
            report = fetch(
                root,
                sources,
                place=layout.place,
                required=layout.tables,
                missing=missing_from(layout),
                way_out=way_out,
                sha256=sha256,
                repair=repair,
            )
    except (KeyboardInterrupt, SystemExit):
        click.echo(
            "\nStopped. Finished downloads are kept; the same command goes on with an unfinished one where the "
            "server can send the rest of a file, and starts it anew where not.",
            err=True,
        )
        raise
    click.echo(_told(name, root, reader, report))


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end what runs here in good order, as an interrupt does: bars stopped, locks released."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # others cannot set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def source_at(place: str) -> "Source":
    """The source that an argument of --from means."""
    from harness.config import Source

    if not place.strip():
        raise HarnessError("--from has an empty place; name a folder, an archive or an address")
    if found := _HUB.fullmatch(place):
        return Source(huggingface=found[1])
    if found := _DRIVE_FOLDER.fullmatch(place):
        return Source(google_drive=found[1])
    scheme, colon, rest = place.partition(":")
    if scheme in ("http", "https") and rest.startswith("//"):
        return Source(url=place)
    if scheme in ("hf", "gdrive") and rest:
        return Source(huggingface=rest) if scheme == "hf" else Source(google_drive=rest)
    if colon and rest.startswith("//"):
        raise HarnessError(
            f"--from {place}: {scheme} addresses are not read; http, https, hf:, gdrive: or a path are"
        )
    return Source(path=Path(place).expanduser())


def missing_from(layout: "DatasetFormat") -> Callable[[Path], list[str]]:
    """A function that lists the images and masks that a root's tables name and that are not there."""
    from harness.data import Expression

    def missing(root: Path) -> list[str]:
        named: dict[Path, None] = {}
        for row in layout.read(root):
            if isinstance(row, Expression):
                named[row.image] = None
                if isinstance(row.mask, Path):
                    named[row.mask] = None
        return [path.relative_to(root).as_posix() for path in named if not path.is_file()]

    return missing


def _data_section(name: str, params_path: Path | None, *, optional: bool) -> "Data | None":
    """The `data` section of the profile of that data set."""
    from harness.config import load_params

    if params_path is not None:
        data = load_params(params_path).data
        if data.dataset != name:
            raise HarnessError(f"{params_path} is about {data.dataset!r} (data.dataset), not {name!r}")
        return data
    datasets = {
        path: _dataset_of(path)
        for path in (Path("params.yaml"), *sorted(Path("profiles").glob("*/params.yaml")))
    }
    sections = {path: load_params(path).data for path, dataset in datasets.items() if dataset == name}
    if not sections:
        if optional:
            return None
        known = sorted({dataset for dataset in datasets.values() if dataset})
        raise HarnessError(
            f"no profile is about the data set {name!r}.{suggestion(name, known)} Profiles here (params.yaml, "
            f"profiles/*/params.yaml) are about: {', '.join(known) or 'none; run from the project folder'}. Without a "
            "profile, name both --from and --to"
        )
    first = next(iter(sections.values()))
    if any(
        (one.root, one.sources, one.reader) != (first.root, first.sources, first.reader)
        for one in sections.values()
    ):
        raise HarnessError(
            f"several profiles are about {name!r} and differ: {', '.join(map(str, sections))}; name one with --params"
        )
    return first


def _dataset_of(path: Path) -> str:
    """data.dataset of a params file that may be anything else's."""
    import yaml

    from harness.plain_yaml import read_yaml

    try:
        content: Any = read_yaml(path)
        return str(content["data"]["dataset"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return ""


def _told(name: str, root: Path, reader: str, report: "FetchReport") -> str:
    from rich.filesize import decimal

    what = f"{report.files:,} files, {decimal(report.size)}"
    downloaded = f" ({decimal(report.received)} downloaded)" if report.received else ""
    if report.outcome == "complete":
        return f"{name} is complete in {root}: {what}. Nothing to do; --repair compares every file with its checksum"
    if report.outcome == "fetched":
        return (
            f"{name} is in {root}: {what}, from {report.sources[0]}{downloaded}. "
            f"Checksums: {root / 'SHA256SUMS'}\nNext: {_verification(name, root, reader)}"
        )
    lines = [f"{name} in {root}: {what}. Nothing was missing or damaged"]
    if report.repaired:
        lines = [
            f"{name} in {root} is repaired: {len(report.repaired):,} of {what}, from {', '.join(report.sources)}"
            f"{downloaded}"
        ]
    if report.unchanged:
        some = ", ".join(report.unchanged[:3]) + (", ..." if len(report.unchanged) > 3 else "")
        lines.append(
            f"{len(report.unchanged):,} look damaged and are the same at the source, so they stay ({some})"
        )
    return "\n".join(lines)


def _verification(name: str, root: Path, reader: str) -> str:
    """The command that verifies the data set: by itself it expects RRSIS-D."""
    from harness.data.verify import manifest_names

    command = f"harness data verify {shlex.quote(str(root))}"
    if reader != "rrsis-d":
        return f"{command} --reader {reader}"
    return command if name in manifest_names() else f"{command} --expect none"
