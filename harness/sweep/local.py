"""The runs of a sweep on this machine, side by side in its slots."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from harness.config import Params
from harness.sweep import dvc
from harness.sweep.pending import PREPARATION
from harness.sweep.processes import ask_to_stop, kill_tree, start_tied, wait_for
from harness.sweep.run import Run
from harness.sweep.slots import Slot
from harness.sweep.view import View

POLL = 0.2  # seconds between two looks at the children
OBSERVE = 3.0  # seconds between two looks at what they wait for


class StopRequests:
    """Counts SIGINT, SIGTERM and SIGHUP: the first asks for a stop in good order, the second for one at once."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.count += 1


@contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Count signals in place of ending by them; those that were ignored before (nohup) stay so."""
    requests = StopRequests()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    heard = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, requests.take)
    try:
        yield requests
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def prepare(params: Params, requests: StopRequests) -> bool:
    """Bring the data up to date; `dvc repro` speaks for itself. Whether that succeeded."""
    process = start_tied([*dvc.COMMAND, "repro", f"{params.pipeline}:{PREPARATION[-1]}"])
    asked: set[int] = set()
    try:
        while not wait_for(process, POLL) and requests.count < 2:
            if requests.count and not ask_to_stop(process, asked, signal.SIGINT):
                process.send_signal(signal.SIGINT)
    finally:
        kill_tree(process)
    return process.returncode == 0


def train(runs: Sequence[Run], slots: Sequence[Slot], view: View, requests: StopRequests) -> None:
    """Train the runs in the slots until each has an outcome.

    A failure leaves the others alone. A run that waits for its next attempt leaves its slot to others.
    """
    queue, running = list(runs), dict[int, Run]()
    observed = time.monotonic()
    try:
        while queue or running:
            if requests.count:
                view.stopping()
                for run in runs:
                    run.stop()
                queue = [run for run in queue if run.outcome is None]
            if requests.count > 1:
                return
            for place, slot in enumerate(slots):
                due = next((run for run in queue if run.not_before <= time.monotonic()), None)
                if due is not None and place not in running:
                    queue.remove(due)
                    due.start(os.environ | slot.environment)
                    running[place] = due
                    view.began(due, slot)
            time.sleep(POLL)
            if time.monotonic() - observed >= OBSERVE:
                observed = time.monotonic()
                for run in running.values():
                    run.observe()
            for place, run in list(running.items()):
                run.poll()
                if not run.is_running:
                    del running[place]
                    if run.outcome is None:
                        queue.insert(0, run)
                    else:
                        view.ended(run)
            view.show([(slots[place], run) for place, run in running.items()], queue)
    finally:
        for run in runs:
            run.kill()
