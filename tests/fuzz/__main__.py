"""python -m tests.fuzz: see the docstring of the package."""

import argparse
import faulthandler
import json
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from hypothesis import HealthCheck, Phase, given, seed, settings

from harness.errors import HarnessError

from . import data_readers, report_readers, settings_readers, table_readers, weights_readers  # noqa: F401
from .reader import READERS, Reader

SECONDS = 10  # of one input
HANGS = 40  # seconds after which a process that does not even handle signals is ended
MEMORY = 512 * 2**20  # bytes that a reader may fill beyond what the process has before it
CLAIMED = 4 * 2**30  # bytes that it may ask the system for without filling them; more is refused
ROUND = 100  # inputs between two looks at the clock
KEPT = Path("out/fuzz")


@dataclass
class Figures:
    """What came of one reader."""

    name: str
    inputs: int = 0
    accepted: int = 0  # read without an error
    seconds: float = 0.0
    slowest: float = 0.0  # seconds of one input
    memory: int = 0  # most bytes above those before it
    failures: dict[str, int] = field(default_factory=dict)  # what failed where -> how often


class TooSlow(BaseException):
    """One input took longer than `SECONDS`."""


def _too_slow(signal_number: int, frame: FrameType | None) -> None:
    raise TooSlow


def fuzz(reader: Reader, folder: Path, kept: Path, *, minutes: float | None, examples: int) -> Figures:
    """Run a reader on many inputs.

    Args:
        reader: the reader.
        folder: for the input.
        kept: where inputs that fail are kept.
        minutes: to run, with new seeds; None for `examples` fixed inputs.
        examples: inputs.
    """
    figures = Figures(reader.name)
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGALRM, _too_slow)
    resource.setrlimit(resource.RLIMIT_DATA, (_status("VmData") + CLAIMED, resource.RLIM_INFINITY))
    started = time.monotonic()

    def attempt(content: bytes) -> None:
        figures.inputs += 1
        path.write_bytes(content)
        (kept / f"{reader.name}.last").write_bytes(content)  # should it end the process
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, begun = _status("VmRSS"), time.monotonic()
        faulthandler.dump_traceback_later(HANGS, exit=True)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        failure, told = "", ""
        try:
            reader.read(path)
            figures.accepted += 1
        except HarnessError as error:
            told = str(error)
            if path.name not in told:
                failure = f"HarnessError does not name the file: {told:.100}"
        except BaseException as error:  # a panic in Rust is no Exception
            told = traceback.format_exc()
            failure = f"{type(error).__name__} {_place(error)}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
        figures.slowest = max(figures.slowest, time.monotonic() - begun)
        memory = _status("VmHWM") - before
        figures.memory = max(figures.memory, memory)
        if memory > MEMORY and not failure:
            failure = "more memory than it may take"
        if failure:
            figures.failures[failure] = figures.failures.get(failure, 0) + 1
            number = list(figures.failures).index(failure)
            file = kept / f"{reader.name}-{number}"
            if not file.exists() or len(content) < file.stat().st_size:
                file.write_bytes(content)
                file.with_suffix(".txt").write_text(f"{failure}\n\n{told}", errors="backslashreplace")

    def rounds(count: int, fixed: bool) -> None:
        options = settings(
            max_examples=count,
            database=None,
            deadline=None,
            derandomize=fixed,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        test = options(given(reader.inputs)(attempt))
        (test if fixed else seed(secrets.randbits(64))(test))()

    attempt(reader.valid)
    if not figures.accepted:
        raise AssertionError(f"{reader.name} does not read a valid file")
    if minutes is None:
        rounds(examples, fixed=True)
    else:
        while time.monotonic() - started < 60 * minutes:
            rounds(ROUND, fixed=False)
    figures.seconds = time.monotonic() - started
    (kept / f"{reader.name}.last").unlink(missing_ok=True)
    return figures


def _place(error: BaseException) -> str:
    """The last line of ours that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/harness/" in frame.filename or "/baselines/" in frame.filename]
    frame = (ours or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _status(key: str) -> int:
    """Bytes, of /proc/self/status."""
    return int(Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()[0]) * 1024


def main() -> int:
    """Fuzz, print a line of JSON for each reader; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the readers of files.")
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(READERS)}; all")
    parser.add_argument("--minutes", type=float, help="for each reader, with new seeds")
    parser.add_argument("--examples", type=int, default=100, help="fixed inputs for each reader")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder for inputs that fail")
    parser.add_argument("--here", action="store_true", help="in this process, not in one for each reader")
    options = parser.parse_args()
    options.kept.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.readers or READERS:
        if options.here:
            with tempfile.TemporaryDirectory() as folder:
                reader = READERS[name](Path(folder))
                how = {"minutes": options.minutes, "examples": options.examples}
                found = fuzz(reader, Path(folder), options.kept, **how)
            print(json.dumps(asdict(found)), flush=True)
            failed = failed or bool(found.failures)
            continue
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.fuzz",
            name,
            "--here",
            "--kept",
            str(options.kept),
        ]
        command += ["--examples", str(options.examples)]
        command += [] if options.minutes is None else ["--minutes", str(options.minutes)]
        ended = subprocess.run(command, check=False).returncode
        if ended not in (0, 1):
            print(
                json.dumps({"name": name, "ended": ended, "input": f"{options.kept / name}.last"}), flush=True
            )
        failed = failed or ended != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
