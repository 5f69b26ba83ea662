"""Cores, memory, GPUs and disks against what the profile needs."""

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rich.filesize import decimal

from harness.config import Params
from harness.data.workers import cores
from harness.doctor.check import Check, Status
from harness.doctor.software import CARDS_OF_BUILDS, supports
from harness.planning.disk import Need, total
from harness.planning.measuring import SPARE

LESS = "lower training.micro_batch or set training.activation_checkpointing"
TIGHT = 0.9  # of a memory: workspaces and fragmentation come on top of the tensors
SHARED = 512e6  # bytes of /dev/shm with which loader processes have room for their batches


def check_gpus(params: Params, memory: int | None) -> list[Check]:
    """Each GPU: whether torch has code for it, and its memory.

    Args:
        params: the profile.
        memory: bytes of tensors that training needs; None: unknown.
    """
    import torch

    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not number:
        if params.preset == "mini":
            return [Check("GPUs", "ok", "none; the profile's networks are small enough for a CPU")]
        way_out = f"`harness plan --params {params.params} --gpu a100` says what it takes on a card"
        return [Check("GPUs", "warning", f"none; preset {params.preset} is not for a CPU", way_out)]
    checks = []
    for place in range(number):
        gpu = torch.cuda.get_device_properties(place)
        capability = (gpu.major, gpu.minor)
        free, size = torch.cuda.mem_get_info(place)
        text = f"{gpu.name}, {decimal(size)}, {decimal(free)} free"
        status, remark, way_out = judge_memory(memory, free, size, "of tensors")
        if not supports(torch.cuda.get_arch_list(), capability):
            remark = f"; this build of torch has no code for its architecture, {gpu.major}.{gpu.minor}"
            status, way_out = "error", CARDS_OF_BUILDS
        elif params.training.precision == "bf16" and capability < (8, 0):
            status, remark = "error", "; it has no bfloat16"
            way_out = "set training.precision to fp16 or fp32"
        checks.append(Check(f"GPU {place}", status, text + remark, way_out))
    return checks


def judge_memory(need: int | None, free: float, size: float, of: str) -> tuple[Status, str, str]:
    """What a memory means for a need of so many bytes `of` something: status, remark, way out."""
    if need is None:
        return "ok", "", ""
    remark = f"; training the largest network needs {decimal(need)} {of}"
    if need > size:
        return "error", remark, LESS
    if need > TIGHT * size:
        return "warning", f"{remark}, which is tight", LESS
    if need > free:
        return "warning", remark, "other processes have the rest: wait for them, or end them"
    return "ok", remark, ""


def check_host(params: Params, memory: int | None) -> list[Check]:
    """Cores and memory of the machine; without GPUs the networks are in that memory.

    Args:
        params: the profile.
        memory: bytes of tensors that training needs; None: unknown.
    """
    import psutil
    import torch

    found = psutil.virtual_memory()
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    need = None if gpus or memory is None else round(memory + SPARE)
    process = f"for the process: tensors, and {decimal(round(SPARE))} for libraries"
    status, remark, way_out = judge_memory(need, found.available, found.total, process)
    checks = [
        Check("memory", status, f"{decimal(found.total)}, {decimal(found.available)} free{remark}", way_out)
    ]
    processes = max(gpus, 1) * (params.training.workers + 1)
    if processes > cores():
        text = f"{cores()}; training takes {processes} processes, loaders included"
        checks.append(Check("cores", "warning", text, "lower training.workers"))
    else:
        checks.append(Check("cores", "ok", str(cores())))
    shared = Path("/dev/shm")
    if params.training.workers and shared.is_dir() and (size := shutil.disk_usage(shared).total) < SHARED:
        text = f"/dev/shm has {decimal(size)}, through which loader processes hand over their batches"
        checks.append(
            Check("shared memory", "error", text, "docker run --shm-size=8g, or training.workers: 0")
        )
    return checks


def check_disks(needs: Iterable[Need]) -> list[Check]:
    """Free space of each file system that the profile writes to."""
    disks: dict[int, list[Need]] = defaultdict(list)
    for need in needs:
        disks[_existing(need.path).stat().st_dev].append(need)
    if not disks:
        return [Check("disk", "ok", "nothing of size is left to write")]
    checks = []
    for parts in disks.values():
        folder = _existing(parts[0].path)
        free = shutil.disk_usage(folder).free
        size, complete = total(parts)
        where = ", ".join(dict.fromkeys(_short(need.path) for need in parts))
        text = f"{decimal(free)} free for {'' if complete else 'more than '}{decimal(round(size))} in {where}"
        if not os.access(folder, os.W_OK):
            checks.append(Check("disk", "error", f"{folder} cannot be written to", "name another folder"))
        elif size > free:
            checks.append(
                Check("disk", "error", text, "make room, or put `out` and `data.root` on another disk")
            )
        else:
            checks.append(Check("disk", "ok" if complete else "warning", text))
    return checks


def dvc_cache() -> Path:
    """The folder of DVC's cache.

    Raises:
        OSError, subprocess.SubprocessError: DVC does not say.
    """
    command = [sys.executable, "-P", "-m", "dvc", "cache", "dir"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return Path(asked.stdout.strip())


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _short(path: Path) -> str:
    """A path, from the current folder where it is in it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
