"""Where runs are trained side by side: one on each GPU, or on a share of the cores."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.data.workers import cores
from harness.errors import HarnessError


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time.

    Args:
        name: "GPU 0", "slot 1".
        environment: what its runs have in their environment besides ours.
    """

    name: str
    environment: Mapping[str, str]


def make_slots(count: int | None, devices: Sequence[str] | None) -> tuple[Slot, ...]:
    """The slots of a sweep, however many runs there are: on a CPU the number of threads decides the last bits.

    Args:
        count: how many; None: one for each device, or on a machine without GPUs for each core. With more slots than
            devices several runs share one.
        devices: GPUs by number or UUID; None: all that torch sees; none: the cores.

    Raises:
        HarnessError: torch cannot be asked.
    """
    names = visible_devices() if devices is None else devices
    count = count or len(names) or cores()
    threads = max(1, cores() // count)
    share = {"OMP_NUM_THREADS": str(threads)} if count > 1 and "OMP_NUM_THREADS" not in os.environ else {}
    if not names:
        hidden = {} if devices is None else {"CUDA_VISIBLE_DEVICES": ""}
        return tuple(Slot(f"slot {number}", share | hidden) for number in range(count))
    return tuple(
        Slot(f"GPU {name}", share | {"CUDA_VISIBLE_DEVICES": name})
        for name in (names[number % len(names)] for number in range(count))
    )


def visible_devices() -> list[str]:
    """The GPUs that torch sees, by the names that CUDA_VISIBLE_DEVICES has for them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named == "":
        return []
    # In another process: this one needs neither torch nor a context on a GPU.
    code = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    asked = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    if asked.returncode:
        raise HarnessError(
            f"torch cannot tell what GPUs there are; name them with --devices:\n{asked.stderr}"
        )
    count = int(asked.stdout.split()[-1])
    return (named.split(",") if named else [str(number) for number in range(count)])[:count]


def parse_devices(devices: str | None) -> list[str] | None:
    """The names of a list of devices, as CUDA_VISIBLE_DEVICES has it; None where there is no list.

    Raises:
        HarnessError: an empty or repeated name.
    """
    if devices is None:
        return None
    names = [name.strip() for name in devices.split(",")] if devices.strip() else []
    if "" in names or len(set(names)) < len(names):
        raise HarnessError(f"--devices {devices}: names separated by commas, each once, such as 0,1")
    return names
