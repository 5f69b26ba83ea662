"""`harness sweep --launcher slurm` on a real cluster, started here; toy_trainer.py stands for the trainer."""

import subprocess
import time
from pathlib import Path

import pytest
from toy_cluster import cluster, missing
from toy_project import behave, environment, events, recorded, started, sweep, wait_until

pytestmark = [pytest.mark.big, pytest.mark.skipif(missing() is not None, reason=missing() or "")]
pytest.importorskip("submitit", reason="pip install -e '.[slurm]'")

ON_SLURM = ["--launcher", "slurm", "--gpus", "0", "--cpus", "2"]
LONG = {"steps": 100_000}


@pytest.fixture(scope="module")
def slurm():
    with cluster() as where:
        yield where


class Jobs:
    """Slurm's commands, and the jobs of a project."""

    def __init__(self, where, project):
        self.environment, self.project = where, project

    def call(self, *command):
        return subprocess.run(
            command, env=environment(**self.environment), capture_output=True, text=True, check=True
        ).stdout

    def submit(self, *names):
        result = sweep(self.project, *ON_SLURM, *names, **self.environment)
        assert result.returncode == 0, result.stderr
        rows = [line.split() for line in result.stdout.splitlines() if ".log" in line]
        return {run: (job, state) for run, job, state, _ in rows}

    def state(self, job):
        return self.call("squeue", "--noheader", "--format=%T", "--states=all", "--jobs", job).strip()

    def wait_for(self, job, *states):
        wait_until(lambda: self.state(job) in states, f"{job} to be {states}")

    def come_back(self, job, restarts):
        """Wait until a requeued job runs again; Slurm lets it wait two minutes, we do not."""

        def is_back():
            if self.call("squeue", "--noheader", "--format=%r", "--jobs", job).strip() == "BeginTime":
                time.sleep(2)  # a start in the second of the requeue has a "job credential revoked"
                self.call("scontrol", "update", f"JobId={job}", "StartTime=now")
                time.sleep(2)
            return len(events(self.project)) > restarts

        wait_until(is_back, f"start {restarts} of {job}")


@pytest.fixture
def jobs(slurm, project):
    found = Jobs(slurm, project)
    yield found
    found.call("scancel", "--user=root")
    wait_until(lambda: not found.call("squeue", "--noheader"), "the end of all jobs")


def step(project):
    return int((project / "out/embedded/training/mafn-full-s0/step").read_text())


def test_each_run_is_a_job_and_a_second_sweep_submits_what_is_left(jobs, project):
    behave(project, lavt_full_s0={"exit": 2}, mafn_full_s0={"steps": 500})
    first = jobs.submit("lavt", "mafn")
    assert {state for _, state in first.values()} == {"submitted"}
    jobs.wait_for(first["lavt-full-s0"][0], "FAILED")
    jobs.wait_for(first["mafn-full-s0"][0], "RUNNING")
    jobs.wait_for(first["mafn-full-s1"][0], "COMPLETED")
    second = jobs.submit("lavt", "mafn")
    assert second["mafn-full-s0"] == (first["mafn-full-s0"][0], "RUNNING")
    assert second["lavt-full-s0"][1] == "submitted"
    assert len(second) == 2
    jobs.wait_for(first["mafn-full-s0"][0], "COMPLETED")
    assert recorded(project) == {"mafn-full-s0", "mafn-full-s1"}
    assert "error: the toy was told to fail" in (project / "out/embedded/sweep/lavt-full-s0.log").read_text()


@pytest.mark.parametrize("how", ["time limit", "requeued", "preempted"])
def test_a_job_that_loses_its_machine_saves_comes_back_and_goes_on(jobs, project, how):
    behave(project, mafn_full_s0=LONG)
    job, _ = jobs.submit("mafn-s0")["mafn-full-s0"]
    started(project)
    if how == "time limit":  # the signal that Slurm sends before it
        jobs.call("scancel", "--signal=USR2", job)
    elif how == "requeued":
        jobs.call("scontrol", "requeue", job)
    else:
        jobs.call(
            "sbatch", "-p", "high", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap", "sleep 3"
        )
    wait_until((project / "out/embedded/training/mafn-full-s0/step").exists, "the saved state")
    saved = step(project)
    behave(project, mafn_full_s0={"steps": saved + 50})
    jobs.come_back(job, restarts=1)
    jobs.wait_for(job, "COMPLETED")
    assert [event["from"] for event in events(project)] == [0, saved]
    assert [event["SLURM_JOB_ID"] for event in events(project)] == [job, job]
    assert recorded(project) == {"mafn-full-s0"}


def test_a_cancelled_job_saves_and_does_not_come_back(jobs, project):
    behave(project, mafn_full_s0=LONG)
    job, _ = jobs.submit("mafn-s0")["mafn-full-s0"]
    started(project)
    jobs.call("scancel", job)
    jobs.wait_for(job, "CANCELLED")
    assert step(project) > 0
    assert not recorded(project)


def test_two_machines_train_one_run_by_torchrun(jobs, project):
    """torchrun says nothing of machines in the stage's command, and takes them from the job."""
    pipeline = project / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("python toy_trainer.py", "torchrun toy_ranks.py"))
    (project / "toy_ranks.py").write_text(Path(__file__).with_name("toy_ranks.py").read_text())
    job, _ = jobs.submit("--nodes", "2", "mafn-s0")["mafn-full-s0"]
    jobs.wait_for(job, "COMPLETED", "FAILED")
    assert recorded(project) == {"mafn-full-s0"}
    assert (project / "out/embedded/runs/mafn-full-s0/provenance.json").read_text() == "1.0 on 2 machines\n"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--partition", "nowhere"], "invalid partition"),
        (["--time", "soon"], "--time soon"),
        (["--time", "2"], "5 minutes at least"),
        (["--slots", "2"], "--slots is not for --launcher slurm"),
    ],
)
def test_what_slurm_cannot_do_is_one_message(jobs, project, options, complaint):
    result = sweep(project, *ON_SLURM, *options, "mafn-s0", **jobs.environment)
    assert result.returncode == 2
    assert complaint in " ".join(result.stderr.split())
