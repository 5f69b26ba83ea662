"""A training that was interrupted comes out as one that was not."""

import json
import os
import random
import re
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest
from jobs import ALONE, RUN, finish, kill_all, results, start, torchrun, toy_profile

from harness.config import Pretrained
from harness.data.dataset import open_dataset
from harness.data.loader import rows_of_steps
from harness.errors import HarnessError
from harness.training import loop
from harness.training import step as step_module

pytestmark = pytest.mark.big
KILLS = 10


def saved(params):
    return sorted(path.name for path in params.training_dir(RUN).glob("step-*.pt"))


def wait_for_step(params, process, step):
    """Wait until a checkpoint of at least this step is there."""
    while not any(int(name[5:14]) >= step for name in saved(params)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def fill(path):
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(1 << 16))


@pytest.mark.parametrize(
    ("processes", "workers", "micro_batch"),
    # Every pair of settings once; RRSIS_ALL_KILLS=1 takes all eight.
    [(1, 0, None), (1, 2, 4), (2, 0, 2), (2, 2, None)]
    + ([(1, 0, 4), (1, 2, None), (2, 0, None), (2, 2, 2)] if os.environ.get("RRSIS_ALL_KILLS") else []),
)
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(
    prepared, tmp_path, processes, workers, micro_batch
):
    launcher = ALONE if processes == 1 else torchrun(processes)
    settings = {"workers": workers, "micro_batch": micro_batch, "epochs": 4}
    whole = toy_profile(prepared, tmp_path / "whole", **settings)
    began = time.monotonic()
    finish(start(whole, launcher=launcher))
    duration = time.monotonic() - began

    killed = toy_profile(prepared, tmp_path / "killed", **settings)
    draw = random.Random(f"{processes} {workers} {micro_batch}")
    resumed = 0
    for _ in range(KILLS):
        before = saved(killed)
        process = start(killed, launcher=launcher)
        # Half of the kills within a step or two of the last checkpoint, the others anywhere from the start on.
        if draw.random() < 0.5:
            deadline = time.monotonic() + duration
            while saved(killed) == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.3))
        else:
            time.sleep(draw.uniform(0, duration))
        resumed += bool(before)
        kill_all(process)
    said = finish(start(killed, launcher=launcher))
    assert resumed >= 3, "most of the kills came before the first checkpoint"
    assert results(killed) == results(whole)
    assert "curves/plots/metrics/train/loss.tsv" in results(killed), said


def test_a_kill_and_a_resume_give_the_same_bytes(prepared, tmp_path):
    whole, killed = (toy_profile(prepared, tmp_path / name) for name in ("whole", "killed"))
    finish(start(whole))
    process = start(killed)
    wait_for_step(killed, process, 4)
    kill_all(process)
    assert "from step " in finish(start(killed))
    assert results(killed) == results(whole)
    assert set(results(whole)) >= {
        "weights/model.safetensors",
        "weights/last.safetensors",
        "history.csv",
        "curves/plots/metrics/train/loss.tsv",
        "curves/plots/metrics/val/oIoU.tsv",
    }
    left = {path.name for path in killed.training_dir(RUN).iterdir()}
    assert left <= {"lock"}
    record = json.loads((killed.run_dir(RUN) / "provenance.json").read_text())
    assert [session["ending"] for session in record["sessions"]] == ["interrupted", "finished"]
    assert record["sessions"][1]["from_step"] == record["sessions"][0]["to_step"] >= 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_from_outside_ends_the_step_saves_and_says_so(prepared, tmp_path, number):
    params = toy_profile(prepared, tmp_path, epochs=100, checkpoint_every=1000)
    process = start(params)
    wait_for_step(params, process, 3)
    process.send_signal(number)
    said = finish(process, 75)
    assert f"stopped by {number.name}" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not params.run_dir(RUN).exists()
    last = int(saved(params)[-1][5:14])
    assert f"saved after step {last} of 300" in said
    process = start(params)
    wait_for_step(params, process, last + 1)
    process.send_signal(number)
    assert f"from step {last} on" in finish(process, 75)


def test_a_signal_to_torchrun_reaches_all_processes(prepared, tmp_path):
    params = toy_profile(prepared, tmp_path, epochs=100)
    process = start(params, launcher=torchrun(2))
    wait_for_step(params, process, 3)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert said.count("the same command goes on") == 1
    assert "saved after step" in said


