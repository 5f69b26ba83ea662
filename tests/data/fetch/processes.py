"""`harness data fetch` as a user runs it: a process of its own."""

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HARNESS = [Path(sys.executable).with_name("harness"), "data", "fetch", "rrsis-d"]


def start(*arguments: str | Path, limit: int | None = None, **how) -> subprocess.Popen:
    """`harness data fetch rrsis-d ...` in a process of its own; no file of it may be larger than `limit` bytes."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how}
    if limit is not None:
        how["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.Popen([*HARNESS, *map(str, arguments)], **how)


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def refused(*arguments: str | Path) -> str:
    """What a fetch says that ends with one error, run by a user whom permissions bind, as they do not bind root."""
    bound: list[str] = []
    if os.geteuid() == 0:
        bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if shutil.which("setpriv") is None or subprocess.run([*bound, "true"]).returncode:
            pytest.skip("root may read everything here")
    process = subprocess.run([*bound, *HARNESS, *map(str, arguments)], capture_output=True, text=True)
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    assert process.stderr.count("error: ") == 1
    return process.stderr
