"""What a training has measured: points over its steps, a row an epoch.

The lists are in every checkpoint, and the files are made from them: whatever a killed process left on disk, a resumed
run's files are byte for byte those of a run that was never interrupted. Nothing that depends on time is in them. In the
folder of the curves, as DVCLive lays them out:

    plots/metrics/train/{loss,learning_rate,gradient_norm}.tsv   a point every so many steps, and at an epoch's end
    plots/metrics/train/epoch_loss.tsv, val/{oIoU,mIoU}.tsv      a point an epoch
    metrics.json                                                 the last value of each, as of an epoch's end
"""

import heapq
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from harness.errors import HarnessError
from harness.files import atomic_write

Row = dict[str, float | None]
Point = tuple[int, dict[str, float]]  # steps taken, value of each curve that has one there
POINT_COLUMNS = ("step", "train/loss", "train/learning_rate", "train/gradient_norm")
EPOCH_CURVES = {
    "train/epoch_loss": "loss",
    "val/oIoU": "val_oIoU",
    "val/mIoU": "val_mIoU",
}  # column of the row


class Curves:
    """The curves of one run.

    Points are written as they come. A write that fails stops no training: that is told, and all is written again at the
    end of the next epoch.

    Args:
        folder: of DVCLive's files; None: nothing is written.
        every: steps a point; loss and gradient norm are means over them.
        tensorboard: folder of the same curves for TensorBoard; None: none.

    Raises:
        HarnessError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path | None, *, every: int, tensorboard: Path | None = None) -> None:
        if tensorboard is not None and find_spec("tensorboard") is None:
            raise HarnessError(
                "training.tensorboard is true, but TensorBoard is not installed: "
                "`pip install 'rrsis-harness[tensorboard]'`, or set it to false"
            )
        self.folder, self.every, self.tensorboard = folder, every, tensorboard
        self.history: list[Row] = []
        self._points: dict[str, list[Any]] = {name: [] for name in POINT_COLUMNS}
        self._interval = _Interval()
        self._writers: list[_Writer] | None = None  # None: the files lack what the lists have
        self._failed = False

    def step(self, step: int, loss: float, learning_rate: float, gradient_norm: float | None) -> None:
        """Record a step.

        Args:
            step: steps taken, this one included.
            loss: of the global batch.
            learning_rate: of this step.
            gradient_norm: before clipping; None or not finite, where a scaler left the step out: no part of the mean.
        """
        self._interval.add(step, loss, learning_rate, gradient_norm)
        if step % self.every == 0:
            self._end_interval()

    def epoch(self, row: Row) -> None:
        """Record an epoch: epoch, step, loss (its mean), learning_rate, val_oIoU, val_mIoU; None: not evaluated."""
        if self._interval.count:
            self._end_interval()
        self.history.append(dict(row))
        self._failed = False
        self._write(_point_of(row), summary=True)

    def publish(self, folder: Path) -> None:
        """Write all of DVCLive's files to `folder`, in place of what is there.

        Raises:
            HarnessError: they cannot be written.
        """
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            self._fill(_DVCLive(temporary))
            for path in temporary.rglob("*"):
                if path.is_file():
                    with path.open("rb") as written:
                        os.fsync(written.fileno())
            if folder.exists():
                shutil.rmtree(folder)
            temporary.replace(folder)
        except OSError as error:
            raise HarnessError(
                f"cannot write {folder}: {error.strerror or error}; set that right and give the same command again, "
                "the training itself is kept"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def write_history(self, path: Path) -> None:
        """Write the rows of the epochs as a CSV file.

        Raises:
            HarnessError: it cannot be written.
        """
        with atomic_write(path) as temporary:
            pd.DataFrame(self.history).to_csv(temporary, index=False)

    def state_dict(self) -> dict[str, Any]:
        """All that was recorded: numbers, None and strings, in lists and dicts."""
        return {
            "points": {name: list(values) for name, values in self._points.items()},
            "interval": asdict(self._interval),
            "history": [dict(row) for row in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._points = {name: list(state["points"][name]) for name in POINT_COLUMNS}
        self._interval = _Interval(**state["interval"])
        self.history = [dict(row) for row in state["history"]]
        self._writers, self._failed = None, False

    def _end_interval(self) -> None:
        for name, value in zip(POINT_COLUMNS, self._interval.point(), strict=True):
            self._points[name].append(value)
        self._interval = _Interval()
        self._write(self._point(-1), summary=False)

    def _point(self, number: int) -> Point:
        step, *values = (self._points[name][number] for name in POINT_COLUMNS)
        named = zip(POINT_COLUMNS[1:], values, strict=True)
        return step, {name: value for name, value in named if value is not None}

    def _recorded(self) -> Iterator[Point]:
        """All points in the order in which they were recorded."""
        points = (self._point(number) for number in range(len(self._points["step"])))
        return heapq.merge(points, map(_point_of, self.history), key=lambda point: point[0])

    def _fill(self, writer: "_Writer") -> None:
        for point in self._recorded():
            writer.write(*point)
        writer.summarize()

    def _write(self, point: Point, *, summary: bool) -> None:
        """Write the point that was just recorded, or all of them where the files do not have those before."""
        if self.folder is None or self._failed:
            return
        try:
            if self._writers is None:
                self._writers = self._filled_writers(self.folder)
            else:
                for writer in self._writers:
                    writer.write(*point)
                    if summary:
                        writer.summarize()
        except OSError as error:
            self._writers, self._failed = None, True
            with suppress(OSError):  # the log may be on that disk
                print(
                    f"{self.folder}: the curves cannot be written ({error.strerror or error}). They are kept in the "
                    "checkpoints, and written anew at the end of the next epoch",
                    file=sys.stderr,
                    flush=True,
                )

    def _filled_writers(self, folder: Path) -> "list[_Writer]":
        writers: list[_Writer] = [_DVCLive(folder)]
        if self.tensorboard is not None:
            writers.append(_TensorBoard(self.tensorboard))
        for writer in writers:
            self._fill(writer)
        return writers


@dataclass
class _Interval:
    """The steps since the last point."""

    count: int = 0
    loss: float = 0.0  # the sum
    norms: int = 0
    norm: float = 0.0  # the sum
    step: int = 0  # the last
    learning_rate: float = 0.0  # of the last

    def add(self, step: int, loss: float, learning_rate: float, gradient_norm: float | None) -> None:
        self.count += 1
        self.loss += loss
        if gradient_norm is not None and math.isfinite(gradient_norm):
            self.norms += 1
            self.norm += gradient_norm
        self.step, self.learning_rate = step, learning_rate

    def point(self) -> tuple[int, float, float, float | None]:
        """Values of `POINT_COLUMNS`."""
        norm = self.norm / self.norms if self.norms else None
        return self.step, self.loss / self.count, self.learning_rate, norm


def _point_of(row: Row) -> Point:
    values = {curve: row[column] for curve, column in EPOCH_CURVES.items()}
    return int(row["step"] or 0), {curve: value for curve, value in values.items() if value is not None}


class _Writer(Protocol):
    """Files of curves, empty when it is made. Raises OSError where one cannot be written."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...

    def summarize(self) -> None: ...


class _DVCLive:
    """DVCLive, for its files alone.

    Left to itself it looks for a DVC repository, makes one where there is only git's, and gives up where git's has no
    commit. With an access token of DVC Studio it sends the curves there, and `next_step` and `end` start a thread and
    read all files again in any case. So the former is overridden, and the latter are not called.
    """

    def __init__(self, folder: Path) -> None:
        streams = sys.stdout, sys.stderr
        from dvclive.live import Live

        sys.stdout, sys.stderr = streams  # DVC has had them wrapped on import

        class Files(Live):
            def _init_dvc(self) -> None: ...

            _init_test = _init_studio = _init_dvc

        if folder.exists():
            shutil.rmtree(folder)
        self._live = Files(str(folder), report=None, save_dvc_exp=False, dvcyaml=None)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)

    def summarize(self) -> None:
        self._live.summary.pop("step", None)  # to be put last again: the same bytes however often
        self._live.make_summary()  # type: ignore[no-untyped-call]


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if folder.exists():
            shutil.rmtree(folder)
        self._events = SummaryWriter(str(folder))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def summarize(self) -> None:
        self._events.flush()