@pytest.mark.parametrize("step", [0, 3])  # 0: before the processes have found each other, or while they train
def test_when_torchrun_is_killed_its_processes_end_by_themselves(prepared, tmp_path, step):
    params = toy_profile(prepared, tmp_path, epochs=100)
    process = start(params, launcher=torchrun(2))
    if step:
        wait_for_step(params, process, step)
    else:
        while not psutil.Process(process.pid).children():
            time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    said, _ = process.communicate(timeout=60)  # it waits for all that hold its output
    # The first process says why it stops, or that another one was the first to see it.
    stopped = re.search("stopped by (the end of its parent process|another process) and saved", said)
    assert bool(stopped) == (step > 0), said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_processes_that_the_command_itself_starts_leave_with_its_code(prepared, tmp_path):
    """`harness train --processes 2`: as many processes, the same bytes as torchrun's, a stop is a stop."""
    own, torchruns = (toy_profile(prepared, tmp_path / name) for name in ("own", "torchruns"))
    command = [*ALONE, "train", "--run", RUN, "--params", str(own.params), "--processes", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    wait_for_step(own, process, 3)
    process.send_signal(signal.SIGTERM)
    said = finish(process, 75)
    assert said.count("the same command goes on") == 1
    assert "Traceback" not in said
    subprocess.run(command, check=True, env=environment, capture_output=True)
    finish(start(torchruns, launcher=torchrun(2)))
    assert results(own) == results(torchruns)
    bad = subprocess.run(
        [*command[:-1], "3"], env=environment, capture_output=True, text=True
    )  # the batch has eight samples
    assert bad.returncode == 2
    assert bad.stderr.count("error: ") == 1
    assert "does not divide among 3 processes" in bad.stderr


def test_a_second_writer_is_refused(prepared, tmp_path):
    params = toy_profile(prepared, tmp_path, epochs=100)
    first = start(params)
    wait_for_step(params, first, 1)
    said = finish(start(params), 2)
    assert f"another training of this run (process {first.pid})" in said
    assert said.count("error: ") == 1
    assert first.poll() is None
    kill_all(first)


class StopsAt:
    """Stands in front of the step's gradient and sends this process a signal in step `step`, from 0."""

    def __init__(self, monkeypatch, step, number=signal.SIGTERM):
        self.step, self.number, self.real = step, number, loop.accumulate_gradient
        monkeypatch.setattr(loop, "accumulate_gradient", self)

    def __call__(self, *arguments, seed, **options):
        if seed[1] == self.step:
            signal.raise_signal(self.number)
        return self.real(*arguments, seed=seed, **options)


@pytest.mark.parametrize(
    ("number", "step"),  # in the middle of an epoch, and at the last step of one, after which val is due
    [(signal.SIGTERM, 3), (signal.SIGINT, 5)],
)
def test_stopped_by_a_signal_it_goes_on_to_the_same_bytes(
    prepared, tmp_path, monkeypatch, capfd, uninterrupted, step, number
):
    params = toy_profile(prepared, tmp_path)
    stops = StopsAt(monkeypatch, step, number)
    with pytest.raises(SystemExit) as left:
        loop.train(params, RUN)
    assert left.value.code == 75
    assert f"stopped by {number.name} and saved after step {step + 1} of 9" in capfd.readouterr().err
    assert saved(params)[-1] == f"step-{step + 1:09}.pt"
    assert not params.run_dir(RUN).exists()
    stops.step = None
    loop.train(params, RUN)
    assert f"from step {step + 1} on" in capfd.readouterr().err
    assert results(params) == uninterrupted


@pytest.fixture(scope="module")
def uninterrupted(prepared, tmp_path_factory):
    params = toy_profile(prepared, tmp_path_factory.mktemp("whole"))
    loop.train(params, RUN)
    return results(params)


def test_a_stop_while_looking_at_val_is_one_before_it(prepared, tmp_path, monkeypatch, uninterrupted):
    params = toy_profile(prepared, tmp_path)
    real = loop.predict

    def predict(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments, **options)

    monkeypatch.setattr(loop, "predict", predict)
    with pytest.raises(SystemExit):
        loop.train(params, RUN)
    assert saved(params)[-1] == "step-000000003.pt"
    monkeypatch.setattr(loop, "predict", real)
    loop.train(params, RUN)
    assert results(params) == uninterrupted


def test_a_corrupt_last_checkpoint_is_told_and_the_one_before_it_goes_on(
    prepared, tmp_path, monkeypatch, capfd, uninterrupted
):
    params = toy_profile(prepared, tmp_path)
    StopsAt(monkeypatch, 4)
    with pytest.raises(SystemExit):
        loop.train(params, RUN)
    monkeypatch.undo()
    last = params.training_dir(RUN) / "step-000000005.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    loop.train(params, RUN)
    said = "".join(capfd.readouterr())
    assert "step-000000005.pt is damaged" in said
    assert "from step 4 on" in said
    assert results(params) == uninterrupted


def test_a_changed_parameter_starts_anew_and_says_what_changed(prepared, tmp_path, monkeypatch, capfd):
    params = toy_profile(prepared, tmp_path, epochs=100)
    StopsAt(monkeypatch, 4)
    with pytest.raises(SystemExit):
        loop.train(params, RUN)
    monkeypatch.undo()
    params = params.model_copy(update={"training": params.training.model_copy(update={"epochs": 1})})
    loop.train(params, RUN)
    said = "".join(capfd.readouterr())
    assert "recipe.epochs was 100, is 1" in said
    assert "from step" not in said
    assert any((params.training_dir(RUN) / "set-aside-1").glob("step-*.pt"))


def test_a_loss_that_is_not_finite_names_its_samples_and_changes_nothing(
    prepared, tmp_path, monkeypatch, uninterrupted
):
    """A NaN in one micro-batch of two, in the sixth step."""
    params = toy_profile(prepared, tmp_path, micro_batch=4)
    real, planted = step_module.segmentation_loss, []

    def segmentation_loss(logits, *arguments):
        planted.append(len(planted))
        loss = real(logits, *arguments)
        return loss * float("nan") if len(planted) == 2 * 5 + 2 else loss

    monkeypatch.setattr(step_module, "segmentation_loss", segmentation_loss)
    with pytest.raises(HarnessError, match="the loss of step 6 is not finite") as caught:
        loop.train(params, RUN)
    rows = rows_of_steps(28, 8, seed=0, epoch=1, first_step=2, micro_batch=4)[1]
    refs = open_dataset(params, "train").table["ref_id"].take(rows).to_pylist()
    assert f"ref_ids {', '.join(map(str, refs))}." in str(caught.value)
    assert saved(params)[-1] == "step-000000004.pt"
    monkeypatch.undo()
    loop.train(params, RUN)
    assert sorted(results(params)) == sorted(uninterrupted)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_a_full_disk_is_one_error_and_the_last_checkpoint_goes_on(prepared, tmp_path):
    whole = toy_profile(prepared, tmp_path / "whole")
    finish(start(whole))
    params = toy_profile(prepared, tmp_path / "full")
    folder = params.training_dir(RUN)
    folder.mkdir(parents=True)
    size = sum(len(content) for content in results(whole).values())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={8 * size}", "tmpfs", folder], check=True)
    try:
        process = start(params)
        wait_for_step(params, process, 2)
        fill(folder / "ballast")
        said = finish(process, 2)
        assert "No space left on device" in said
        assert said.count("error: ") == 1
        assert "Traceback" not in said
        assert saved(params)
        (folder / "ballast").unlink()
        assert "from step " in finish(start(params))
        assert results(params) == results(whole)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_resume_needs_no_pretrained_weights(prepared, tmp_path, monkeypatch):
    """They may be far away; the checkpoint has all that they were."""
    params = toy_profile(prepared, tmp_path)
    stops = StopsAt(monkeypatch, 1)
    with_source = params.training.model_copy(
        update={"pretrained": Pretrained(swin="nowhere", bert="nowhere")}
    )
    params = params.model_copy(update={"training": with_source})
    loaded = []
    monkeypatch.setattr(loop, "load_pretrained", lambda *arguments: loaded.append(arguments))
    with pytest.raises(SystemExit):
        loop.train(params, RUN)
    stops.step = None
    loop.train(params, RUN)
    assert len(loaded) == 1
