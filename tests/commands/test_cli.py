import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from toy import PROJECT, toy_params

HARNESS = Path(sys.executable).with_name("harness")


def harness(*arguments, cwd=PROJECT, **environment):
    result = subprocess.run(
        [HARNESS, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "80", "NO_COLOR": "1"} | environment,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in result.stderr
    return result


def test_help_lists_every_command_and_fits_80_columns(tmp_path):
    result = harness("--help", cwd=tmp_path)
    assert result.returncode == 0
    for command in (
        "data",
        "prepare",
        "train",
        "evaluate",
        "statistics",
        "compare",
        "audit",
        "check",
        "report",
    ):
        assert f" {command} " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_an_unknown_command_is_answered_with_the_closest():
    result = harness("comapre", "mafn", "rmsin")
    assert result.returncode == 2
    assert "compare" in result.stderr


def test_bad_input_is_one_message_and_exit_code_2(tmp_path):
    for arguments in (
        ["train", "--run", "mafn-s7"],
        ["train", "--run", "mafn-s0", "--params", tmp_path / "none.yaml"],
        ["evaluate"],
        ["evaluate", "--run", "mafn-s0", "--trivial"],
        ["data", "synth", "--refs", "2", tmp_path / "x"],
        ["data", "synth", "--size", "big", tmp_path / "x"],
    ):
        result = harness(*arguments)
        assert result.returncode == 2, arguments
        assert result.stderr.strip(), arguments
        assert not result.stdout


@pytest.mark.big
def test_stages_out_of_order_name_the_stage_before(tmp_path):
    toy_params(tmp_path)
    for command, needed in ((["prepare"], "data source"), (["train", "--run", "mafn-s0"], "prepare")):
        result = harness(*command, "--params", tmp_path / "params.yaml")
        assert result.returncode == 2
        assert f"harness {needed}" in result.stderr


def test_synth_draws_a_data_set_and_then_leaves_it(tmp_path):
    arguments = [
        "data",
        "synth",
        "--refs",
        "12",
        "--size",
        "64",
        "--seed",
        "1",
        "--workers",
        "2",
        tmp_path / "set",
    ]
    assert harness(*arguments).returncode == 0
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}
    assert len([path for path in files if path.suffix == ".jpg"]) == 12
    assert harness(*arguments).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")} == files
    other = harness("data", "synth", "--refs", "13", "--size", "64", "--seed", "1", tmp_path / "set")
    assert other.returncode == 2
    assert "refs 12 instead of 13" in other.stderr.replace("\n", " ")


@pytest.mark.parametrize("break_line", ["epochs: 2", "preset: mini"])
def test_a_typo_in_params_is_named(tmp_path, break_line):
    key = break_line.split(":")[0]
    text = (PROJECT / "params.yaml").read_text().replace(break_line, break_line.replace(key, key + "x", 1))
    (tmp_path / "params.yaml").write_text(text)
    result = harness("prepare", "--params", tmp_path / "params.yaml")
    assert result.returncode == 2
    assert f"Did you mean {key!r}?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        (["report", "build"], "`harness statistics --params profiles/rrsisd/params.yaml`"),
        (["evaluate", "--run", "mafn-s2401"], "`harness prepare --params profiles/rrsisd/params.yaml`"),
        (["statistics"], "`dvc repro profiles/rrsisd/dvc.yaml`"),
        (["train", "--run", "mafn-s0"], "of mafn it has mafn-full-s2401, mafn-full-s2402, mafn-full-s2403"),
    ],
)
def test_the_way_out_is_that_of_the_profile(tmp_path, arguments, way_out):
    content = yaml.safe_load((PROJECT / "profiles/rrsisd/params.yaml").read_text())
    (tmp_path / "profiles/rrsisd").mkdir(parents=True)
    (tmp_path / "profiles/rrsisd/params.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "reports").symlink_to(PROJECT / "reports")
    result = harness(*arguments, "--params", "profiles/rrsisd/params.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert way_out in result.stderr
