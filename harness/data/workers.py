"""Work in several processes, results in order, memory bounded."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from harness.errors import HarnessError

Task = TypeVar("Task")
Result = TypeVar("Result")

WAITING = 4  # tasks a worker that are handed out ahead of the one that is awaited


def ordered_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int = 0
) -> Iterator[Result]:
    """Yield function(task) for every task, in the order of the tasks, whatever the number of workers.

    Args:
        function: of a module, so that a new process can import it.
        tasks: taken a few at a time.
        workers: processes; 0 means one for each core this process may use, 1 works in this one.

    Raises:
        HarnessError: a process was killed. What `function` raises is raised here.
    """
    count = workers or cores()
    if count == 1:
        yield from map(function, tasks)
        return
    # Spawned, as a forked child of a process with threads (torch, rich) may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool:
        source = iter(tasks)
        running: deque[Future[Result]] = deque(
            pool.submit(function, task) for task in islice(source, WAITING * count)
        )
        try:
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(function, task) for task in islice(source, 1))
                yield result
        except BrokenProcessPool:
            raise HarnessError(
                "a worker process was killed, often for want of memory; try again with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_parent() -> None:
    """Leave an interrupt to the parent, and end when the parent is gone: a pool's children would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
