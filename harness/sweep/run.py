"""One run on its way through `dvc repro -s`: its attempts, and what each end of DVC means for it."""

import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from harness.sweep import dvc
from harness.sweep.processes import ask_to_stop, kill_tree, stage_processes, start_tied
from harness.training.stop import EXIT_STOPPED

TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)  # before a training listens to signals, or after
DVC_INTERRUPTED = 252  # exit code of dvc after SIGINT
MOST_INTERRUPTIONS = 10  # of one run by others than us, before it counts as failed
LOCK_DELAYS = (1, 2, 5, 10, 30)  # seconds before the next attempt; the last one for all that follow
HEAD, TAIL = 16 * 1024, 64 * 1024  # bytes of the log in which DVC's own lines are looked for

_STARTED = re.compile(r"^Running stage '.*':$", re.MULTILINE)
_CACHED = re.compile(r"^Stage '.*' is cached - skipping run", re.MULTILINE)
_EXIT_CODE = re.compile(
    r"^ERROR: failed to reproduce .*: failed to run: .*, exited with (-?\d+)$", re.MULTILINE
)
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")  # colours and the like

Outcome = Literal["trained", "from cache", "unchanged", "failed", "stopped", "not started"]


@dataclass
class Run:
    """A run of the sweep.

    Args:
        name: of the run.
        target: its train stage, as DVC takes it.
        log: file to which goes all that DVC and the training say.
        ignored: signals that the training gets from elsewhere, so that DVC must survive them.
    """

    name: str
    target: str
    log: Path
    ignored: Iterable[signal.Signals] = ()
    outcome: Outcome | None = None
    why: str = ""  # of a failure
    note: str = ""  # what it waits for
    not_before: float = 0.0  # of the next attempt, on the monotonic clock
    seconds: float = 0.0  # in all attempts
    _attempts: int = 0
    _interruptions: int = 0
    _refusals: int = 0  # by a lock
    _to_record: bool = False  # it is trained, and DVC does not know yet
    _maybe_trained: bool = False  # whether it is shows when DVC records it
    _offset: int = 0  # of this attempt in the log
    _began: float = 0.0
    _stopping: bool = False
    _told: bool = False  # the training knows from elsewhere that it is to stop
    _asked: set[int] = field(default_factory=set)  # processes that were asked to stop
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def is_running(self) -> bool:
        """Whether there is an attempt under way."""
        return self._process is not None

    @property
    def is_trained(self) -> bool:
        """Whether all that is left to do is to record it."""
        return self._to_record

    @property
    def elapsed(self) -> float:
        """Seconds in all attempts, this one included."""
        return self.seconds + (time.monotonic() - self._began if self.is_running else 0)

    def start(self, environment: Mapping[str, str]) -> None:
        """Begin an attempt."""
        command = ["commit", "--force"] if self._to_record else ["repro", "--single-item"]
        self._attempts += 1
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            title = f"dvc {' '.join(command)} {self.target}"
            log.write(f"# {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}: {title}\n".encode())
            log.flush()
            self._offset = log.tell()
            arguments = [*dvc.COMMAND, *command, self.target]
            self._process = start_tied(
                arguments, environment=environment, output=log, errors=log, ignored=self.ignored
            )
        self._began, self.note = time.monotonic(), ""

    def poll(self) -> None:
        """Take note of an attempt's end: then there is an outcome, or a time for the next attempt."""
        if self._process is None:
            return
        if self._process.poll() is not None:
            code, self._process = self._process.returncode, None
            self.seconds += time.monotonic() - self._began
            self._conclude(code)
        elif self._stopping:
            self._pass_on()

    def observe(self) -> None:
        """Find out what it waits for, if it has said nothing of its own for a while."""
        if self._process is None or time.monotonic() - self._began < dvc.PATIENCE:
            return
        idle = not stage_processes(self._process)
        holder = dvc.lock_holder() if idle else None
        ours = holder is not None and holder.startswith(f"process {self._process.pid} ")
        self.note = f"waits for DVC's lock, held by {holder}" if holder and not ours else ""

    def stop(self, *, told: bool = False) -> None:
        """Ask the training to save and leave, unless it was told already. One that is done is still recorded by DVC."""
        self._stopping, self._told = True, told
        self._again(0)

    def kill(self) -> None:
        """End at once whatever is under way, and make no other attempt."""
        if self._process is not None:
            self._stopping = True
            kill_tree(self._process)
            self.poll()
        if self.outcome is None:
            self.outcome = "stopped" if self._attempts else "not started"

    def last_line(self) -> str:
        """What the log ends with, on one line of plain text."""
        lines = [_plain(line) for line in self._read(from_end=2048).splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def _pass_on(self) -> None:
        """Ask what DVC runs to stop, once each; DVC itself only as long as it has not started anything.

        An interrupted DVC would not record a training that has just ended, and delete its results the next time.
        """
        assert self._process is not None
        at_work = stage_processes(self._process) if self._told else ask_to_stop(self._process, self._asked)
        if not at_work and not self._to_record and not _STARTED.search(self._read(HEAD)):
            self._process.send_signal(signal.SIGINT)

    def _conclude(self, code: int) -> None:
        """What DVC's exit code, and the lines it wrote, mean for the run."""
        head, tail = self._read(HEAD), self._read(from_end=TAIL)
        started = _STARTED.search(head) is not None
        stage_codes = [int(match[1]) for match in _EXIT_CODE.finditer(tail)]
        stage_code = stage_codes[-1] if started and stage_codes else None
        if code == 0:
            untrained: Outcome = "from cache" if _CACHED.search(head) else "unchanged"
            self.outcome = "trained" if started or self._to_record else untrained
        elif self._stopping and (
            code in (-signal.SIGKILL, DVC_INTERRUPTED) or stage_code == EXIT_STOPPED or self._maybe_trained
        ):
            self.outcome = "stopped"
        elif self._stopping and stage_code in TERMINATED:
            # Its results are either all there, and it was about to leave, or none of them. DVC deletes them beforehand,
            # and records only all.
            self._to_record = self._maybe_trained = True
            self._again(0)
        elif code < 0:
            self._fail(f"DVC was killed by {signal.Signals(-code).name}")
        elif stage_code == EXIT_STOPPED and self._interruptions < MOST_INTERRUPTIONS:
            self._interruptions += 1
            self.note = "was interrupted and goes on"
            self._again(1)
        elif stage_code is not None:
            killed = stage_code in (-signal.SIGKILL, 128 + signal.SIGKILL)
            self._fail(
                "killed, often for want of memory" if killed else _cause(tail) or f"exit code {stage_code}"
            )
        elif any(message in tail for message in dvc.LOCKED) and not started:
            self.note = f"waits for {dvc.blockers(tail) or 'a lock of DVC'}"
            self._refusals += 1
            self._again(LOCK_DELAYS[min(self._refusals, len(LOCK_DELAYS)) - 1])
        elif started:
            # The training is done and DVC failed to record it, by a lock mostly. The next `dvc repro` would delete the
            # results and train again.
            self._to_record = True
            self.note = "is trained; DVC did not record it and is asked to"
            self._again(0)
        else:
            prefix = "trained, but DVC could not record it: " if self._to_record else ""
            self._fail(prefix + (_cause(tail, of_dvc=True) or f"dvc left with exit code {code}"))

    def _again(self, delay: float) -> None:
        """Make another attempt after some seconds; not when asked to stop, unless it is only to be recorded."""
        self.not_before = time.monotonic() + delay
        if self._stopping and not (self._to_record or self.is_running or self.outcome):
            self.outcome = "stopped" if self._attempts else "not started"

    def _fail(self, why: str) -> None:
        self.outcome, self.why = "failed", why

    def _read(self, most: int = -1, *, from_end: int | None = None) -> str:
        """The text of this attempt in the log: its first bytes, or its last ones."""
        try:
            with self.log.open("rb") as log:
                if from_end is not None:
                    log.seek(max(self._offset, self.log.stat().st_size - from_end))
                else:
                    log.seek(self._offset)
                return log.read(most).decode(errors="replace").replace("\r", "\n")
        except OSError:
            return ""


def _plain(line: str) -> str:
    return _TERMINAL.sub("", line).strip()


def _cause(text: str, *, of_dvc: bool = False) -> str:
    """The line that tells best why something failed: the last error, or the last line before DVC's own."""
    lines = [line for line in map(_plain, text.splitlines()) if line]
    own = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if of_dvc:
        return own[-1] if own else ""
    said = [line for line in lines if not line.startswith(("ERROR: ", "WARNING: ", "> "))]
    errors = [line for line in said if line.startswith("error: ")]
    return (errors or said or [""])[-1].removeprefix("error: ")
