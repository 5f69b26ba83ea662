"""Several processes, started by torchrun over gloo, do what one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import toy_params

JOB = Path(__file__).with_name("gradient_job.py")
BATCH = 16


def torchrun(processes, *arguments, **options):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    result = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **options,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def profile(prepared, tmp_path_factory):
    """The prepared toy data, and batches of two loss groups of eight."""
    folder = tmp_path_factory.mktemp("distributed")
    params = toy_params(folder)
    (folder / "out").mkdir()
    (folder / "out/data").symlink_to(prepared.out / "data")
    text = params.params.read_text().replace("batch_size: 8", f"batch_size: {BATCH}")
    params.params.write_text(text)
    return params


def gradients(profile, run, mode, folder, processes, sizes):
    torchrun(processes, JOB, profile.params, run, mode, folder, *sizes)
    return {size: torch.load(folder / f"{processes}x{size}.pt") for size in sizes}


def relative_error(found, wanted):
    return ((found - wanted).norm() / wanted.norm()).item()


@pytest.mark.big
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_and_accumulation_leave_the_gradient_as_it_is(profile, tmp_path, processes):
    """With the recipe's own loss, whose groups of eight then span micro-batches and processes; MAFN has every layer.

    In float64, as gradient_job.py says.
    """
    run = "mafn-full-s0"
    whole = gradients(profile, run, "eval", tmp_path, 1, [BATCH, BATCH // 2, BATCH // 4])
    split = gradients(
        profile, run, "eval", tmp_path, processes, [BATCH // processes // parts for parts in (1, 2, 4)]
    )
    reference = whole.pop(BATCH)
    assert reference["gradient"].norm() > 1e-3
    for found in [*whole.values(), *split.values()]:
        assert found["loss"] == pytest.approx(reference["loss"], rel=1e-12)
        assert relative_error(found["gradient"], reference["gradient"]) < 1e-12


@pytest.mark.big
def test_dropout_depends_on_the_place_in_the_batch_not_on_the_process(profile, tmp_path):
    run, size = "rmsin-full-s0", BATCH // 2
    (alone,) = gradients(profile, run, "dropout", tmp_path, 1, [size]).values()
    (shared,) = gradients(profile, run, "dropout", tmp_path, 2, [size]).values()
    (without,) = gradients(profile, run, "eval", tmp_path / ".", 1, [size]).values()
    assert relative_error(shared["gradient"], alone["gradient"]) < 1e-12
    assert relative_error(without["gradient"], alone["gradient"]) > 1e-2
