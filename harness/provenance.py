"""What ran, where: commit, versions, hardware, command."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "timm", "numpy", "scipy", "pandas", "pyarrow", "pillow", "dvc")


def provenance() -> dict[str, Any]:
    """Commit and dirty flag, package versions, hardware and command of this process."""
    import torch

    from harness import __version__

    return {
        "harness": __version__,
        **_commit(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


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
    folder = Path(__file__).parent
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
