"""One file over HTTP, resumable.

A download grows in NAME.part. What the server said about the file (ETag or Last-Modified, length) is kept beside it, so
that a later call asks for the rest of this very file with Range and If-Range, and starts anew when it has changed.
"""

import html
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from rich.filesize import decimal
from urllib3.exceptions import IncompleteRead, NameResolutionError

from harness import __version__
from harness.data.fetch.disk import Say, SourceFailed, writing
from harness.errors import HarnessError
from harness.files import read_json, write_json
from harness.progress import Progress

CHUNK = 128 << 10  # bytes; at most this much is lost when a connection drops
TIMEOUT = (10, 60)  # seconds to connect, and between two bytes
ATTEMPTS = 5  # in a row without one more byte
KEPT = "the target folder is untouched, what was downloaded is kept"
_STATUS = {
    401: "asks for a login",
    403: "is not given to everybody",
    404: "is not there",
    410: "is not there any more",
    429: "is asked for too often from here; try again later",
}
LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class TryAgain(Exception):
    """The attempt failed in a way that the next one may not."""


def new_session() -> requests.Session:
    """A session that asks for the bytes as they are: offsets and lengths must refer to the file."""
    session = requests.Session()
    session.headers.update({"User-Agent": f"rrsis-harness/{__version__}", "Accept-Encoding": "identity"})
    return session


def publish(whole: Path, wanted: str) -> None:
    """Give the file `whole` the name `wanted` too; `whole` stays until the caller has checked the other."""
    with writing(Path(wanted), KEPT):
        Path(wanted).unlink(missing_ok=True)
        try:
            os.link(whole, wanted)
        except OSError:  # a file system without hard links
            whole.replace(wanted)


