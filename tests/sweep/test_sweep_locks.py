"""A sweep and DVC's locks: waiting, saying for whom, and never training twice because of one."""

import subprocess
import sys
from pathlib import Path

import pytest
from toy_project import begin_sweep, behave, dvc_command, environment, events, recorded, started, sweep

# DVC's lock of the project, taken as DVC takes it: flock, and the process id as the file's content.
HOLD = """
import fcntl, os, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.truncate(0)
print(f" {os.getpid()}", file=file, flush=True)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> "subprocess.Popen[str]":
    """A process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.big
def test_a_training_that_dvc_failed_to_record_is_recorded_and_not_repeated(project):
    behave(project, mafn_full_s0={"steps": 60})
    process = begin_sweep(project, "mafn-s0")
    started(project)
    # What DVC on another machine does that believes the lock's owner dead: its process is not there.
    (project / ".dvc/tmp/rwlock").write_text("{}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    log = (project / "out/embedded/sweep/mafn-full-s0.log").read_text()
    assert "ERROR: failed to reproduce" in log
    assert "dvc commit --force" in log
    assert recorded(project) == {"mafn-full-s0"}
    assert len(events(project)) == 1
    again = sweep(project, "mafn-s0")
    assert again.returncode == 0
    assert "Nothing to train" in again.stdout


@pytest.mark.big
def test_a_lock_held_longer_than_dvc_waits_at_the_end_of_a_training(project):
    behave(project, mafn_full_s0={"steps": 150})
    process = begin_sweep(project, "mafn-s0")
    started(project)
    # The guard of the list of locked paths: `--wait-for-lock` does not wait for it, but fails after 3 seconds.
    holder = hold(project / ".dvc/tmp/rwlock.lock", 8)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    log = (project / "out/embedded/sweep/mafn-full-s0.log").read_text()
    assert "Unable to acquire lock" in log
    assert recorded(project) == {"mafn-full-s0"}
    assert len(events(project)) == 1
    holder.wait()


@pytest.mark.big
def test_who_holds_the_lock_is_said_and_the_sweep_goes_on_after_it(project):
    (project / ".dvc/tmp").mkdir(exist_ok=True)
    holder = hold(project / ".dvc/tmp/lock", 15)
    result = sweep(project, "mafn-s0")
    assert result.returncode == 0, result.stderr
    assert f"waiting for DVC's lock, held by process {holder.pid}" in result.stderr
    assert recorded(project) == {"mafn-full-s0"}


@pytest.mark.big
def test_a_run_that_is_trained_elsewhere_is_waited_for_and_not_trained_again(project):
    behave(project, mafn_full_s0={"steps": 700})
    other = subprocess.Popen(
        dvc_command("repro", "--single-item", "train@mafn-full-s0"), cwd=project, env=environment()
    )
    started(project)
    dry = sweep(project, "--dry", "mafn")
    assert f"in the hands of process {other.pid}" in " ".join(dry.stdout.split())
    result = sweep(project, "mafn")
    assert result.returncode == 0, result.stderr
    assert f"waits for process {other.pid} (dvc repro --single-item train@mafn-full-s0)" in result.stderr
    assert {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if ".log" in line} == {
        "mafn-full-s0": "unchanged",
        "mafn-full-s1": "trained",
    }
    assert sorted(event["run"] for event in events(project)) == ["mafn-full-s0", "mafn-full-s1"]
    assert other.wait() == 0
