"""What a sweep shows: live status on a terminal, plain lines in a log, and the summary."""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.progress import clock
from harness.sweep.run import Run
from harness.sweep.slots import Slot

WIDTH = 80  # columns of the summary
SECONDS_A_LINE = 60.0  # between two plain lines about a run
STYLES = {"trained": "green", "failed": "bold red", "stopped": "yellow", "not started": "yellow"}


class View:
    """Tells on standard error what becomes of the runs. Use as a context manager."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._said_stopping = False
        self._notes: dict[str, str] = {}
        self._last_line = dict.fromkeys((run.name for run in runs), time.monotonic())
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def began(self, run: Run, slot: Slot) -> None:
        """An attempt began."""
        self._last_line[run.name] = time.monotonic()
        if self._live is None and not run.is_trained:
            self._say(run, f"training on {slot.name}")

    def ended(self, run: Run) -> None:
        """A run has its outcome."""
        done = sum(other.outcome not in (None, "not started") for other in self.runs)
        self._say(run, f"{run.outcome} in {clock(run.seconds)}  ({done} of {len(self.runs)})")
        if run.why:
            self._say(run, run.why)

    def stopping(self) -> None:
        """A stop was asked for."""
        if not self._said_stopping:
            self._said_stopping = True
            self._print("stopping: trainings save and end; a second Ctrl-C or SIGTERM stops at once")

    def show(self, running: Sequence[tuple[Slot, Run]], waiting: Sequence[Run]) -> None:
        """Show what is under way."""
        for run in (*(run for _, run in running), *waiting):
            if run.note != self._notes.get(run.name, ""):
                self._notes[run.name] = run.note
                if run.note and self._live is None:
                    self._say(run, run.note)
        if self._live is not None:
            self._live.update(self._status(running, waiting), refresh=True)
            return
        for _, run in running:
            if time.monotonic() - self._last_line[run.name] >= SECONDS_A_LINE:
                self._say(run, f"{clock(run.elapsed)}  {run.note or _latest(run)}")

    def _status(self, running: Sequence[tuple[Slot, Run]], waiting: Sequence[Run]) -> Group:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        names, places = (
            max(len(run.name) for run in self.runs),
            max((len(slot.name) for slot, _ in running), default=0),
        )
        table.add_column(no_wrap=True, min_width=names)
        table.add_column(no_wrap=True, min_width=places)
        table.add_column(no_wrap=True, justify="right", min_width=4)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        for slot, run in running:
            table.add_row(run.name, slot.name, clock(run.elapsed), Text(run.note or _latest(run)))
        for run in (run for run in waiting if run.note):
            table.add_row(run.name, "", clock(run.elapsed), Text(run.note))
        counts = [f"{len(running)} in training", f"{len(waiting)} waiting"]
        for outcome in ("trained", "from cache", "unchanged", "failed", "stopped"):
            if number := sum(run.outcome == outcome for run in self.runs):
                counts.append(f"{number} {outcome}")
        return Group(table, Text(", ".join(counts), style="bold"))

    def _say(self, run: Run, text: str) -> None:
        self._last_line[run.name] = time.monotonic()
        self._print(f"{run.name}  {text}")

    def _print(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, soft_wrap=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _latest(run: Run) -> str:
    """What the training said last, without its name, which stands beside it."""
    return run.last_line().removeprefix(run.name).lstrip(": ")


def print_summary(runs: Sequence[Run], folder: Path) -> None:
    """A table of what became of each run, and why the failed ones failed."""
    console = summary_console()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("run")
    table.add_column("outcome", no_wrap=True)
    table.add_column("duration", justify="right", no_wrap=True)
    table.add_column(f"log in {folder}")
    for run in runs:
        began = run.outcome != "not started"
        duration, log = (clock(run.seconds), run.log.name) if began else ("", "")
        table.add_row(
            run.name, Text(run.outcome or "", style=STYLES.get(run.outcome or "", "")), duration, log
        )
    console.print(table)
    for run in runs:
        if run.why:
            console.print(f"{run.name}: {run.why}", markup=False)


def print_jobs(jobs: Sequence[tuple[Run, str, str]], folder: Path) -> None:
    """A table of runs with the ids and states of their jobs."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("run")
    table.add_column("job", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(f"log in {folder}")
    for run, number, state in jobs:
        table.add_row(run.name, number, state, run.log.name)
    summary_console().print(table)


def summary_console() -> Console:
    """For what a sweep ends with, on standard output."""
    return Console(width=min(WIDTH, shutil.get_terminal_size().columns), highlight=False)
