"""Progress with rate and time left: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as LiveProgress

T = TypeVar("T")
SECONDS_A_LINE = 15.0  # between two lines of a log


class Progress:
    """Counts `total` units of work on standard error.

    Use as a context manager with `advance`, or wrap an iterable in `track`. The unit "bytes" is shown as kB, MB or GB,
    with its rate; its total may be None, and known later (`expect`).
    """

    def __init__(self, label: str, total: int | None, unit: str = "steps") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self.skipped = 0
        self.started = self.last_line = time.monotonic()
        self.live: LiveProgress | None = None
        if sys.stderr.isatty():
            counted: list[ProgressColumn] = [MofNCompleteColumn(), TextColumn("{task.fields[note]}")]
            if unit == "bytes":
                counted = [DownloadColumn(), TransferSpeedColumn()]
            self.live = LiveProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                *counted,
                TimeRemainingColumn(),
                TextColumn("left"),
                console=Console(stderr=True),
            )

    def __enter__(self) -> "Progress":
        if self.live is not None:
            self.live.start()
            self.task = self.live.add_task(self.label, total=self.total, note=self.unit)
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.live.transient = not self._began
            self.live.stop()
        elif error[0] is None and self._began:
            self._line(self.unit)

    def advance(self, note: str = "", units: int = 1) -> None:
        """Count `units` as done; `note` stands beside the count (a loss, a rate)."""
        self.done += units
        if self.live is not None:
            self.live.update(self.task, advance=units, note=note or self.unit)
        elif time.monotonic() - self.last_line >= SECONDS_A_LINE and self.done != self.total:
            self._line(note or self.unit)

    def skip(self, units: int) -> None:
        """Count `units` that took no work, the part of a file that was there; negative: they are to be done again."""
        self.done += units
        self.skipped += units
        if units:
            self._restate()

    def expect(self, total: int | None) -> None:
        """Set the total, where it is not known from the start."""
        if total != self.total:
            self.total = total
            self._restate()

    def track(self, items: Iterable[T]) -> Iterator[T]:
        """Yield from `items`, counting each."""
        with self:
            for item in items:
                yield item
                self.advance()

    @property
    def _began(self) -> bool:
        """Whether there was any work: a bar or line about none says nothing."""
        return self.done > self.skipped

    def _restate(self) -> None:
        if self.live is not None:
            self.live.reset(self.task, total=self.total, completed=self.done)

    def _line(self, note: str) -> None:
        now = time.monotonic()
        elapsed = now - self.started
        worked = max(self.done - self.skipped, 1)
        if self.total is None:
            ending = f"in {clock(elapsed)}"
        elif self.done < self.total:
            ending = f"{clock(elapsed / worked * (self.total - self.done))} left"
        else:
            ending = f"took {clock(elapsed)}"
        if self.unit == "bytes":
            of_total = "" if self.total in (None, self.done) else f" of {decimal(self.total or 0)}"
            rate = decimal(round((self.done - self.skipped) / max(elapsed, 1e-3)))
            counted = f"{decimal(self.done)}{of_total}  {rate}/s"
        else:
            counted = f"{self.done}/{self.total}  {note}"
        print(f"{self.label}  {counted}  {ending}", file=sys.stderr, flush=True)
        self.last_line = now


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
