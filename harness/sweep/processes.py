"""Child processes that end with this one, and what runs below them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from harness.training.stop import SHELLS

TIED = Path(__file__).with_name("tied.py")
PYTHON = (sys.executable, "-P")  # -P: modules come from the installation, not from the folder it is run in


def start_tied(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    errors: IO[bytes] | int | None = None,
    ignored: Iterable[signal.Signals] = (),
) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, so that Ctrl-C reaches it through us alone. It dies with us.

    Call it in the main thread: the kernel ties a child to the thread that started it.

    Args:
        command: path of the program, and arguments.
        environment: in place of this process's.
        output: where its output goes; None: to ours.
        errors: where its messages go; None: to ours.
        ignored: signals that it ignores, and what it starts, unless that handles them itself.
    """
    environment = dict(os.environ if environment is None else environment)
    # A stage's command is `harness ...`: this installation's, also where its environment is not activated.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    numbers = ",".join(str(int(number)) for number in ignored)
    return subprocess.Popen(
        [*PYTHON, str(TIED), str(os.getpid()), numbers, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def stage_processes(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """What DVC runs: the stage's command, without a shell around it. [] before and after it."""
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):
                inner = child.children() if child.name() in SHELLS else []
                found += inner or [child]
    return [child for child in found if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def ask_to_stop(
    process: "subprocess.Popen[bytes]", asked: set[int], number: signal.Signals = signal.SIGTERM
) -> bool:
    """Send a signal to what DVC runs, but for the processes `asked` before; whether it runs anything.

    DVC itself has to stay: it would not learn how the stage ended.
    """
    found = stage_processes(process)
    for one in found:
        if one.pid not in asked:
            asked.add(one.pid)
            with suppress(psutil.Error):
                one.send_signal(number)
    return bool(found)


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started, at once; nothing where it has ended: its number may be another's."""
    if process.poll() is not None:
        return
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for member in family:
        with suppress(psutil.Error):
            member.kill()
    process.wait()


def wait_for(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Whether the process ended within some seconds."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    return process.poll() is not None
