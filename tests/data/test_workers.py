import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.data.workers import ordered_map
from harness.errors import HarnessError


def slow_square(number):
    time.sleep(0.05 if number % 3 == 0 else 0)
    return number * number


def fail_at_five(number):
    if number == 5:
        raise HarnessError("five")
    return number


def die_at_five(number):
    if number == 5:
        os._exit(9)
    return number


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_tasks_are_taken_as_needed(workers):
    taken = []

    def tasks():
        for number in range(40):
            taken.append(number)
            yield number

    results = ordered_map(slow_square, tasks(), workers)
    assert next(results) == 0
    assert len(taken) <= 4 * 3 + 2
    assert [0, *results] == [number * number for number in range(40)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_work_is_raised_here(workers):
    with pytest.raises(HarnessError, match="five"):
        list(ordered_map(fail_at_five, range(30), workers))


def test_a_killed_process_is_one_clear_error():
    with pytest.raises(HarnessError, match="worker process was killed"):
        list(ordered_map(die_at_five, range(30), 2))


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys, time\n"
        "from harness.data.workers import ordered_map\n"
        "def work(number):\n"
        "    open(f'{sys.argv[1]}/{os.getpid()}', 'w').close()\n"
        "    time.sleep(0.05)\n"
        "if __name__ == '__main__':\n"
        "    for _ in ordered_map(work, range(10_000), 2): pass\n"
    )
    pids = tmp_path / "pids"
    pids.mkdir()
    parent = subprocess.Popen([sys.executable, script, str(pids)])
    deadline = time.monotonic() + 30
    while len(list(pids.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    workers = [int(path.name) for path in pids.iterdir()]
    assert len(workers) == 2
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in workers)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
