"""Google Drive, through gdown: its list of a folder, its confirmation page, its refusals."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.filesize import decimal

from harness.data.fetch.disk import Say, SourceFailed, writing
from harness.data.fetch.download import KEPT, TIMEOUT, innermost, publish
from harness.errors import HarnessError
from harness.files import read_json, write_json
from harness.progress import Progress

RETRIES = 4  # of gdown, for dropped connections
_QUOTA = re.compile(r"too many users have viewed or downloaded|quota exceeded|download quota", re.IGNORECASE)
_QUOTA_REASON = (
    "Google Drive's download quota of {name} is used up for now ({words!r}). Drive lifts it within a day; until then "
    "open {page} in a browser where you are signed in, copy the file to your own Drive, download the copy, and name "
    "its folder as a source"
)


def is_drive_address(url: str) -> bool:
    """Whether this is the address of one file on Google Drive."""
    from gdown.parse_url import is_google_drive_url

    return bool(is_google_drive_url(url=url))


def drive_file(url: str) -> tuple[str, str]:
    """Id and name of the file at an address of Google Drive."""
    import gdown
    from gdown.parse_url import parse_url

    identity, _ = parse_url(url)
    if identity is None:
        raise SourceFailed("names no file of Google Drive; a folder's address is .../drive/folders/ID")
    try:
        found: Any = gdown.download(
            id=identity, skip_download=True, quiet=True, use_cookies=False, timeout=TIMEOUT
        )
    except (gdown.exceptions.DownloadError, requests.RequestException) as error:
        raise _failure(identity, "the file", error) from error
    return identity, found.path


def list_drive_folder(identity: str) -> list[tuple[str, str]]:
    """Id and path of every file in a shared folder and the folders in it."""
    import gdown

    try:
        found: Any = gdown.download_folder(
            id=identity, skip_download=True, quiet=True, output="folder", use_cookies=False, timeout=TIMEOUT
        )
    except (gdown.exceptions.DownloadError, requests.RequestException) as error:
        if "status code" in str(error):
            status = re.findall(r"status code (\d+)", str(error))[0]
            raise SourceFailed(f"is not there or not shared with everybody (status {status})") from error
        raise SourceFailed(f"cannot be listed: {_first_line(error)}") from error
    return [(file.id, file.path) for file in found]


@dataclass
class DriveDownload:
    """Downloads a file of Google Drive; a downloader as `pooch.retrieve` takes them.

    The arguments are those of `ResumableDownload`. gdown keeps its own partial file, beginning with the name of
    `partial`, and would go on with it although the file has changed meanwhile: the size is remembered and compared.
    """

    name: str
    partial: Path
    progress: Progress
    on_size: Callable[[int | None, int], None]
    say: Say
    pause: float = 1.0
    received: int = 0  # bytes that came over the network
    counted: int = 0  # bytes of this file among those of `progress`

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url`, or the rest of it, to the file `output_file`.

        Raises:
            SourceFailed: Drive does not give the file; says why, and what a quota page means.
        """
        import gdown

        identity = url.rpartition("id=")[2]
        for again in (False, True):
            here = sum(part.stat().st_size for part in self._parts())
            try:
                with writing(self.partial, KEPT):
                    self.partial.parent.mkdir(parents=True, exist_ok=True)
                    gdown.download(
                        id=identity, output=str(self.partial), quiet=True, resume=True, retries=RETRIES,
                        use_cookies=False, timeout=TIMEOUT, progress=self._counter(here),
                    )  # fmt: skip
                break
            except (gdown.exceptions.DownloadError, requests.RequestException) as error:
                unusable = "byte range" in str(error) or isinstance(error, _Changed)
                if not unusable or again:
                    raise _failure(identity, self.name, error, kept=self._kept()) from error
                self.say(f"{self.name} cannot be resumed ({_first_line(error)}); it is downloaded anew")
                for part in self._parts():
                    part.unlink()
                self._size_file.unlink(missing_ok=True)
        publish(self.partial, output_file)

    @property
    def _size_file(self) -> Path:
        return self.partial.with_name(f"{self.partial.name}.json")

    def _parts(self) -> list[Path]:
        """gdown's partial file: eight letters of its choice between the name and .part."""
        known = re.compile(re.escape(self.partial.name) + r".{8}\.part")
        folder = self.partial.parent
        return [path for path in folder.iterdir() if known.fullmatch(path.name)] if folder.is_dir() else []

    def _kept(self) -> str:
        here = sum(part.stat().st_size for part in self._parts())
        return f"; {decimal(here)} are kept for the next call" if here else ""

    def _counter(self, here: int) -> Callable[[int, int | None], None]:
        """What gdown calls after every chunk, with the bytes on disk and the size of the file."""
        started = False

        def count(done: int, size: int | None) -> None:
            nonlocal started, here
            if not started:
                started = True
                self._require_same(size)
                self.on_size(size, here)
                self.progress.skip(here - self.counted)
                self.counted = here
            self.progress.advance(units=done - self.counted)
            self.received += done - self.counted
            self.counted = done

        return count

    def _require_same(self, size: int | None) -> None:
        try:
            known = read_json(self._size_file, "harness data fetch")
        except HarnessError:
            write_json(self._size_file, {"size": size})
            return
        if known != {"size": size}:
            raise _Changed("it has another size now")


class _Changed(requests.RequestException):
    """The file is another one than that of the partial download."""


def _failure(identity: str, name: str, error: Exception, kept: str = "") -> SourceFailed:
    page = f"https://drive.google.com/file/d/{identity}/view"
    text = " ".join(str(error).split())
    words = _QUOTA.search(text) or (_QUOTA.search(_page_text(identity)) if "public link" in text else None)
    if words:
        return SourceFailed(_QUOTA_REASON.format(name=name, words=words[0], page=page))
    if "public link" in text:
        return SourceFailed(f"{name} is not shared with everybody, or not there any more ({page})")
    return SourceFailed(f"{name}: {_first_line(error)}{kept}")


def _page_text(identity: str) -> str:
    """What Drive shows in place of the file: gdown tells only of the pages that it knows."""
    try:
        response = requests.get(f"https://drive.google.com/uc?id={identity}", timeout=TIMEOUT, stream=True)
        with response:
            return next(response.iter_content(64 << 10), b"").decode("utf-8", "replace")
    except requests.RequestException:
        return ""


def _first_line(error: Exception) -> str:
    if isinstance(error, requests.RequestException) and error.args:
        return innermost(error)
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
