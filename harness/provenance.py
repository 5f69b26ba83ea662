"""What ran, where, on what and for how long: commit, versions, hardware, command, sessions, phases."""

import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PACKAGES = (
    "torch",
    "transformers",
    "timm",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pillow",
    "pycocotools",
    "dvc",
    "dvclive",
)


class Phases:
    """Wall-clock seconds that a run has spent in each of its phases.

    Exactly one phase runs at any time, from here on: `with phases("validation"):` interrupts the one around it, so the
    phases add up to the whole. The durations of a resumed run add up as well, less what was lost with an interruption.

    Args:
        first: the phase outside of all blocks.
        clock: seconds that only grow.
    """

    def __init__(self, first: str = "setup", clock: Callable[[], float] = time.perf_counter) -> None:
        self.current = first
        self._clock = clock
        self._since = clock()
        self._spent: dict[str, float] = {first: 0.0}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the block's time as the phase `name`."""
        around = self._switch(name)
        try:
            yield
        finally:
            self._switch(around)

    def waiting(self, items: Iterable[T], name: str) -> Iterator[T]:
        """Yield from `items` and count the time until each is there as the phase `name`."""
        iterator = iter(items)
        while True:
            with self(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def seconds(self, *names: str) -> float:
        """Seconds in the phases so far, the running one included."""
        running = self._clock() - self._since if self.current in names else 0.0
        return sum(self._spent.get(name, 0.0) for name in names) + running

    def state_dict(self) -> dict[str, float]:
        """Seconds of every phase."""
        return {name: self.seconds(name) for name in self._spent}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Add the seconds of the sessions before."""
        # In the order of the first session, which is the order in which a reader expects them.
        self._spent = {
            name: state.get(name, 0.0) + self._spent.get(name, 0.0) for name in {**state, **self._spent}
        }

    def _switch(self, name: str) -> str:
        now, before = self._clock(), self.current
        self._spent[before] += now - self._since
        self._spent.setdefault(name, 0.0)
        self.current, self._since = name, now
        return before


@dataclass(frozen=True)
class Session:
    """One uninterrupted part of a run, from its start or resumption on.

    A checkpoint holds the session `until` that step. It says "interrupted" where nothing else is known: that is what
    is left of a session that was killed.
    """

    started: str  # UTC, ISO 8601
    hosts: tuple[str, ...]  # in the order of ranks, each once
    processes: int
    device: str
    commit: str | None
    dirty: bool | None
    command: str
    from_step: int
    to_step: int
    ended: str
    ending: str = "interrupted"  # or "finished", or what asked for the stop

    @classmethod
    def begin(cls, step: int, *, processes: int = 1, hosts: Sequence[str] = ()) -> "Session":
        """A session that starts now, after `step` steps of earlier ones; with the code as it is now.

        Args:
            step: steps taken before.
            processes: how many train together.
            hosts: the machine of each; none: this one.
        """
        names = tuple(dict.fromkeys(hosts)) or (socket.gethostname(),)
        now, code = _now(), _commit()
        return cls(
            started=now,
            hosts=names,
            processes=processes,
            device=device_name(),
            commit=code["commit"],
            dirty=code["dirty"],
            command=_command(),
            from_step=step,
            to_step=step,
            ended=now,
        )

    def until(self, step: int, ending: str = "interrupted") -> "Session":
        """The session up to now and `step`."""
        return replace(self, to_step=step, ended=_now(), ending=ending)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and checkpoints hold them."""
        return {**asdict(self), "hosts": list(self.hosts)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Session":
        """The session that `as_dict` told."""
        return cls(**{**values, "hosts": tuple(values["hosts"])})


def provenance(
    *,
    sessions: Sequence[Session] = (),
    phases: Phases | None = None,
    seeds: Mapping[str, int] | None = None,
    data: Mapping[str, str] | None = None,
    packages: Sequence[str] = (),
) -> dict[str, Any]:
    """Commit and dirty flag, package versions, hardware and command of this process.

    Args:
        sessions: of the run, the last of them this one; commit and command are then those at its start: the code may
            have been changed while it ran.
        phases: of the run.
        seeds: what each is for, and its value.
        data: hash of each file.
        packages: whose versions are recorded beside those of `PACKAGES`.
    """
    import torch

    from harness import __version__

    last = sessions[-1] if sessions else Session.begin(0)
    record: dict[str, Any] = {
        "harness": __version__,
        "commit": last.commit,
        "dirty": last.dirty,
        "command": last.command,
        "finished": _now(),
        "device": last.device,
        "hosts": list(last.hosts),
        "processes": last.processes,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "hardware": _hardware(),
        "versions": package_versions(packages),
    }
    if seeds is not None:
        record["seeds"] = dict(seeds)
    if data is not None:
        record["data"] = dict(data)
    if phases is not None:
        record["phases"] = {name: round(seconds, 2) for name, seconds in phases.state_dict().items()}
    if sessions:
        record["sessions"] = [session.as_dict() for session in sessions]
    return record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _command() -> str:
    program = Path(sys.argv[0])
    start = ["python", "-m", program.parent.name] if program.name == "__main__.py" else [program.name]
    return shlex.join([*start, *sys.argv[1:]])


def _commit() -> dict[str, Any]:
    try:
        commit = _git("rev-parse", "HEAD")
        return {
            "commit": commit,
            "dirty": bool(
                _git(
                    "status",
                    "--porcelain",
                    "--untracked-files=no",
                    "--",
                    ":/",
                    ":(exclude,top,glob)**/dvc.lock",
                )
            ),
        }
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: an installed wheel
        return {"commit": None, "dirty": None}


def _git(*arguments: str) -> str:
    # Without the lock that `status` takes to refresh the index, which would be in the way of whoever commits.
    return subprocess.run(
        ["git", "--no-optional-locks", *arguments],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def package_versions(others: Sequence[str] = ()) -> dict[str, str | None]:
    """Of python, PACKAGES and others, None where one is missing; with a GPU, of what drives it."""
    import torch

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*PACKAGES, *others):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # an installation without metadata, or one of the user's own
            versions[name] = None
    if torch.cuda.is_available():
        versions["cuda"] = torch.version.cuda
        versions["cudnn"] = str(torch.backends.cudnn.version())
        if torch.distributed.is_available() and torch.distributed.is_nccl_available():
            versions["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
        versions["driver"] = driver_version()
    return versions


def driver_version() -> str | None:
    """Version of NVIDIA's kernel driver."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
        try:
            found = pynvml.nvmlSystemGetDriverVersion()
        finally:
            pynvml.nvmlShutdown()
    except (
        Exception
    ):  # not installed, no such driver, another one's GPU: the library has an error class for each
        return None
    return found.decode() if isinstance(found, bytes) else str(found)


def _hardware() -> dict[str, Any]:
    """Processor, memory and GPUs of this machine."""
    import psutil
    import torch

    gpus = [
        torch.cuda.get_device_properties(number)
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "system": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "cores_usable": len(usable),  # fewer than there are in a job of Slurm's
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [{"name": gpu.name, "memory_gb": round(gpu.total_memory / 1e9, 1)} for gpu in gpus],
    }


def device_name() -> str:
    """The GPU's name; without one, the processor's."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
