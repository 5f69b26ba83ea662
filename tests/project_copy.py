"""A copy of the project's files for a DVC project of its own, and its embedded profile at toy size."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from toy import PROJECT

BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] = ENVIRONMENT) -> str:
    """The output of a command that has to succeed."""
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def project_copy(folder: Path) -> None:
    """The files that DVC needs, without git and without what a run has made."""
    made = shutil.ignore_patterns("__pycache__", "html")
    for name in ("harness", "baselines", "mafn", "reports", "profiles"):
        shutil.copytree(PROJECT / name, folder / name, ignore=made)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(PROJECT / name, folder / name)
    for keep in PROJECT.glob("out/*/**/.gitkeep"):
        target = folder / keep.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    for lock in folder.glob("profiles/*/dvc.lock"):
        lock.unlink()


def dvc_project(folder: Path) -> None:
    """A copy of the project as a DVC project of its own, outside of git."""
    project_copy(folder)
    run("dvc", "init", "--no-scm", "--quiet", cwd=folder)


def toy_settings(runs: Iterable[str]) -> dict[str, Any]:
    """The embedded profile with these of its runs and 60 images, for a project's own params.yaml."""
    content: dict[str, Any] = yaml.safe_load((PROJECT / "params.yaml").read_text())
    content["data"]["synthetic"] = {"refs": 60, "size": 64, "seed": 3}
    content["image_size"] = 64
    content["training"] |= {"epochs": 1, "batch_size": 8}
    content["runs"] = {name: content["runs"][name] for name in runs}
    content["statistics"] |= {"resamples": 200, "permutations": 200}
    return content


def write_settings(folder: Path, content: Mapping[str, Any]) -> None:
    """Make them the params.yaml of the project in `folder`."""
    (folder / "params.yaml").write_text(yaml.safe_dump(dict(content), sort_keys=False))
