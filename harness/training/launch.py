"""Start several processes of one command on this machine, through torchrun's own launcher."""

import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Sequence

from harness.errors import HarnessError
from harness.training.stop import EXIT_STOPPED, watch_parent

GRACE = 120  # seconds that the processes have to end a step and save, once a stop was asked for


def number_of_processes(wanted: str, batch_size: int) -> int:
    """What `--processes` means here: "auto" is one for each GPU, or one; as many of them as divide the batch.

    Raises:
        HarnessError: no positive number.
    """
    import torch

    if wanted == "auto":
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 1
        return max(number for number in range(1, max(gpus, 1) + 1) if batch_size % number == 0)
    if not wanted.isdecimal() or int(wanted) < 1:
        raise HarnessError(f"--processes takes a number or auto, not {wanted!r}")
    return int(wanted)


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `python -m harness ARGUMENTS` in several processes and return the exit code of the first that failed, or 0.

    Signals are passed on; when this process is killed, its children see their parent end and stop.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What the processes say is enough; torch would add a table of ranks and exit codes.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=GRACE,
    )
    left = threading.Event()
    watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM), left)
    try:
        elastic_launch(config, sys.executable)("-m", "harness", *arguments)
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        return next((code for code in codes if code == EXIT_STOPPED), codes[0])
    except SignalException:  # the processes had `GRACE` to save
        return EXIT_STOPPED
    finally:
        left.set()
    return 0
