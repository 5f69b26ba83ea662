"""A set of RRSIS-D's size through drawing, verifying and preparing: time, rate, peak memory and disk.

python -m benchmarks rehearsal            17,402 images of 800 x 800; a quarter of an hour and 15 GB on two cores
python -m benchmarks rehearsal 1000 keep  fewer; keep the files under out/rehearsal

The pipeline runs as `dvc repro` runs it, by a profile made for the occasion.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.page import Figures

PROJECT = Path(__file__).parents[1]
FOLDER = Path("out/rehearsal")
PROFILE = Path("profiles/rehearsal")
MINUTES = {"verify": 6.0, "prepare": 8.0}
GIGABYTES = 1.5


@dataclass(frozen=True, slots=True)
class Measured:
    """A command that ran to its end."""

    seconds: float
    peak: float  # GB, its processes together, shared pages counted once


def run(arguments: list[str]) -> Figures:
    refs = int(arguments[0]) if arguments else 17402
    shutil.rmtree(PROJECT / FOLDER, ignore_errors=True)
    try:
        _write_profile(refs)
        yield from _run_all(refs)
    finally:
        shutil.rmtree(PROJECT / PROFILE, ignore_errors=True)
        if "keep" not in arguments:
            shutil.rmtree(PROJECT / FOLDER, ignore_errors=True)


def _run_all(refs: int) -> Figures:
    raw, pipeline = FOLDER / "raw", f"{PROFILE}/dvc.yaml:prepare"
    expect = "rrsis-d" if refs == 17402 else "none"
    yield f"{refs:,} drawn images of 800 x 800 pixels; memory of the processes together, shared pages counted once."
    yield "", "min:s", "images/s", "peak GB", "GB on disk"
    synth = ["harness", "data", "synth", "--refs", str(refs), "--size", "800", "--seed", "0", str(raw)]
    yield _row("`harness data synth`", measure(synth), refs, _size(raw))
    checked = [
        "--expect",
        expect,
        "--json",
        str(FOLDER / "findings.json"),
        "--html",
        str(FOLDER / "card.html"),
    ]
    verified = measure(["harness", "data", "verify", *checked, str(raw)])
    yield _row("`harness data verify`", verified, refs, _size(FOLDER / "card.html"))
    measure(["harness", "data", "source", "--params", f"{PROFILE}/params.yaml"])
    prepared = measure(["harness", "prepare", "--params", f"{PROFILE}/params.yaml"])
    yield _row("`harness prepare`", prepared, refs, _size(FOLDER / "data"))
    # without its cache of runs, which would bring back what an earlier rehearsal made
    yield _row(
        "`dvc repro` of data and prepare", measure(["dvc", "repro", "--no-run-cache", pipeline]), refs, ""
    )
    yield _row("`dvc repro`, nothing to do", measure(["dvc", "repro", pipeline]), None, "")
    for name, measured in (("verify", verified), ("prepare", prepared)):
        held = measured.seconds <= 60 * MINUTES[name] and measured.peak <= GIGABYTES
        yield f"{name}: {'within' if held else 'NOT within'} {MINUTES[name]:g} minutes and {GIGABYTES} GB."


def measure(command: list[str]) -> Measured:
    """Run a command of this environment; its output comes only where it fails."""
    programs = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    peak, started = 0.0, time.perf_counter()
    with subprocess.Popen(
        [str(programs / command[0]), *command[1:]],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output: list[str] = []
        reader = threading.Thread(target=lambda: output.extend(process.stdout or ()))
        reader.start()
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(0.2)
        reader.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{''.join(output)}")
    return Measured(time.perf_counter() - started, peak)


def _memory(pid: int) -> float:
    """Proportional set size of a process and its children, in GB."""
    total = 0
    try:
        for process in (root := psutil.Process(pid), *root.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:  # one has just ended
        pass
    return total / 1e9


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e9:.2f}"


def _row(name: str, measured: Measured, refs: int | None, disk: str) -> tuple[str, ...]:
    minutes, seconds = divmod(round(measured.seconds), 60)
    rate = f"{refs / measured.seconds:.0f}" if refs else ""
    return name, f"{minutes}:{seconds:02}", rate, f"{measured.peak:.2f}", disk


def _write_profile(refs: int) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params |= {"root": "../..", "params": f"{PROFILE}/params.yaml", "out": str(FOLDER)}
    params["data"] = {"dataset": "rehearsal", "root": str(FOLDER / "raw")}
    params["report"] |= {"html": str(FOLDER / "html")}
    (PROJECT / PROFILE).mkdir(parents=True, exist_ok=True)
    (PROJECT / PROFILE / "params.yaml").write_text(yaml.safe_dump(params))
    link = PROJECT / PROFILE / "dvc.yaml"
    link.unlink(missing_ok=True)
    link.symlink_to("../../dvc.yaml")
