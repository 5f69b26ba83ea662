"""A hundred fixed inputs a reader; `python -m tests.fuzz --minutes 5` runs for longer."""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
INPUTS = 30


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
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [line for line in figures if line["failures"]]
    told = "".join(path.read_text() for path in sorted(tmp_path.glob("*.txt")))
    assert done.returncode == 0, f"{failed}\n{told}\n{done.stderr[-3000:]}"
    assert all(line["inputs"] >= INPUTS / 2 for line in figures)
    assert len(figures) >= 15
