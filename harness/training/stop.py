"""Requests to stop: SIGTERM and SIGINT, as Slurm, spot machines and Ctrl-C send them, and the death of the parent.

The first request lets the step end, the state be saved and the process leave with `EXIT_STOPPED`; the same command
then goes on. A second signal stops at once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

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
    """Requests to stop a process; `reason` is what asked first, or None.

    While it is entered the process ends at once on a signal, as any does, and when its parent ends. Within `listening`,
    when there is something to save, both are requests.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._parent_ended = False
        self._since = 0.0
        self._left = threading.Event()

    def __bool__(self) -> bool:
        return self.reason is not None

    def __enter__(self) -> "StopRequests":
        if _is_orphan():
            raise Stopped
        watch_parent(self._end_with_parent, self._left)
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for requests."""
        if threading.current_thread() is not threading.main_thread():  # others cannot set handlers
            yield
            return
        before = {number: signal.signal(number, self._take) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end_with_parent(self) -> None:
        self._parent_ended = True
        if self.reason is None:
            os.kill(os.getpid(), signal.SIGTERM)

    def _take(self, number: int, frame: FrameType | None) -> None:
        # Under torchrun a signal to the whole group comes twice: by itself, and passed on.
        copy = "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - self._since < FORWARDED
        if self.reason is not None and not copy:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self.reason is None:
            self.reason = (
                "the end of its parent process" if self._parent_ended else signal.Signals(number).name
            )
            self._since = time.monotonic()
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


def _is_orphan() -> bool:
    """Whether torchrun was killed while this process started: it would wait for the others until the timeout."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.getppid() != 1:
        return False
    try:
        return not psutil.Process(1).name().startswith(("python", "torchrun", "harness"))  # as in a container
    except psutil.Error:
        return True


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
