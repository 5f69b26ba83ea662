"""What the choice of the weights on val does: the best epoch beside the last, on val and on test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from harness.errors import HarnessError
from harness.files import read_json
from harness.report.inputs import PROTOCOL, Run
from harness.report.wording import count, listing, signed

SPLITS = ("val", "test")
METRICS = ("oIoU", "mIoU")  # the weights are chosen by the first


@dataclass(frozen=True)
class BestAndLast:
    """One metric of the chosen weights and of the last ones, in percent: the mean over the seeds."""

    split: str
    metric: str
    best: float
    last: float

    @property
    def difference(self) -> float:
        """What the choice gains, in points."""
        return self.best - self.last


@dataclass(frozen=True)
class CheckpointRow:
    """A variant over the seeds whose last weights were evaluated."""

    variant: str
    seeds: tuple[int, ...]
    missing_seeds: tuple[int, ...]
    epochs: str  # of the best weights, seed by seed, "2 of 2"
    cells: tuple[BestAndLast, ...]  # val oIoU, val mIoU, test oIoU, test mIoU


@dataclass(frozen=True)
class Checkpoints:
    """The section: a row for each variant that has figures, and in a sentence what they say."""

    rows: tuple[CheckpointRow, ...]
    finding: str
    missing: str  # which runs have no figures of their last weights


def read_checkpoints(runs: Sequence[Run]) -> Checkpoints:
    """Best and last weights of the runs, from their metrics.json; what is missing is said, not an error."""
    runs = [run for run in runs if run.weights is None]  # a weights file alone has no last weights
    measured = {run.name: cells for run in runs if (cells := _cells(run.folder / "metrics.json")) is not None}
    rows = []
    for variant in dict.fromkeys(run.variant for run in runs):
        of_variant = [run for run in runs if run.variant == variant]
        present = [run for run in of_variant if run.name in measured]
        if present:
            rows.append(
                CheckpointRow(
                    variant,
                    tuple(run.seed for run in present),
                    tuple(run.seed for run in of_variant if run not in present),
                    _epochs([epochs for run in present if (epochs := best_epoch(run)) is not None]),
                    _mean([measured[run.name] for run in present]),
                )
            )
    absent = [run.name for run in runs if run.name not in measured]
    return Checkpoints(
        tuple(rows),
        _finding(list(measured.values())) if measured else "",
        f"No figures of their last weights: {listing(absent)}." if absent else "",
    )


def best_epoch(run: Run) -> tuple[int, int] | None:
    """The epoch with the highest val oIoU, the first of equals, and the number of epochs; None if not recorded."""
    if run.history is None or not {"epoch", "val_oIoU"} <= set(run.history.columns):
        return None
    figures = pd.to_numeric(run.history["val_oIoU"], errors="coerce").to_numpy()
    if np.isnan(figures).all():
        return None
    epochs = run.history["epoch"].to_numpy()
    return int(epochs[np.nanargmax(figures)]), int(epochs.max())


def _cells(path: Path) -> tuple[BestAndLast, ...] | None:
    try:
        summaries = read_json(path, "harness evaluate")
        return tuple(
            BestAndLast(
                split,
                metric,
                float(summaries[split][PROTOCOL][metric]),
                float(summaries[f"{split}-last"][PROTOCOL][metric]),
            )
            for split in SPLITS
            for metric in METRICS
        )
    except (HarnessError, KeyError, TypeError, ValueError):
        return None


def _mean(measured: Sequence[tuple[BestAndLast, ...]]) -> tuple[BestAndLast, ...]:
    return tuple(
        BestAndLast(
            cells[0].split,
            cells[0].metric,
            sum(cell.best for cell in cells) / len(cells),
            sum(cell.last for cell in cells) / len(cells),
        )
        for cells in zip(*measured, strict=True)
    )


def _epochs(found: Sequence[tuple[int, int]]) -> str:
    """ "2 of 2", "38, 40 and 40 of 40"; each with its own total where those differ."""
    totals = {total for _, total in found}
    if len(totals) == 1:
        return f"{listing([str(epoch) for epoch, _ in found])} of {totals.pop()}"
    return listing([f"{epoch} of {total}" for epoch, total in found]) if found else "not recorded"


def _finding(measured: Sequence[tuple[BestAndLast, ...]]) -> str:
    """In how many runs the choice made a difference, and what difference on average."""
    same = sum(all(cell.difference == 0 for cell in cells) for cells in measured)
    if same == len(measured):
        return f"The last weights are the best ones in {'the one run' if same == 1 else f'all {same} runs'}."
    gains = {cell.split: signed(cell.difference) for cell in _mean(measured) if cell.metric == METRICS[0]}
    return (
        f"The last weights are the best ones in {same} of {count(len(measured), 'run')}. Over all of them, the choice "
        f"changes {METRICS[0]} by {gains['val']} points on val and by {gains['test']} on test, on average."
    )
