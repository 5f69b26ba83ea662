"""What a job of the cluster does: train one run through DVC, save when Slurm wants the machine, and come back."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from harness.sweep.nodes import Meeting, follow
from harness.sweep.run import Run

POLL = 0.5  # seconds between two looks at DVC
SAVE_SECONDS = 120  # before the time limit, at which Slurm tells a job that it ends
BOTH_SECONDS = 3  # some clusters send SIGTERM with that signal, and the training must not get it twice
SPARE_SECONDS = 30  # of these, in which it goes back to the queue


class TrainJob:
    """Trains a run in a job; called by submitit on the machine that Slurm chose.

    Near the time limit Slurm sends the signal that submitit asked for (SIGUSR2): the training saves and leaves, and
    submitit requeues the job with what `checkpoint` returns. A preempted job gets SIGTERM, which Slurm sends to all
    processes: the training saves, and the job is requeued unless it was cancelled or Slurm does so itself.
    """

    def __init__(self, name: str, target: str, log: str, project: str) -> None:
        self.name, self.target, self.log, self.project = name, target, log, project

    def checkpoint(self) -> Any:
        """What submitit runs when the job comes back: the same, as the training finds its own checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def __call__(self) -> str:
        """Train the run to its end.

        Returns:
            The outcome.

        Raises:
            RuntimeError: it failed; makes the job one that failed.
            SystemExit: the job was requeued.
        """
        import submitit

        end_of_time = signal.Signals[f"SIG{submitit.JobEnvironment.USR_SIG}"]
        requeue = signal.getsignal(end_of_time)
        received: list[int] = []

        def take(number: int, frame: FrameType | None) -> None:
            received.append(number)

        for number in (end_of_time, signal.SIGTERM):
            signal.signal(number, take)
        os.chdir(self.project)
        log, ignored = Path(self.log), (signal.SIGTERM, end_of_time)
        meeting = Meeting.of_job(log.parent / "slurm")
        if meeting.number:
            follow(meeting, log, ignored)
            return "followed"
        run = Run(self.name, self.target, log, ignored)
        try:
            _train(run, received, os.environ | meeting.environment)
        finally:
            meeting.finish()
        if run.outcome == "failed":
            raise RuntimeError(f"{self.name} failed: {run.why}. See {self.log}")
        if run.outcome == "stopped" and (end_of_time in received or _state() == "RUNNING"):
            assert callable(requeue)
            requeue(end_of_time, None)
        return str(run.outcome)


def _train(run: Run, received: list[int], environment: Mapping[str, str]) -> None:
    first = deadline = None
    while run.outcome is None:
        if received and first is None:
            first = time.monotonic()
        told = signal.SIGTERM in received
        if first is not None and deadline is None and (told or time.monotonic() - first > BOTH_SECONDS):
            deadline = time.monotonic() + SAVE_SECONDS - SPARE_SECONDS
            run.stop(told=told)
        if deadline is not None and time.monotonic() > deadline:
            run.kill()
        elif run.outcome is None and not run.is_running and run.not_before <= time.monotonic():
            run.start(environment)
        time.sleep(POLL)
        run.poll()


def _state() -> str:
    """The state of this job in Slurm's words: RUNNING also while it is being preempted with a time of grace."""
    command = ["squeue", "--noheader", "--format=%T", "--jobs", os.environ["SLURM_JOB_ID"]]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
