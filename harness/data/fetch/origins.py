"""Places that data sets come from: a folder or an archive here, an address, the Hugging Face hub, Google Drive.

Each lists the files that it offers and brings one of them; local ones stay where they are.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from harness.config import Source
from harness.data.fetch.archives import UNPACK, Place, is_archive_name, is_unread_archive_name
from harness.data.fetch.disk import SourceFailed, readable, unsafe, walk
from harness.data.fetch.download import ResumableDownload, new_session
from harness.data.fetch.drive import DriveDownload, drive_file, is_drive_address, list_drive_folder
from harness.data.fetch.ranges import NoRanges, RangeFile


@dataclass(frozen=True)
class Offer:
    """A file that an origin has: a file of the data set, or an archive."""

    name: str  # its path there
    address: str  # URL or path, for the record
    size: int | None = None  # bytes, where the origin tells
    sha256: str | None = None  # where the origin tells


class Origin(Protocol):
    """Where a data set comes from."""

    label: str  # for messages
    local: bool  # its files are here, at their addresses; none is downloaded

    def offers(self, place: Place) -> list[Offer]:
        """The files that are of use. Raises SourceFailed when the place cannot be reached or has none."""

    def address(self, offer: Offer) -> str:
        """What is asked for: the address in the record has no password."""

    def download(self, offer: Offer, **rest: Any) -> "Download | None":
        """What downloads the file, None where it is here; `rest` are the arguments of `ResumableDownload`."""

    def in_parts(self, offer: Offer) -> RangeFile | None:
        """The file for reading in parts; None where that is not possible."""


class Download(Protocol):
    """A downloader as `pooch.retrieve` takes them."""

    received: int

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Bring `url` to `output_file`."""


def open_origin(source: Source, avoid: tuple[Path, ...]) -> Origin:
    """The origin that a source of params.yaml means; folders in `avoid`, the target's own, are not looked into."""
    if source.path is not None:
        return Local(source.path, avoid)
    if source.huggingface is not None:
        return Hub(source.huggingface)
    if source.google_drive is not None:
        return Drive(source.google_drive)
    if source.url is None:
        raise SourceFailed("names no place")
    return Drive(source.url) if is_drive_address(source.url) else Web(source.url)


def useful(name: str, place: Place) -> bool:
    """Whether a file of this name is an archive or belongs to the data set."""
    return is_archive_name(name) or place(name) is not None


def nothing_in(names: Iterable[str]) -> SourceFailed:
    """Why there is nothing of use among files of these names."""
    unread = next(filter(is_unread_archive_name, names), None)
    if unread is None:
        return SourceFailed("has no file of this data set and no archive")
    return SourceFailed(
        f"{unread} is an archive of a kind that is not read (zip, tar and tar.gz are); {UNPACK}"
    )


class Local:
    """A folder or a file on this machine."""

    local = True

    def __init__(self, path: Path, avoid: tuple[Path, ...]) -> None:
        self.path, self.avoid = path, avoid
        self.label = str(path)

    def offers(self, place: Place) -> list[Offer]:
        """See `Origin`. A folder in it that may not be read is an error: files would seem to be missing."""
        with readable(self.path):
            if self.path.is_file():
                return [Offer(self.path.name, str(self.path), self.path.stat().st_size)]
            if not self.path.is_dir():
                raise SourceFailed(
                    "does not exist" if not self.path.exists() else "is neither a folder nor a file"
                )
            names = {path.relative_to(self.path).as_posix(): path for path in sorted(self._walk())}
            found = [
                Offer(name, str(path), path.stat().st_size)
                for name, path in names.items()
                if useful(name, place)
            ]
        if not found:
            raise nothing_in(names)
        return found

    def _walk(self) -> Iterator[Path]:
        seen: set[str] = set()  # linked folders are followed, circles are not
        for folder, folders, files in walk(self.path, follow=True):
            real = os.path.realpath(folder)
            if real in seen or Path(real) in self.avoid:
                folders.clear()
                continue
            seen.add(real)
            yield from (path for name in files if (path := Path(folder, name)).is_file())

    def address(self, offer: Offer) -> str:
        """See `Origin`."""
        return offer.address

    def download(self, offer: Offer, **rest: Any) -> Download | None:
        """None: it is here."""
        return None

    def in_parts(self, offer: Offer) -> RangeFile | None:
        """None: it is here."""
        return None


