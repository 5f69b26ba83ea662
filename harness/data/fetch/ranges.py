"""A file on a server, read in parts: to take single members out of a large archive."""

import io
import time
from collections.abc import Mapping
from typing import Any

import requests

from harness.data.fetch.disk import SourceFailed
from harness.data.fetch.download import (
    ATTEMPTS,
    LOST,
    TIMEOUT,
    TryAgain,
    content_range,
    lost,
    require_file,
    validator,
)


class NoRanges(Exception):
    """The server gives files only as a whole."""


class RangeFile(io.RawIOBase):
    """A file on a server, read in parts: what is asked for, and no less than `least` bytes at once.

    The end comes with the first request, as zipfile begins there. `fetched` counts the bytes that came.

    Raises:
        NoRanges: the server does not give parts, on opening.
        SourceFailed: it cannot be reached, or the file changes while it is read.
    """

    def __init__(
        self,
        session: requests.Session,
        url: str,
        name: str,
        headers: Mapping[str, str],
        *,
        least: int = 64 << 10,
    ) -> None:
        super().__init__()
        self.session, self.url, self.file_name, self.least = session, url, name, least
        self.headers = dict(headers)
        self.position = self.fetched = self.size = 0
        self.start, self.block = 0, b""
        self._request(f"bytes=-{least}")
        self.size = self.start + len(self.block)

    def preload(self, start: int, length: int) -> None:
        """Fetch this part in one request; reads within it ask no more."""
        end = min(start + length, self.size)
        self._request(f"bytes={start}-{end - 1}")

    def _request(self, part: str) -> None:
        for attempt in range(ATTEMPTS):
            try:
                with self.session.get(
                    self.url, headers={**self.headers, "Range": part}, stream=True, timeout=TIMEOUT
                ) as response:
                    require_file(response, self.file_name)
                    where = content_range(response)
                    if response.status_code != 206 or where is None:
                        if self.size:
                            raise SourceFailed(
                                f"{self.file_name} has changed on the server; run the command again"
                            )
                        raise NoRanges
                    if self.size and where[1] != self.size:
                        raise SourceFailed(
                            f"{self.file_name} has changed on the server; run the command again"
                        )
                    self.block, self.start = response.content, where[0]
                    if not self.block:
                        raise SourceFailed(f"{self.file_name}: the server sent an empty part")
                    self.fetched += len(self.block)
                    if unchanged := validator(response):
                        self.headers["If-Range"] = unchanged
                    return
            except LOST as error:
                problem: Exception = lost(self.file_name, self.url, error)
                if isinstance(problem, SourceFailed):
                    raise problem from error
            except TryAgain as error:
                problem = error
            if attempt + 1 < ATTEMPTS:
                time.sleep(0.5 * 2**attempt)
        raise SourceFailed(f"{problem}, {ATTEMPTS} times in a row")

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position that is read next."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; fetches nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the start")
        self.position = base + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from what was fetched, fetching what is not."""
        filled, wanted = 0, min(len(buffer), max(self.size - self.position, 0))
        while filled < wanted:
            if not self.start <= self.position < self.start + len(self.block):
                self.preload(self.position, max(wanted - filled, self.least))
                if not self.start <= self.position < self.start + len(self.block):
                    raise SourceFailed(
                        f"{self.file_name}: the server sent another part of the file than asked for"
                    )
            offset = self.position - self.start
            part = self.block[offset : offset + wanted - filled]
            buffer[filled : filled + len(part)] = part
            filled += len(part)
            self.position += len(part)
        return filled
