"""`harness sweep` on this machine, with real DVC processes; toy_trainer.py stands for the trainer."""

import os
import signal

import psutil
import pytest
import yaml
from toy_project import begin_sweep, behave, events, recorded, started, sweep, wait_until

pytestmark = pytest.mark.big


def ended(process):
    return (
        not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    )  # which nobody may collect here


def outcomes(output):
    """The outcome of each run that was begun, from the summary."""
    return {line.split()[0]: line.split()[1] for line in output.splitlines() if ".log" in line}


def log_of(project, run, out="out/embedded"):
    return (project / out / "sweep" / f"{run}.log").read_text()


def test_runs_train_side_by_side_and_a_failure_leaves_the_others_alone(project):
    """In the paper's profile, whose pipeline lies elsewhere, and on two devices."""
    profile, lock, out = ["--params", "profiles/rrsisd/params.yaml"], "profiles/rrsisd/dvc.lock", "out/rrsisd"
    # The second and the third wait for each other to be in training. Others than we interrupt the fourth.
    behave(
        project,
        lavt_full_s0={"exit": 2},
        rmsin_full_s0={"meet": 1},
        mafn_full_s0={"meet": 1},
        mafn_full_s1={"interrupt": 5},
    )
    result = sweep(project, *profile, "--devices", "3,GPU-5")
    assert result.returncode == 1, result.stderr
    assert recorded(project, lock) == {"rmsin-full-s0", "mafn-full-s0", "mafn-full-s1"}
    assert not recorded(project)
    assert max(map(len, result.stdout.splitlines())) <= 80
    trained = dict.fromkeys(("rmsin-full-s0", "mafn-full-s0", "mafn-full-s1"), "trained")
    assert outcomes(result.stdout) == {"lavt-full-s0": "failed", **trained}
    assert "lavt-full-s0: the toy was told to fail" in result.stdout
    assert "error: the toy was told to fail" in log_of(project, "lavt-full-s0", out)
    assert [event["from"] for event in events(project) if event["run"] == "mafn-full-s1"] == [0, 5]
    assert {event["CUDA_VISIBLE_DEVICES"] for event in events(project)} == {"3", "GPU-5"}
    assert {event["OMP_NUM_THREADS"] for event in events(project)} == {
        str(max(1, len(os.sched_getaffinity(0)) // 2))
    }
    # --dry trains none, and says of each what changed.
    params = project / profile[1]
    content = yaml.safe_load(params.read_text())
    content["variants"]["mafn-full"]["options"] = {"kernels": [1]}
    params.write_text(yaml.safe_dump(content, sort_keys=False))
    dry = sweep(project, *profile, "--dry", "lavt", "rmsin", "mafn-s0")
    assert dry.returncode == 0
    plan = " ".join(dry.stdout.split())
    assert (
        "lavt-full-s0 never trained mafn-full-s0 changed: variants.mafn-full in profiles/rrsisd/params.yaml"
        in plan
    )
    assert plan.endswith("2 to train, 1 up to date")
    assert len(events(project)) == 5


def test_sigterm_lets_trainings_save_and_the_same_command_goes_on(project):
    behave(project, lavt_full_s0={"steps": 5000}, rmsin_full_s0={"linger": 60})
    names = ["--slots", "2", "lavt", "rmsin", "mafn-s0"]
    process = begin_sweep(project, *names)
    started(project, 2)
    wait_until((project / "out/embedded/training/rmsin-full-s0/done").exists, "the end of a training")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 75, errors
    assert "the same command goes on" in output
    assert "mafn-full-s0 not started" in " ".join(output.split())
    # The signal ended the process of the second, too, but its results were there.
    assert outcomes(output) == {"lavt-full-s0": "stopped", "rmsin-full-s0": "trained"}
    assert recorded(project) == {"rmsin-full-s0"}
    saved = int((project / "out/embedded/training/lavt-full-s0/step").read_text())
    behave(project, lavt_full_s0={"steps": saved + 5})
    result = sweep(project, *names)
    assert result.returncode == 0, result.stderr
    assert recorded(project) == {"lavt-full-s0", "rmsin-full-s0", "mafn-full-s0"}
    assert {event["run"]: event["from"] for event in events(project)[2:]} == {
        "lavt-full-s0": saved,
        "mafn-full-s0": 0,
    }


def test_a_second_signal_stops_at_once(project):
    behave(project, mafn_full_s0={"steps": 5000, "hang": 1})
    process = begin_sweep(project, "mafn-s0")
    started(project)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "a second signal stops" in log_of(project, "mafn-full-s0"), "the first signal")
    assert process.poll() is None
    trainer = psutil.Process(events(project)[0]["pid"])
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 75
    assert ended(trainer)


def test_when_the_sweep_is_killed_its_trainings_save_and_end(project):
    behave(project, mafn_full_s0={"steps": 5000})
    process = begin_sweep(project, "mafn-s0")
    started(project)
    trainer = psutil.Process(events(project)[0]["pid"])
    family = [trainer, trainer.parent()]
    process.kill()
    process.communicate()
    wait_until(lambda: all(map(ended, family)), "the end of DVC and the trainer")
    assert (project / "out/embedded/training/mafn-full-s0/step").exists()
    assert not recorded(project)
