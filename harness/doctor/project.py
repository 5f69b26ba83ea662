"""The profile, DVC and git."""

import subprocess
from pathlib import Path

from harness.config import Params, load_params
from harness.doctor.check import Check
from harness.errors import HarnessError
from harness.pipeline_keys import unwritten
from harness.sweep import dvc


def check_profile(path: Path) -> tuple[list[Check], Params | None]:
    """Whether the params file is valid, has what DVC needs, and names itself and files that exist."""
    try:
        params = load_params(path)
    except HarnessError as error:
        return [Check("profile", "error", str(error))], None
    if params.params.resolve() != path.resolve():
        text = f"{path} says `params: {params.params}`, and DVC's stages would read that file"
        return [Check("profile", "error", text, f"write `params: {path}` into it")], params
    if lacking := unwritten(path):
        text = f"{path} leaves out {', '.join(lacking)}, which dvc.yaml names; DVC knows no defaults"
        return [
            Check("profile", "error", text, "write them out: docs/configuration.md has the values")
        ], params
    if not params.report.published.is_file():
        text = f"report.published: {params.report.published} does not exist"
        return [Check("profile", "error", text, "run from the project's folder, or name the file")], params
    return [Check("profile", "ok", f"{params.profile}: {path}, {len(params.runs)} runs")], params


def check_dvc(params: Params) -> list[Check]:
    """The DVC project, the pipeline's file, and who holds the lock."""
    from importlib.metadata import version

    root = dvc.root()
    if not Path(params.pipeline).is_file():
        text = f"there is no {params.pipeline} beside {params.params}"
        return [Check("DVC", "error", text, f"copy {params.root / 'dvc.yaml'} there")]
    if holder := dvc.lock_holder():
        way_out = "wait for it; `dvc repro` says that it cannot acquire the lock meanwhile"
        return [Check("DVC", "warning", f"its lock is held by {holder}", way_out)]
    return [Check("DVC", "ok", f"{version('dvc')}, project {root}, lock free")]


def check_git() -> list[Check]:
    """Whether results can be traced to a commit."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=20
        )
    except FileNotFoundError:
        return [Check("git", "warning", "not installed: no commit will stand in results", "install git")]
    if asked.returncode:
        text = "no repository with a commit: none will stand in results"
        return [Check("git", "warning", text, "`git clone`, or `git init` and commit")]
    return [Check("git", "ok", f"commit {asked.stdout.strip()}")]
