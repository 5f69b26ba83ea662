"""Asking DVC, and who holds its locks."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import psutil

from harness.errors import HarnessError
from harness.sweep.processes import PYTHON, kill_tree, start_tied

PATIENCE = 10.0  # seconds that waiting for a lock goes without saying
# With --wait-for-lock: without it DVC gives up after 3 seconds, at the end of a training, too, whose results it then
# does not record.
COMMAND = (*PYTHON, "-m", "dvc", "--wait-for-lock")
# That is for the lock of the project alone; those of single paths, and the guard of their list, are never waited for.
LOCKED = ("Unable to acquire lock", "it is being blocked by:")


def ask(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Run `dvc ARGUMENTS` to its end, saying so when it waits for DVC's lock; its exit code, output and messages."""
    process = start_tied([*COMMAND, *arguments], output=subprocess.PIPE, errors=subprocess.PIPE)
    told = None
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=PATIENCE)
                return process.returncode, output.decode(), errors.decode()
            except subprocess.TimeoutExpired:
                if (holder := lock_holder()) and holder != told:
                    print(f"waiting for DVC's lock, held by {holder}", file=sys.stderr, flush=True)
                    told = holder
    finally:
        kill_tree(process)


def root() -> Path:
    """The folder of the DVC project that this folder is in.

    Raises:
        HarnessError: it is in none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise HarnessError(
        f"{here} is in no DVC project: run from the project's folder, or make it one with `dvc init` (outside git: "
        "`dvc init --no-scm`)"
    )


def lock_holder() -> str | None:
    """Who holds the lock of the project, in words; None when nobody on this machine does."""
    path = root() / ".dvc" / "tmp" / "lock"
    try:
        holder = psutil.Process(int(path.read_text()))
        # The number stays in the file when the lock is released; the file is open only while it is held.
        if any(Path(file.path) == path for file in holder.open_files()):
            return in_words(holder)
    except (OSError, ValueError, psutil.Error):
        pass
    return None


def blockers(message: str) -> str | None:
    """Who holds the lock of a path, in words, from DVC's message about it; None when it is no such message."""
    _, found, rest = message.partition(LOCKED[1])
    if not found:
        return None
    held = dict.fromkeys(re.findall(r"^\s*\(PID (\d+)\): (.*)$", rest, re.MULTILINE))
    return "; ".join(f"process {number} ({_short(command.split())})" for number, command in held) or None


def in_words(process: psutil.Process) -> str:
    """A process by its number and what it was asked to do."""
    return f"process {process.pid} ({_short(process.cmdline())})"


def _short(command: Sequence[str]) -> str:
    """`dvc repro ...` for `/path/to/python -P -m dvc repro ...`, and the beginning of whatever else it is."""
    for place, word in enumerate(command):
        if word == "dvc" or word.endswith(("/dvc", "/dvc/__main__.py")):
            command = ["dvc", *command[place + 1 :]]
            break
    return textwrap.shorten(" ".join(command), 100, placeholder=" ...")