class Web:
    """One archive or file at an address."""

    local = False

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.label = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))  # without a password

    @cached_property
    def session(self) -> Any:
        """One for all requests, so that connections are used again."""
        return new_session()

    def headers(self) -> Mapping[str, str]:
        """Sent with every request."""
        return {}

    def offers(self, place: Place) -> list[Offer]:
        """See `Origin`."""
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise SourceFailed("is no http or https address")
        name = PurePosixPath(unquote(urlsplit(self.url).path)).name
        if is_unread_archive_name(name):
            raise nothing_in([name])
        return [Offer("download" if unsafe(name) else name, self.label)]

    def address(self, offer: Offer) -> str:
        """See `Origin`."""
        return self.url

    def download(self, offer: Offer, **rest: Any) -> Download:
        """See `Origin`."""
        return ResumableDownload(self.session, offer.name, headers=self.headers(), **rest)

    def in_parts(self, offer: Offer) -> RangeFile | None:
        """See `Origin`."""
        try:
            return RangeFile(self.session, self.address(offer), offer.name, self.headers())
        except NoRanges:
            return None


class Hub(Web):
    """A data set repository of the Hugging Face hub, at the commit that is the newest now."""

    def __init__(self, repository: str) -> None:
        super().__init__("")
        self.repository = repository
        self.label = f"Hugging Face {repository}"
        self.endpoint = os.environ.get("HF_ENDPOINT") or None

    def headers(self) -> Mapping[str, str]:
        """The user's token, where there is one."""
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        return {key: value for key, value in build_hf_headers().items() if key.lower() == "authorization"}

    def offers(self, place: Place) -> list[Offer]:
        """See `Origin`. Sizes, and the SHA-256 of large files, come with the list."""
        from huggingface_hub import HfApi, hf_hub_url

        try:
            info = HfApi(endpoint=self.endpoint).dataset_info(
                self.repository, files_metadata=True, timeout=30
            )
        except (
            Exception
        ) as error:  # beside its own errors, those of the HTTP library that its version is built on
            raise SourceFailed(_hub_reason(error)) from error
        found = []
        for file in info.siblings or []:
            if not useful(file.rfilename, place):
                continue
            if problem := unsafe(file.rfilename):
                raise SourceFailed(f"its file {file.rfilename!r} {problem}")
            url = hf_hub_url(
                self.repository,
                file.rfilename,
                repo_type="dataset",
                revision=info.sha,
                endpoint=self.endpoint,
            )
            found.append(Offer(file.rfilename, url, file.size, file.lfs.sha256 if file.lfs else None))
        if not found:
            raise nothing_in(file.rfilename for file in info.siblings or [])
        return found

    def address(self, offer: Offer) -> str:
        """See `Web`."""
        return offer.address


def _hub_reason(error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return (
            "asks for its conditions to be accepted: do so on its page, then `hf auth login` or set HF_TOKEN"
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return "is not there, or is private: then `hf auth login` or set HF_TOKEN"
    if isinstance(error, OfflineModeIsEnabled):
        return "is not asked, as HF_HUB_OFFLINE is set"
    first = re.split(r"\n|\(Request ID", str(error).strip())[0].strip()
    if status is not None:
        return f"does not answer as it should ({status}): {first}"
    return f"cannot be reached ({first or type(error).__name__})"


class Drive:
    """A folder of Google Drive, by its id, or one file of it, by its address. Read in parts it cannot be."""

    local = False

    def __init__(self, what: str) -> None:
        self.what = what
        self.label = what if "://" in what else f"Google Drive folder {what}"

    def offers(self, place: Place) -> list[Offer]:
        """See `Origin`. Drive's list has no sizes."""
        if "://" in self.what:
            identity, name = drive_file(self.what)
            return [Offer(name, f"https://drive.google.com/uc?id={identity}")]
        files = list_drive_folder(self.what)
        found = [
            Offer(name, f"https://drive.google.com/uc?id={identity}")
            for identity, name in files
            if useful(name, place) and not unsafe(name)
        ]
        if not found:
            raise nothing_in(name for _, name in files)
        return found

    def address(self, offer: Offer) -> str:
        """See `Origin`."""
        return offer.address

    def download(self, offer: Offer, **rest: Any) -> Download:
        """See `Origin`."""
        return DriveDownload(offer.name, **rest)

    def in_parts(self, offer: Offer) -> RangeFile | None:
        """None."""
        return None
