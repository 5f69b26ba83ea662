"""`harness sweep` with the real trainer, at toy size."""

import hashlib
import signal

import pytest
import yaml
from project_copy import dvc_project
from toy_project import begin_sweep, sweep, wait_until

pytestmark = pytest.mark.big
RUNS = ("lavt-full-s0", "mafn-full-s0", "rmsin-full-s0")


@pytest.fixture
def make_copy(tmp_path):
    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        dvc_project(folder)
        content = yaml.safe_load((folder / "params.yaml").read_text())
        content["data"]["synthetic"] = {"refs": 60, "size": 64, "seed": 3}
        content["image_size"] = 64
        content["training"] |= {"epochs": 6, "batch_size": 8}
        (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return folder

    return make


def weights(project):
    """Checksums of what the runs left behind; a missing file is an error."""
    names = ("weights/model.safetensors", "weights/last.safetensors", "history.csv")
    files = [project / "out/embedded/runs" / run / name for run in RUNS for name in names]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_a_sweep_that_was_stopped_leaves_the_same_weights_as_one_that_was_not(make_copy):
    whole, parted = make_copy("whole"), make_copy("parted")
    names = ["--slots", "2", "lavt-s0", "mafn-s0", "rmsin-s0"]
    result = sweep(whole, *names, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr

    process = begin_sweep(parted, *names, OMP_NUM_THREADS="1")
    training = parted / "out/embedded/training"
    wait_until(lambda: list(training.glob("*/step-*.pt")), "the first checkpoint", seconds=300)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert list(training.glob("*/step-*.pt"))
    result = sweep(parted, *names, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    logs = "".join((parted / f"out/embedded/sweep/{run}.log").read_text() for run in RUNS)
    assert " on, cpu" in logs  # "from step 12 on"
    assert weights(parted) == weights(whole)
