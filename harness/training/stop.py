"""Requests to stop: SIGTERM and SIGINT, as Slurm, spot machines and Ctrl-C send them, and the death of the parent.

The first request lets the step end, the state be saved and the process leave with `EXIT_STOPPED`; the same command
then goes on. A second signal stops at once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import psutil

EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h: not done, try again
PARENT_CHECK = 1.0  # seconds between two looks at the parent
FORWARDED = 2.0  # seconds in which torchrun's copy of a signal counts as the same request
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")


class Stopped(SystemExit):
    """A training was asked to stop and has saved its state; ends the process with `EXIT_STOPPED`."""

    def __init__(self) -> None:
        super().__init__(EXIT_STOPPED)


class StopRequests:
    """Listens for requests to stop while it is entered; `reason` is what asked first, or None."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._since = 0.0
        self._left = threading.Event()
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.reason is not None

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._take) for number in (signal.SIGTERM, signal.SIGINT)
            }
        watch_parent(lambda: self.request("the end of its parent process"), self._left)
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def request(self, reason: str) -> None:
        """Ask for a stop at the end of the step."""
        if self.reason is None:
            self.reason, self._since = reason, time.monotonic()

    def _take(self, number: int, frame: FrameType | None) -> None:
        # Under torchrun a signal to the whole group comes twice: by itself, and passed on.
        copy = "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - self._since < FORWARDED
        if self.reason is not None and not copy:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self.reason is None:
            self.request(signal.Signals(number).name)
            if (
                os.environ.get("RANK", "0") == "0" and not sys.stderr.isatty()
            ):  # there the live display says it
                text = f"\n{self.reason}: the step ends and is saved; a second signal stops at once\n"
                os.write(sys.stderr.fileno(), text.encode())  # print is not safe within a handler


def watch_parent(act: Callable[[], None], left: threading.Event) -> None:
    """Call `act` when the parent process is gone, until `left` is set: DVC was killed and would start another trainer.

    The parent's own parent is watched, too, where the parent is but a shell that ran this one command. Nobody is where
    SIGHUP is ignored: whoever uses nohup wants the process to outlive its parent.
    """

    def watch(ancestors: list[psutil.Process]) -> None:
        while ancestors and not left.wait(PARENT_CHECK):
            if not all(_is_alive(process) for process in ancestors):
                act()
                return

    threading.Thread(target=watch, args=(_ancestors(),), daemon=True).start()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _ancestors() -> list[psutil.Process]:
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return []
    found: list[psutil.Process] = []
    try:
        for process in psutil.Process().parents():
            found.append(process)
            if not (process.name() in SHELLS and "-c" in process.cmdline()[1:4]):
                break
    except psutil.Error:  # gone in the meantime, or not ours to look at
        pass
    return [process for process in found if process.pid > 1]
