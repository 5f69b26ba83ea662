"""`harness sweep`: what it refuses, and what its arguments mean."""

import shutil

import pytest
from toy_project import RUNS, sweep

from harness.config import load_params
from harness.errors import HarnessError
from harness.sweep.pending import chosen_runs
from harness.sweep.slots import make_slots, parse_devices
from harness.sweep.slurm import Resources, minutes_of


def complaint(result):
    assert result.returncode == 2, result.stdout
    return " ".join(result.stderr.split())


def test_a_project_that_cannot_be_swept_is_one_message_with_a_way_out(project, tmp_path):
    shutil.copy(project / "params.yaml", tmp_path)
    assert "run from the project's folder" in complaint(sweep(tmp_path))
    (project / "profiles/rrsisd/dvc.yaml").unlink()
    lost = complaint(sweep(project, "--params", "profiles/rrsisd/params.yaml"))
    assert "`ln -s ../../dvc.yaml profiles/rrsisd/dvc.yaml`" in lost
    shutil.copy(project / "dvc.yaml", tmp_path)
    assert "dvc init" in complaint(sweep(tmp_path))
    # DVC would read params.yaml, whatever the copy says.
    shutil.copy(project / "params.yaml", project / "copy.yaml")
    assert "`params: params.yaml`" in complaint(sweep(project, "--params", "copy.yaml"))
    (project / "out/embedded/sweep").write_text("")
    assert "cannot write out/embedded/sweep/lavt-full-s0.log" in complaint(sweep(project, "lavt"))
    (project / "dvc.yaml").write_text("stages: []")
    assert "dvc.yaml" in complaint(sweep(project))


def test_names_mean_runs_in_the_order_of_the_params_file(project, monkeypatch):
    monkeypatch.chdir(project)
    params = load_params("params.yaml")
    assert chosen_runs(params, []) == RUNS
    assert chosen_runs(params, ["mafn", "lavt-s0"]) == (RUNS[0], *RUNS[2:])
    assert chosen_runs(params, ["mafn-full", "mafn-full-s1"]) == RUNS[2:]
    with pytest.raises(HarnessError, match="Did you mean 'mafn'"):
        chosen_runs(params, ["mafm"])
    with pytest.raises(HarnessError, match="Did you mean 'mafn-full-s1'"):
        chosen_runs(params, ["mafn-full-s7"])


def test_slots_share_devices_and_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("harness.sweep.slots.cores", lambda: 8)
    assert [slot.environment for slot in make_slots(None, ["2", "5"])] == [
        {"CUDA_VISIBLE_DEVICES": "2", "OMP_NUM_THREADS": "4"},
        {"CUDA_VISIBLE_DEVICES": "5", "OMP_NUM_THREADS": "4"},
    ]
    shared = make_slots(3, ["2", "5"])
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in shared] == ["2", "5", "2"]
    assert [slot.environment["OMP_NUM_THREADS"] for slot in make_slots(3, [])] == ["2"] * 3
    assert [slot.environment["OMP_NUM_THREADS"] for slot in make_slots(None, [])] == ["1"] * 8
    # One slot has what there is without a sweep.
    assert [slot.environment for slot in make_slots(1, ["2"])] == [{"CUDA_VISIBLE_DEVICES": "2"}]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in make_slots(4, [])[0].environment
    assert (parse_devices("0, GPU-5"), parse_devices(""), parse_devices(None)) == (["0", "GPU-5"], [], None)
    for devices in ("0,,1", "0,0"):
        with pytest.raises(HarnessError, match="--devices"):
            parse_devices(devices)


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        ("90", 90),
        ("90:30", 91),
        ("8:00:00", 480),
        ("1-12", 36 * 60),
        ("1-0:30", 24 * 60 + 30),
        ("1-2:3:4", 1564),
    ],
)
def test_times_are_read_as_slurm_reads_them(time, minutes):
    assert minutes_of(time) == minutes


def test_resources_come_from_the_options():
    options = dict.fromkeys(("partition", "time", "nodes", "gpus", "cpus"))
    assert Resources.from_options({**options, "sbatch": ()}) == Resources(others={})
    given = Resources.from_options({**options, "gpus": 0, "sbatch": ("qos=long", "--exclusive")})
    assert given == Resources(gpus=0, others={"qos": "long", "exclusive": True})
    for time in ("4", "soon", "-1"):
        with pytest.raises(HarnessError, match="--time"):
            minutes_of(time)
