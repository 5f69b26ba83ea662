"""`harness train` as a user runs it, in processes of its own."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import yaml
from toy import toy_params

from harness.config import Params

RUN = "mafn-full-s0"  # with batch norm, dropout and black boxes
ALONE = [sys.executable, "-m", "harness"]


def torchrun(processes: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        "-m",
        "harness",
    ]


def toy_profile(prepared: Params, folder: Path, **training) -> Params:
    """A profile of its own on the prepared toy data: three epochs of three steps, unless `training` says otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load(toy_params(folder).params.read_text())["training"]
    content |= {"epochs": 3, "checkpoint_every": 2, "curve_every": 2} | training
    params = toy_params(folder, training=content)
    (params.out).mkdir()
    (params.out / "data").symlink_to(prepared.out / "data")
    return params


def start(params: Params, *, launcher: list[str] = ALONE, **options) -> subprocess.Popen:
    """Start `harness train`; `kill_all` ends it."""
    return subprocess.Popen(
        [*launcher, "train", RUN, "--params", str(params.params)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **{"env": os.environ | {"OMP_NUM_THREADS": "1"}, **options},
    )


def finish(process: subprocess.Popen, code: int = 0) -> str:
    """Wait for its end; return what it said."""
    said, _ = process.communicate(timeout=300)
    assert process.returncode == code, said
    return said


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL for the process, torchrun's children and the loader's workers."""
    family = psutil.Process(process.pid)
    for member in [family, *family.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.communicate()


def results(params: Params) -> dict[str, bytes]:
    """All that a run ends with, but for provenance.json, which has times in it."""
    folder = params.run_dir(RUN)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }
