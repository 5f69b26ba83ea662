import json
import math
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch

from harness.errors import HarnessError
from harness.training.curves import Curves

STEPS_AN_EPOCH, EPOCHS, EVERY = 7, 3, 4


def record(curves, first=0, last=STEPS_AN_EPOCH * EPOCHS):
    """Steps `first` + 1 to `last` of a training, with the ends of its epochs; evaluated in all but the first."""
    for step in range(first + 1, last + 1):
        norm = {3: math.inf, 9: None}.get(step, 2 / step)
        curves.step(step, 1 / step, 1e-3 / (step + 1), norm)
        if step % STEPS_AN_EPOCH == 0:
            epoch = step // STEPS_AN_EPOCH
            quality = 10 * epoch / 3 if epoch > 1 else None
            curves.epoch(
                {
                    "epoch": epoch,
                    "step": step,
                    "loss": 1.1 / step,
                    "learning_rate": 1e-3 / (step + 1),
                    "val_oIoU": quality,
                    "val_mIoU": quality and quality / 2,
                }
            )


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(folder, curve):
    return pd.read_csv(folder / f"plots/metrics/{curve}.tsv", sep="\t")


@contextmanager
def largest_file(size):
    """No file may grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_points_are_means_over_the_steps_since_the_last(tmp_path):
    record(Curves(tmp_path / "c", every=EVERY))
    loss = table(tmp_path / "c", "train/loss")
    assert loss["step"].tolist() == [4, 7, 8, 12, 14, 16, 20, 21], "every 4 steps, and at each epoch's end"
    expected = {4: [1, 2, 3, 4], 7: [5, 6, 7], 8: [8], 12: [9, 10, 11, 12]}
    for step, steps in expected.items():
        mean = sum(1 / s for s in steps) / len(steps)
        assert loss.set_index("step").loc[step, "loss"] == pytest.approx(mean, rel=1e-14)
    rate = table(tmp_path / "c", "train/learning_rate").set_index("step")["learning_rate"]
    assert rate[8] == 1e-3 / 9, "the rate of the step itself"
    norm = table(tmp_path / "c", "train/gradient_norm").set_index("step")["gradient_norm"]
    assert norm[4] == pytest.approx((2 / 1 + 2 / 2 + 2 / 4) / 3), "without the step that overflowed"
    assert norm[12] == pytest.approx((2 / 10 + 2 / 11 + 2 / 12) / 3)


def test_an_epoch_is_a_point_of_what_was_evaluated(tmp_path):
    record(Curves(tmp_path / "c", every=EVERY))
    assert table(tmp_path / "c", "train/epoch_loss")["step"].tolist() == [7, 14, 21]
    assert table(tmp_path / "c", "val/oIoU").to_numpy().tolist() == [[14, 20 / 3], [21, 10]]
    assert table(tmp_path / "c", "val/mIoU")["mIoU"].tolist() == [10 / 3, 5]
    last = json.loads((tmp_path / "c/metrics.json").read_text())
    assert last["step"] == 21
    assert last["val"] == {"oIoU": 10, "mIoU": 5}


@pytest.mark.parametrize(("saved", "killed"), [(2, 3), (7, 13), (10, 21), (14, 14)])
def test_a_resumed_run_leaves_the_bytes_of_an_uninterrupted_one(tmp_path, saved, killed):
    """The checkpoint is older than what is on disk; it passes through torch.save."""
    whole = Curves(tmp_path / "whole", every=EVERY)
    record(whole)
    first = Curves(tmp_path / "c", every=EVERY)
    record(first, 0, saved)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    record(first, saved, killed)
    resumed = Curves(tmp_path / "c", every=EVERY)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    record(resumed, saved)
    assert files(tmp_path / "c") == files(tmp_path / "whole")
    assert len(files(tmp_path / "c")) == 7
    assert resumed.state_dict() == whole.state_dict()
    assert resumed.history == whole.history


def test_the_published_files_are_those_of_the_training_and_replace_older_ones(tmp_path):
    curves = Curves(tmp_path / "training/c", every=EVERY)
    record(curves)
    (tmp_path / "run/c/plots/metrics").mkdir(parents=True)
    (tmp_path / "run/c/plots/metrics/of_before.tsv").write_text("step\tof_before\n")
    curves.publish(tmp_path / "run/c")
    assert files(tmp_path / "run/c") == files(tmp_path / "training/c")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["c"]


def test_the_history_is_a_row_an_epoch(tmp_path):
    curves = Curves(None, every=EVERY)
    record(curves)
    curves.write_history(tmp_path / "history.csv")
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history) == ["epoch", "step", "loss", "learning_rate", "val_oIoU", "val_mIoU"]
    assert history["step"].tolist() == [7, 14, 21]
    assert history["val_mIoU"].isna().tolist() == [True, False, False]
    assert history["loss"].tolist() == [1.1 / 7, 1.1 / 14, 1.1 / 21], "all digits"


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(Curves(None, every=1))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_no_training_and_all_is_written_later(tmp_path, capsys):
    curves = Curves(tmp_path / "c", every=1)
    record(curves, 0, 8)
    loss = tmp_path / "c/plots/metrics/train/loss.tsv"
    loss.unlink()
    loss.symlink_to("/dev/full")
    record(curves, 8, 13)
    told = capsys.readouterr().err
    assert f"{tmp_path}/c: the curves cannot be written (No space left on device)" in told
    assert told.count("\n") == 1, "told once, not at each step"
    record(curves, 13)
    whole = Curves(tmp_path / "whole", every=1)
    record(whole)
    assert files(tmp_path / "c") == files(tmp_path / "whole")


def test_results_that_cannot_be_published_are_an_error(tmp_path):
    curves = Curves(None, every=1)
    record(curves)
    (tmp_path / "run/c").mkdir(parents=True)
    (tmp_path / "run/c/kept").touch()
    with largest_file(100), pytest.raises(HarnessError, match=r"cannot write .*run/c: File too large"):
        curves.publish(tmp_path / "run/c")
    assert list(files(tmp_path)) == ["run/c/kept"], "nothing half written, nothing lost"


def test_dvclive_writes_files_and_does_nothing_else(tmp_path):
    """In git's repository without a commit, where DVCLive would make one of DVC's; with an access token set."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    code = (
        "import socket, sys, threading\n"
        "from pathlib import Path\n"
        "def refused(*arguments): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refused\n"
        "from harness.training.curves import Curves\n"
        "curves = Curves(Path('c'), every=1)\n"
        "assert 'dvclive' not in sys.modules, 'imported by whoever writes no curves'\n"
        "for step in range(1, 4): curves.step(step, 1.0, 1.0, 1.0)\n"
        "curves.load_state_dict(Curves(None, every=1).state_dict())\n"
        "for step in range(1, 4): curves.step(step, 1.0, 1.0, 1.0)\n"
        "curves.epoch({'step': 3, 'loss': 1.0, 'val_oIoU': 1.0, 'val_mIoU': 1.0})\n"
        "curves.publish(Path('d'))\n"
        "assert 'dvclive' in sys.modules\n"
        "assert (sys.stdout, sys.stderr) == (sys.__stdout__, sys.__stderr__)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    environment = {
        "DVC_STUDIO_TOKEN": "isat_token",
        "DVC_STUDIO_REPO_URL": "git@localhost:some/repository",
        "DVC_STUDIO_URL": "http://127.0.0.1:9",
        "DVCLIVE_TEST": "1",
        "DVCLIVE_RESUME": "1",
    }
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".git", "c", "d"]
    assert table(tmp_path / "c", "train/loss")["step"].tolist() == [1, 2, 3]


def test_dvc_plots_the_published_files(tmp_path):
    curves = Curves(None, every=EVERY)
    record(curves)
    curves.publish(tmp_path / "curves")
    (tmp_path / "dvc.yaml").write_text("plots:\n  - curves/plots/metrics: {x: step}\n")
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    command = [*dvc, "plots", "show", "--json", "--split", "-o", "plots"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    plots = json.loads(told)["data"]
    assert set(plots) == {
        f"curves/plots/metrics/{name}.tsv"
        for name in (
            "train/loss",
            "train/learning_rate",
            "train/gradient_norm",
            "train/epoch_loss",
            "val/oIoU",
            "val/mIoU",
        )
    }
    shown = plots["curves/plots/metrics/val/oIoU.tsv"][0]["anchor_definitions"]
    assert (shown["<DVC_METRIC_X_LABEL>"], shown["<DVC_METRIC_Y_LABEL>"]) == ("step", "oIoU")
    points = [(int(point["step"]), float(point["oIoU"])) for point in shown["<DVC_METRIC_DATA>"]]
    assert points == [(14, 20 / 3), (21, 10)]


def test_tensorboard_gets_the_same_curves_also_after_a_resumption(tmp_path):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = Curves(tmp_path / "c", every=EVERY, tensorboard=tmp_path / "t")
    record(first, 0, 10)
    resumed = Curves(tmp_path / "c", every=EVERY, tensorboard=tmp_path / "t")
    resumed.load_state_dict(first.state_dict())
    record(first, 10, 18)
    record(resumed, 10)
    assert len(list((tmp_path / "t").iterdir())) == 1
    events = loading.EventAccumulator(str(tmp_path / "t")).Reload()
    for curve in ("train/loss", "val/oIoU"):
        written = [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(curve)]
        assert written == [tuple(row) for row in table(tmp_path / "c", curve).to_numpy().tolist()]


def test_tensorboard_that_is_not_installed_is_named_with_the_way_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(HarnessError, match=r"pip install 'rrsis-harness\[tensorboard\]'"):
        Curves(tmp_path / "c", every=1, tensorboard=tmp_path / "t")
