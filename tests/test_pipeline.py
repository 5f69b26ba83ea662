"""The DVC pipeline: all profiles resolve, and the stages run in order from nothing to the report."""

import pytest
from project_copy import dvc_project, run, toy_settings, write_settings
from toy import PROJECT

from harness.config import load_params


@pytest.mark.parametrize("path", ["params.yaml", "profiles/rrsisd/params.yaml", "profiles/seeds/params.yaml"])
def test_every_run_has_its_folder_in_the_repository(path):
    """dvc.yaml says why: a plan cannot be shown if a dependency does not exist."""
    params = load_params(PROJECT / path)
    for folder in (
        "source",
        "data",
        "features",
        "statistics",
        *(f"runs/{name}/weights" for name in params.runs),
    ):
        assert (PROJECT / params.out / folder / ".gitkeep").is_file(), f"touch {params.out / folder}/.gitkeep"


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        ("dvc.yaml", "params.yaml"),
        pytest.param("profiles/rrsisd/dvc.yaml", "profiles/rrsisd/params.yaml", marks=pytest.mark.big),
        pytest.param("profiles/seeds/dvc.yaml", "profiles/seeds/params.yaml", marks=pytest.mark.big),
    ],
)
def test_all_profiles_resolve_every_stage(tmp_path, path, profile):
    dvc_project(tmp_path)
    params = load_params(PROJECT / profile)
    plan = run("dvc", "repro", "--dry", "--allow-missing", path, cwd=tmp_path)
    stages = [
        line.split("'")[1].split(":")[-1] for line in plan.splitlines() if line.startswith("Running stage")
    ]
    single = ["data", "prepare", "trivial", "features", "statistics", "report"]
    expected = single + [f"{stage}@{name}" for stage in ("train", "evaluate") for name in params.runs]
    assert sorted(stages) == sorted(expected)
    assert all(f"--params {params.params}" in line for line in plan.splitlines() if line.startswith("> "))


@pytest.mark.big
def test_the_pipeline_runs_from_nothing_to_the_report_and_then_has_nothing_to_do(tmp_path):
    dvc_project(tmp_path)
    content = toy_settings(("lavt-full-s0", "mafn-full-s0", "mafn-full-s1", "mafn-k1-s0"))
    write_settings(tmp_path, content)
    run("dvc", "repro", cwd=tmp_path)
    assert (tmp_path / "reports/html/index.html").is_file()
    page = (tmp_path / "reports/html/tables.html").read_text()
    assert all(f"Table {number}" in page for number in ("I", "II", "III"))
    again = run("dvc", "repro", cwd=tmp_path)
    assert "Running stage" not in again
    assert "Data and pipelines are up to date." in again
    # Nor does a setting of the report train or evaluate anything.
    content["report"]["features"] = 2
    write_settings(tmp_path, content)
    plan = run("dvc", "repro", "--dry", cwd=tmp_path)
    assert [line.split("'")[1] for line in plan.splitlines() if line.startswith("Running stage")] == [
        "features",
        "report",
    ]
    # A network's own settings concern its own stages only.
    content["variants"]["mafn-k1"]["options"] = {"kernels": [3]}
    write_settings(tmp_path, content)
    plan = run("dvc", "repro", "--dry", cwd=tmp_path)
    ran = [line.split("'")[1] for line in plan.splitlines() if line.startswith("Running stage")]
    assert ran[:1] == ["train@mafn-k1-s0"]
    assert not [stage for stage in ran if stage.startswith("train@") and "k1-" not in stage]


def test_all_profiles_have_the_one_pipeline():
    for path in PROJECT.glob("profiles/*/dvc.yaml"):
        assert not path.is_symlink(), "DVC reads no links in a commit, so `dvc metrics diff` would fail"
        assert path.read_bytes() == (PROJECT / "dvc.yaml").read_bytes(), f"cp dvc.yaml {path}"