@dataclass
class ResumableDownload:
    """Downloads a file into `partial`; a downloader as `pooch.retrieve` takes them.

    Args:
        session: with the headers that the server wants.
        name: of the file, for messages.
        partial: where it grows, and from where it is resumed.
        progress: counts the bytes.
        on_size: called before anything is written with the size of the file (None: the server does not tell) and the
            bytes of it that are here; raises where the rest does not fit.
        say: prints one line for the user.
        pause: seconds before the second attempt; doubled for each further one.
    """

    session: requests.Session
    name: str
    partial: Path
    progress: Progress
    on_size: Callable[[int | None, int], None]
    say: Say
    pause: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict)
    received: int = 0  # bytes that came over the network
    counted: int = 0  # bytes of this file among those of `progress`
    told: bool = False  # that it is tried again: once is enough

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url`, or the rest of it, to the file `output_file`.

        Raises:
            SourceFailed: the server does not give the file, or not whole; says why.
        """
        furthest, attempt = self._here(), 0
        while True:
            try:
                self._attempt(url)
                break
            except TryAgain as error:
                attempt = 1 if self._here() > furthest else attempt + 1
                furthest = max(furthest, self._here())
                if attempt == ATTEMPTS:
                    kept = f"; {decimal(self._here())} are kept for the next call" if self._here() else ""
                    raise SourceFailed(f"{error}, {ATTEMPTS} times in a row{kept}") from error
                if not self.told:
                    self.say(f"{error}; trying again, up to {ATTEMPTS} times in a row")
                    self.told = True
                time.sleep(self.pause * 2 ** (attempt - 1))
        publish(self.partial, output_file)

    def _here(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    @property
    def _state_file(self) -> Path:
        return self.partial.with_name(f"{self.partial.name}.json")

    def _state(self) -> dict[str, Any]:
        """What the server said about the file that `partial` is the beginning of."""
        try:
            state = read_json(self._state_file, "harness data fetch")
        except HarnessError:
            return {}
        known = isinstance(state, dict) and all(state.get(key) for key in ("url", "validator", "size"))
        return state if known else {}

    def _attempt(self, url: str) -> None:
        state = self._state()
        here = self._here() if state.get("url") == url else 0
        if here and here == state["size"]:  # only the check of the whole file was cut off
            self._count(here)
            return
        ranged = {"Range": f"bytes={here}-", "If-Range": state["validator"]} if here else {}
        try:
            with self.session.get(
                url, stream=True, timeout=TIMEOUT, headers={**self.headers, **ranged}
            ) as response:
                self._receive(url, response, here, state)
        except LOST as error:
            raise lost(self.name, url, error) from error
        except requests.RequestException as error:
            raise SourceFailed(f"{self.name}: {innermost(error)}") from error

    def _receive(self, url: str, response: requests.Response, here: int, state: dict[str, Any]) -> None:
        if response.status_code == 416 and here:  # the file is shorter now than what we have of it
            self.partial.unlink()
            raise TryAgain(f"{self.name} has changed on the server")
        require_file(response, self.name)
        if response.status_code == 206:
            if content_range(response) != (here, state["size"]):
                self.partial.unlink()
                raise TryAgain(f"{self.name}: the server sent another part of the file than asked for")
            size = state["size"]
        else:
            here, size = 0, _length(response)
        self.on_size(size, here)
        self._count(here)
        blocks = response.iter_content(CHUNK)
        first = next(blocks, b"")
        if here == 0:
            require_no_page(first, self.name)
            with writing(self.partial, KEPT):
                self.partial.parent.mkdir(parents=True, exist_ok=True)
                self.partial.unlink(missing_ok=True)
                write_json(self._state_file, {"url": url, "validator": validator(response), "size": size})
        with writing(self.partial, KEPT), self.partial.open("ab") as file:
            while first:
                file.write(first)
                file.flush()
                self.received += len(first)
                self.counted += len(first)
                self.progress.advance(units=len(first))
                first = next(blocks, b"")
        if size is not None and self._here() != size:
            if self._here() > size:
                self.partial.unlink()
            raise TryAgain(f"{self.name}: {self.counted:,} of {size:,} bytes came")

    def _count(self, here: int) -> None:
        self.progress.skip(here - self.counted)
        self.counted = here


def require_file(response: requests.Response, name: str) -> None:
    """Raise unless the response is (a part of) a file: an error status, or a web page in its place."""
    status = response.status_code
    if status >= 500:
        raise TryAgain(f"{name}: the server has trouble ({status} {response.reason})")
    if status not in (200, 206):
        why = _STATUS.get(status, "is not given")
        raise SourceFailed(f"{name} {why} ({status} {response.reason} from {urlsplit(response.url).netloc})")
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        require_no_page(next(response.iter_content(CHUNK), b""), name, kind)


def require_no_page(start: bytes, name: str, kind: str = "") -> None:
    """Raise if the first bytes of a file are those of a web page; a login or an error page comes with status 200."""
    if kind or re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", start[:512], re.IGNORECASE):
        found = re.search(rb"<title[^>]*>(.*?)</title>", start, re.IGNORECASE | re.DOTALL)
        title = " ".join(html.unescape(found[1].decode("utf-8", "replace")).split())[:80] if found else ""
        raise SourceFailed(
            f"{name}: the server sent a web page{f' ({title!r})' if title else ''} in place of the file; "
            "open the address in a browser to see what it wants"
        )


def content_range(response: requests.Response) -> tuple[int, int] | None:
    """Start of the part and size of the whole, from a 206 response."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
    return (int(match[1]), int(match[3])) if match else None


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    # A server that packs although asked not to gives the packed length
    return int(length) if length.isdigit() and not response.headers.get("Content-Encoding") else None


def validator(response: requests.Response) -> str | None:
    """A strong ETag or the date: what If-Range takes. Without one a download cannot be resumed safely."""
    etag = response.headers.get("ETag", "")
    if not etag or etag.startswith("W/"):
        return response.headers.get("Last-Modified")
    return etag


def lost(name: str, url: str, error: requests.RequestException) -> Exception:
    """What to raise for a request without an answer: `TryAgain`, or `SourceFailed` where that would not help."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    host = urlsplit(url).netloc
    if isinstance(reason, NameResolutionError):
        return SourceFailed(f"{name}: the name {host} cannot be resolved; is there a network?")
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.ProxyError)):
        return SourceFailed(f"{name}: {innermost(error)}")
    if isinstance(error, requests.Timeout):
        return TryAgain(f"{name}: {host} did not answer in time")
    return TryAgain(f"{name}: the connection to {host} was lost ({innermost(error)})")


def innermost(error: BaseException) -> str:
    """The message of the system, without the libraries' wrapping."""
    if isinstance(error, IncompleteRead):
        return "it ended early"
    inner = [one for one in (getattr(error, "reason", None), *error.args) if isinstance(one, BaseException)]
    if inner:
        return innermost(inner[0])
    text = re.sub(r"^\w*Connection\w*\(.*?\): ", "", " ".join(str(error).split()))
    return text or type(error).__name__
