"""What a person sees of a training: a live display on a terminal, a plain line now and then elsewhere."""

import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.memory import peak_memory
from harness.progress import SECONDS_A_LINE, clock
from harness.provenance import Phases

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
WIDTH = 80  # columns at most
CELL = 27  # columns of three cells
REFRESHES_A_SECOND = 4
SMOOTHING = 0.1  # weight of a step's loss in the one that is shown
SLOW_CHECKPOINT = 5.0  # seconds from which on a checkpoint is told of
SLOW_DATA = 0.1  # share of the time that waits for batches from which on it is marked
STEPS, DATA_WAIT, CHECKPOINTS, VALIDATION = "steps", "data wait", "checkpoints", "validation"  # phases


class TrainingDisplay:
    """Shows a training on standard error while it is entered.

    Rates and the time left come from the steps of this process, and from all validations of the run.

    Args:
        name: of the run.
        steps: of the whole training.
        epochs: of the whole training.
        batch_size: samples a step, over all processes.
        phases: of the run; "steps", "data wait", "checkpoints" and "validation" are read.
        device: whose memory is shown.
        start: steps that were taken before.
        processes: that train together.
        validate_every: epochs between two validations; the last epoch has one in any case.
        history: rows of the epochs before, with `epoch`, `val_oIoU` and `val_mIoU`.
        stop_reason: what has asked for the training to stop; on a terminal its answer is shown at once.
        shown: False: nothing is shown, as in all processes but the first.
    """

    def __init__(
        self,
        name: str,
        *,
        steps: int,
        epochs: int,
        batch_size: int,
        phases: Phases,
        device: "torch.device",
        start: int = 0,
        processes: int = 1,
        validate_every: int = 1,
        history: Sequence[dict[str, float | None]] = (),
        stop_reason: Callable[[], str | None] = lambda: None,
        shown: bool = True,
    ) -> None:
        self.name, self.steps, self.epochs, self.batch_size = name, steps, epochs, batch_size
        self.phases, self.device, self.processes, self.shown = phases, device, processes, shown
        self.start = self.done = start
        self.stop_reason = stop_reason
        self.validations = epochs // validate_every + (epochs % validate_every > 0)
        self.measured = [
            (int(row["epoch"] or 0), row["val_oIoU"] or 0.0, row["val_mIoU"] or 0.0)
            for row in history
            if row["val_oIoU"] is not None
        ]
        self.loss = self.learning_rate = 0.0
        self.gradient_norm: float | None = None
        self.validated: tuple[int, int] | None = None  # how many rows of how many, while a validation runs
        self.live: Live | None = None
        self.began = self.last_line = time.monotonic()
        self._before: dict[str, float] = {}  # seconds of the phases before this was entered
        self._first_step = 0.0  # seconds; it compiles, starts workers, reads files for the first time
        self._validations = self._told_checkpoints = 0.0  # seconds

    def __enter__(self) -> "TrainingDisplay":
        self._before = self.phases.state_dict()
        self._validations = self.phases.seconds(VALIDATION)
        self.began = self.last_line = time.monotonic()
        if not self.shown:
            return self
        console = Console(stderr=True)
        if sys.stderr.isatty() and not console.is_dumb_terminal:
            self.live = Live(
                get_renderable=self._frame,
                console=console,
                refresh_per_second=REFRESHES_A_SECOND,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # else it goes to a file, and should
            )
            _keep_from_children(self.live)
            self.live.start(refresh=True)
            console.show_cursor(True)  # rich hides it, and a process that is killed would leave it hidden
        many = f"{self.processes} processes on " if self.processes > 1 else ""
        since = f", from step {self.start} on" if self.start else ""
        self.note(
            f"{self.steps} steps of {self.batch_size} in {self.epochs} epochs{since}, {many}{self.device.type}"
        )
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            with suppress(OSError):  # the terminal may be gone
                self.live.stop()
            self.live = None
        if self.done > self.start:
            ending = "took" if self.done == self.steps and error[0] is None else "stopped after"
            self.note("  ".join([*self._state(), f"{ending} {clock(time.monotonic() - self.began)}"]))

    def step(self, loss: float, learning_rate: float, gradient_norm: float | None) -> None:
        """Count a step.

        Args:
            loss: of the global batch.
            learning_rate: of the step.
            gradient_norm: before clipping; None: not known.
        """
        if self.done == self.start:
            self.loss = loss
            self._first_step = self._seconds(STEPS, DATA_WAIT, CHECKPOINTS)
        self.done += 1
        self.loss += SMOOTHING * (loss - self.loss)
        self.learning_rate, self.gradient_norm = learning_rate, gradient_norm
        if (saving := self._seconds(CHECKPOINTS)) != self._told_checkpoints:
            took, self._told_checkpoints = saving - self._told_checkpoints, saving
            if took > SLOW_CHECKPOINT:
                self.note(f"{self._place}  the checkpoint took {clock(took)}")
        self._tell_from_time_to_time()

    def validating(
        self, batches: Iterable[tuple[Sequence[int], T]], total: int
    ) -> Iterator[tuple[Sequence[int], T]]:
        """Yield from this process's (rows, predictions), and show how far a split of `total` rows is."""
        seen = 0
        self.validated = (0, total)
        try:
            for rows, predictions in batches:
                yield rows, predictions
                seen += len(rows) * self.processes  # the others are about as far
                self.validated = (min(seen, total), total)
                self._tell_from_time_to_time()
        finally:
            self.validated = None

    def measure(self, oIoU: float, mIoU: float) -> None:
        """Tell what the validation after the last step gave, in percent."""
        self.measured.append((self.epoch, oIoU, mIoU))
        self._validations = self.phases.seconds(VALIDATION)
        epoch, best = self._best
        ending = "the best so far" if epoch == self.epoch else f"best oIoU {best:.2f} in epoch {epoch}"
        self.note(f"{self._place}  val oIoU {oIoU:.2f}  mIoU {mIoU:.2f}  {ending}")

    def note(self, text: str) -> None:
        """Tell something in a line of its own, above what is live."""
        if self.shown:
            # The log's disk may be full, or its reader gone: no reason to stop a training.
            with suppress(OSError):
                print(f"{self.name}  {text}", file=sys.stderr, flush=True)
            self.last_line = time.monotonic()

    @property
    def epoch(self) -> int:
        """The epoch of the last step, from 1."""
        return (max(self.done, 1) - 1) * self.epochs // self.steps + 1

    @property
    def images_per_second(self) -> float | None:
        """Of all processes together; None before the first step. Validations and checkpoints do not count."""
        samples, seconds = (self.done - self.start) * self.batch_size, self._seconds(STEPS, DATA_WAIT)
        return samples / seconds if samples and seconds else None

    @property
    def seconds_left(self) -> float | None:
        """To the end of the training, the validations to come included; None before the first step."""
        counted, seconds = self.done - self.start, self._seconds(STEPS, DATA_WAIT, CHECKPOINTS)
        if not counted:
            return None
        a_step = (seconds - self._first_step) / (counted - 1) if counted > 1 else seconds
        left = a_step * (self.steps - self.done)
        if self.measured:
            seen, total = self.validated or (0, 1)
            to_come = self.validations - len(self.measured) - seen / max(total, 1)
            left += self._validations / len(self.measured) * to_come
        return left

    @property
    def _place(self) -> str:
        return f"{self.done}/{self.steps}  epoch {self.epoch}/{self.epochs}"

    @property
    def _best(self) -> tuple[int, float]:
        """Epoch and oIoU of the best validation: of equal ones the first, whose weights are kept."""
        return max(((epoch, oIoU) for epoch, oIoU, _ in self.measured), key=lambda measured: measured[1])

    def _seconds(self, *names: str) -> float:
        """Of these phases, since this was entered."""
        return self.phases.seconds(*names) - sum(self._before.get(name, 0.0) for name in names)

    def _state(self) -> list[str]:
        if self.validated is not None:
            return [self._place, "validation {}/{}".format(*self.validated)]
        return [self._place, f"loss {self.loss:.3f}", f"{self.images_per_second or 0:.0f} images/s"]

    def _tell_from_time_to_time(self) -> None:
        if self.shown and self.live is None and time.monotonic() - self.last_line >= SECONDS_A_LINE:
            left = self.seconds_left
            self.note("  ".join([*self._state(), *([] if left is None else [f"{clock(left)} left"])]))

    def _frame(self) -> Group:
        """What is live: a bar, and rows of three cells. Called by rich's thread, while the others go on."""
        doing, validated = f"epoch {self.epoch}/{self.epochs}", self.validated
        if validated is not None:
            doing = "validation {}/{}".format(*validated)
        elif self.phases.current == CHECKPOINTS:
            doing = "saving"
        left = "" if (seconds := self.seconds_left) is None else f"  {clock(seconds)} left"
        counts = f"  {self.done}/{self.steps}  {doing}{left}"
        columns = WIDTH if self.live is None else min(self.live.console.width, WIDTH)
        bar = ProgressBar(self.steps, self.done, width=max(columns - len(self.name) - 2 - len(counts), 4))
        first = Table.grid()
        first.add_row(Text(f"{self.name}  ", "bold"), bar, Text(counts, no_wrap=True, overflow="ellipsis"))
        if self.done == self.start:
            rows = [_row("waiting for the first step")]
        else:
            rows = [_row(*self._measures()), _row(*self._validation()), _row(*self._speed())]
        if (reason := self.stop_reason()) is not None:
            rows.append(
                _row(Text(f"{reason}: this step ends and is saved; a second signal stops at once", "yellow"))
            )
        return Group(first, *rows)

    def _measures(self) -> list[str]:
        norm = "" if self.gradient_norm is None else f"gradient norm {self.gradient_norm:.3g}"
        return [f"loss {self.loss:.4f}", f"learning rate {self.learning_rate:.2e}", norm]

    def _validation(self) -> list[str]:
        if not self.measured:
            return ["no validation yet"]
        (epoch, best), (_, oIoU, mIoU) = self._best, self.measured[-1]
        return [f"val oIoU {oIoU:.2f}", f"val mIoU {mIoU:.2f}", f"best oIoU {best:.2f}, epoch {epoch}"]

    def _speed(self) -> list[str | Text]:
        waiting, working = self._seconds(DATA_WAIT), self._seconds(STEPS)
        share = waiting / (waiting + working) if waiting else 0.0
        return [
            f"{self.images_per_second or 0:.1f} images/s",
            Text(f"data wait {share:.0%}", "yellow" if share > SLOW_DATA else ""),
            f"peak memory {decimal(peak_memory(self.device))}",
        ]


def _row(*cells: str | Text) -> Text:
    row = Text(no_wrap=True, overflow="ellipsis")
    for cell in cells:
        row.pad_right(-len(row) % CELL)
        row.append(cell)
    return row


def _keep_from_children(live: Live) -> None:
    """Give forked loader processes the streams from before `live`.

    Else what they print would draw the display once more, or wait forever for a lock that was held at the fork.
    """
    streams, reference = (sys.stdout, sys.stderr), weakref.ref(live)

    def restore() -> None:
        if (forked := reference()) is not None and forked.is_started:
            sys.stdout, sys.stderr = streams

    os.register_at_fork(after_in_child=restore)
