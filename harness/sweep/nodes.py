"""A job with several machines: DVC runs the stage on the first, the others join the same command through torchrun.

What torchrun would take from its command line, it takes from the environment, too (PET_NNODES for --nnodes): so the
stage's command, which says nothing of machines, is part of the job that its environment describes.
"""

import os
import re
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.sweep.processes import kill_tree, start_tied, wait_for

PORTS = range(20_000, 30_000)  # below those that Linux gives out by itself
PAUSE = 1.0  # seconds between two looks at the first machine
_COMMAND = re.compile(r"^Running stage '.*':\n> (.*)$", re.MULTILINE)  # as DVC shows what it runs


@dataclass(frozen=True)
class Meeting:
    """Where the machines of a job meet.

    Args:
        number: of this machine, from 0.
        machines: how many there are.
        job: id of the job; with `restart` the name of the meeting.
        restart: how often the job was requeued.
        address: of the first machine.
        folder: shared, in which the first machine says that it is done.
    """

    number: int
    machines: int
    job: int
    restart: int
    address: str
    folder: Path

    @classmethod
    def of_job(cls, folder: Path) -> "Meeting":
        """The meeting of the Slurm job that this process is a task of."""
        return cls(
            number=int(os.environ["SLURM_NODEID"]),
            machines=int(os.environ["SLURM_JOB_NUM_NODES"]),
            job=int(os.environ["SLURM_JOB_ID"]),
            restart=int(os.environ.get("SLURM_RESTART_COUNT", 0)),
            address=os.environ["SLURM_LAUNCH_NODE_IPADDR"],
            folder=folder,
        )

    @property
    def port(self) -> int:
        """Of the first machine; jobs that share it have different ones."""
        return PORTS[self.job % len(PORTS)]

    @property
    def end(self) -> Path:
        """The file whose presence says that the first machine is done."""
        return self.folder / f"{self.job}.{self.restart}.done"

    @property
    def environment(self) -> dict[str, str]:
        """What makes torchrun on this machine one of the job's; nothing where there is but one machine."""
        if self.machines == 1:
            return {}
        return {
            "PET_NNODES": str(self.machines),
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ENDPOINT": f"{self.address}:{self.port}",
            "PET_RDZV_ID": f"{self.job}.{self.restart}",
            "PET_RDZV_CONF": f"is_host={int(self.number == 0)}",
        }

    def finish(self) -> None:
        """Let the other machines go."""
        if self.machines > 1:
            self.end.touch()

    def is_open(self) -> bool:
        """Whether torchrun on the first machine waits for the others."""
        try:
            with socket.create_connection((self.address, self.port), timeout=PAUSE):
                return True
        except OSError:
            return False


def follow(meeting: Meeting, log: Path, ignored: Iterable[signal.Signals]) -> None:
    """Run what DVC runs on the first machine, each time that torchrun waits for others there, until that is done.

    Args:
        meeting: of the job.
        log: of the run, where DVC shows the command.
        ignored: signals that the command ignores, unless it handles them.
    """
    while not meeting.end.exists():
        if not meeting.is_open():
            time.sleep(PAUSE)
            continue
        command = _COMMAND.findall(log.read_text(errors="replace"))[-1]
        process = start_tied(
            ["/bin/sh", "-c", command], environment=os.environ | meeting.environment, ignored=ignored
        )
        try:
            while not wait_for(process, PAUSE) and not meeting.end.exists():
                pass
        finally:
            kill_tree(process)
        # The first machine may take a moment longer to leave; nobody is to be waited for there any more.
        while meeting.is_open() and not meeting.end.exists():
            time.sleep(PAUSE)
