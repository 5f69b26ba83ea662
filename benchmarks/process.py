"""Time and memory of whole processes."""

import subprocess
import sys
from typing import NamedTuple

MEASURE = """
import os, sys, time
started = time.perf_counter()
away = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
number = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=away)
_, status, usage = os.wait4(number, 0)
seconds = time.perf_counter() - started
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, status)
"""


class Process(NamedTuple):
    """A process that ran to its end."""

    seconds: float
    cpu: float  # seconds of a core, which other work on the machine hardly changes
    peak: float  # bytes


def python(*arguments: str) -> Process:
    """Run `python ARGUMENTS`.

    Started by a small process: the peak of a process begins with that of the one that starts it.
    """
    command = [sys.executable, "-S", "-c", MEASURE, sys.executable, *arguments]
    *measured, status = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert status == "0"
    return Process(*map(float, measured))


def harness(*arguments: str) -> Process:
    """Run `harness ARGUMENTS`."""
    return python("-m", "harness", *arguments)
