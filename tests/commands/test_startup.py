"""What a command imports decides how long it takes to answer; `python -m benchmarks startup` has the times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.samples import write_samples

sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))
from sample_tables import evaluated_profile, sample_table
from toy import PROJECT

NETWORKS = {"torch", "torchvision", "timm", "transformers"}
TABLES = {"numpy", "pandas", "scipy", "pyarrow", "matplotlib", "pydantic", "pycocotools", "PIL", "dvc"}


def imported(*arguments, cwd=PROJECT):
    """The packages that a command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "harness", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return evaluated_profile(tmp_path_factory.mktemp("profile"), n=20, resamples=100).params


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["train", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    assert not imported(*arguments) & (NETWORKS | TABLES)


def test_comparing_files_imports_no_network_and_no_settings(tmp_path):
    for name, quality in (("a", 0.0), ("b", 0.2)):
        write_samples(sample_table(20, quality=quality), tmp_path / f"{name}.parquet")
    found = imported("compare", "a.parquet", "b.parquet", "--resamples", "100", cwd=tmp_path)
    assert "pandas" in found
    assert not found & (NETWORKS | {"matplotlib", "pydantic", "PIL", "dvc"})


@pytest.mark.parametrize(
    "arguments", [["compare", "mafn", "rmsin", "--by", "size"], ["statistics"], ["check", "--layer", "exact"]]
)
def test_what_reads_tables_imports_no_network(profile, arguments):
    if arguments[0] != "check":  # whose reference is the project's
        arguments = [*arguments, "--params", profile]
    assert not imported(*arguments) & NETWORKS


def test_the_audit_reads_numbers_alone():
    assert not imported("audit") & (NETWORKS | {"pandas", "pyarrow", "matplotlib", "pydantic"})
