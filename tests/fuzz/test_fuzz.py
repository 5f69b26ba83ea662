"""Fixed inputs, the same every time; `python -m tests.fuzz --minutes 5` draws new ones for as long as told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
INPUTS = 150  # of each reader


@pytest.mark.big
def test_no_reader_raises_anything_else_crashes_hangs_or_fills_memory(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--here",
        "--examples",
        str(INPUTS),
        "--kept",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    failed = {line["name"]: line["failures"] for line in figures if line["failures"]}
    told = "".join(path.read_text() for path in sorted(tmp_path.glob("*.txt")))
    assert done.returncode == 0, f"{failed}\n{told[-5000:]}\n{done.stderr[-3000:]}"
    assert len(figures) == 18
    assert all(line["inputs"] >= INPUTS for line in figures)
