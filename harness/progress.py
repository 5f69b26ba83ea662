"""Progress with rate and time left: a live bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as LiveProgress

T = TypeVar("T")
SECONDS_A_LINE = 15.0  # between two lines of a log


class Progress:
    """Counts `total` units of work on standard error.

    Use as a context manager with `advance`, or wrap an iterable in `track`.
    """

    def __init__(self, label: str, total: int, unit: str = "steps") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.started = self.last_line = time.monotonic()
        self.live: LiveProgress | None = None
        if sys.stderr.isatty():
            self.live = LiveProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
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
            self.live.stop()
        elif error[0] is None:
            self._line(self.unit)

    def advance(self, note: str = "", units: int = 1) -> None:
        """Count `units` as done; `note` stands beside the count (a loss, a rate)."""
        self.done += units
        if self.live is not None:
            self.live.update(self.task, advance=units, note=note or self.unit)
        elif time.monotonic() - self.last_line >= SECONDS_A_LINE and self.done < self.total:
            self._line(note or self.unit)

    def track(self, items: Iterable[T]) -> Iterator[T]:
        """Yield from `items`, counting each."""
        with self:
            for item in items:
                yield item
                self.advance()

    def _line(self, note: str) -> None:
        now = time.monotonic()
        elapsed = now - self.started
        if self.done < self.total:
            left = clock(elapsed / max(self.done, 1) * (self.total - self.done))
            ending = f"{left} left"
        else:
            ending = f"took {clock(elapsed)}"
        print(f"{self.label}  {self.done}/{self.total}  {note}  {ending}", file=sys.stderr, flush=True)
        self.last_line = now


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
