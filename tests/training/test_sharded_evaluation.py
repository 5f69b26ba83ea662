"""Processes that torchrun started evaluate as one does."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from toy import toy_params

from harness.evaluation import evaluate_run
from harness.training.checkpoint import build_network, checkpoint_file, last_file, save_checkpoint

RUN = "mafn-full-s0"
JOB = Path(__file__).with_name("evaluation_job.py")


def torchrun(processes, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    result = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def profile(prepared, tmp_path_factory):
    """Two networks from different seeds as the best and the last weights of a run; two batches of val, four of test."""
    folder = tmp_path_factory.mktemp("sharded")
    params = toy_params(folder, evaluation={"batch_size": 2, "protocols": ["resized", "native"]})
    (folder / "out").mkdir()
    (folder / "out/data").symlink_to(prepared.out / "data")
    for step, file in enumerate((checkpoint_file(params, RUN), last_file(params, RUN))):
        torch.manual_seed(step)
        save_checkpoint(build_network(params, params.runs[RUN]), file, {"run": RUN, "step": step})
    return params


@pytest.fixture(scope="module")
def alone(profile):
    """Every file that one process writes."""
    evaluate_run(profile, RUN)
    return take(profile.run_dir(RUN))


def take(folder):
    """Read the files of an evaluation and remove them."""
    files = [*folder.glob("*.parquet"), folder / "metrics.json"]
    content = {file.name: file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    return content


@pytest.mark.big
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_write_the_bytes_of_one(profile, alone, processes):
    """Three have more processes than val has batches."""
    assert len(alone) == 9
    assert len(set(alone.values())) == 9, "best and last differ, and so do sentences and protocols"
    done = torchrun(processes, "-m", "--", "harness", "evaluate", "--run", RUN, "--params", profile.params)
    shared = take(profile.run_dir(RUN))
    assert shared.keys() == alone.keys()
    assert [name for name in alone if shared[name] != alone[name]] == []
    assert done.stdout.count(f"{RUN}: test mIoU") == 1, "process 0 alone speaks"


@pytest.mark.big
def test_a_stop_or_an_error_of_one_process_is_that_of_all(profile, alone, tmp_path):
    torchrun(2, JOB, profile.params, RUN, tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first["asked"], second["asked"]) == (2, 1), (
        "the stopped one looks no further, the other has two batches"
    )
    assert first["training_again"]
    assert second["training_again"]
    wanted = pd.read_parquet(io.BytesIO(alone["test.resized.parquet"]))
    predictions = pd.read_parquet(io.BytesIO(alone["predictions.parquet"]))
    for seen in (first, second):
        assert seen["intersection"] == wanted["intersection"].tolist(), "every process has all rows, in order"
        assert seen["predictions"] == predictions["prediction"].tolist()
    assert first["error"] == "row 2 cannot be decoded"
    assert second["left_with"] == 2, "process 0 has said it"
