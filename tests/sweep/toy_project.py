"""A DVC project with the form of the real pipeline, its data prepared, whose trainings are toy_trainer.py."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from toy import PROJECT

PIPELINE = """
stages:
  data:
    wdir: ${root}
    cmd: mkdir -p ${out}/source && echo '{}' > ${out}/source/source.json
    params: [{'${params}': [data]}]
    outs: ['${out}/source/source.json']
  prepare:
    wdir: ${root}
    cmd: mkdir -p ${out}/data && cp ${out}/source/source.json ${out}/data/train.arrow
    deps: ['${out}/source']
    params: [{'${params}': [data, text]}]
    outs: ['${out}/data/train.arrow']
  train:
    foreach: ${runs}
    do:
      wdir: ${root}
      cmd: python toy_trainer.py ${out} ${key}
      deps: ['${out}/data']
      params: [{'${params}': ['runs.${key}', 'variants.${item.variant}', training]}]
      outs:
        - ${out}/runs/${key}/weights/model.safetensors
        - ${out}/runs/${key}/provenance.json
      plots:
        - ${out}/runs/${key}/history.csv: {x: epoch, y: val_mIoU}
"""
RUNS = ("lavt-full-s0", "rmsin-full-s0", "mafn-full-s0", "mafn-full-s1")
PROFILES = {"params.yaml": "out/embedded", "profiles/rrsisd/params.yaml": "out/rrsisd"}


def make_project(folder: Path) -> Path:
    """A project without git and without data; the runs are `RUNS`, in both profiles."""
    (folder / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(Path(__file__).with_name("toy_trainer.py"), folder)
    for path, out in PROFILES.items():
        content = yaml.safe_load((PROJECT / path).read_text())
        content["runs"] = {
            name: {"variant": name.rpartition("-s")[0], "seed": int(name.rpartition("-s")[2])}
            for name in RUNS
        }
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(yaml.safe_dump(content, sort_keys=False))
        for name in ("source", "data"):
            (folder / out / name).mkdir(parents=True)
    shutil.copy(folder / "dvc.yaml", folder / "profiles/rrsisd")
    (folder / ".dvcignore").write_text("__pycache__/\n")
    dvc(folder, "init", "--no-scm", "--quiet")
    dvc(folder, "config", "core.analytics", "false")
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        dvc_command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def dvc_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Ours, for a machine without GPUs (which torch need not be imported to find), and no number of threads."""
    ours = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    path = f"{Path(sys.executable).parent}:{ours['PATH']}"
    return ours | {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "CUDA_VISIBLE_DEVICES": ""} | changes


def sweep_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", "sweep", *arguments]


def sweep(folder: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    """`harness sweep ARGUMENTS` to its end."""
    result = subprocess.run(
        sweep_command(*arguments),
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def begin_sweep(folder: Path, *arguments: str, **changes: str) -> "subprocess.Popen[str]":
    """`harness sweep ARGUMENTS` under way, its output in pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        sweep_command(*arguments), cwd=folder, env=environment(**changes), stdout=pipe, stderr=pipe, text=True
    )


def behave(folder: Path, **runs: dict[str, int]) -> None:
    """Tell the toys of some runs what to do; `mafn_full_s0` for the run mafn-full-s0."""
    named = {name.replace("_", "-"): behaviour for name, behaviour in runs.items()}
    (folder / "behaviour.json").write_text(json.dumps(named))


def events(folder: Path) -> list[dict]:
    """The starts of toys so far."""
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def started(folder: Path, number: int = 1) -> None:
    """Wait until so many toys listen to signals."""
    wait_until(
        lambda: len(list(folder.glob("out/*/training/*/started"))) >= number, f"{number} toys in training"
    )


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def recorded(folder: Path, lock: str = "dvc.lock") -> set[str]:
    """The runs whose train stage dvc.lock knows."""
    stages = yaml.safe_load((folder / lock).read_text())["stages"]
    return {name.removeprefix("train@") for name in stages if name.startswith("train@")}
