"""The test predictions of Table I's models: one run of each, the per-sample table and the masks' run lengths."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from harness.config import Params
from harness.errors import HarnessError
from harness.plain_parquet import open_parquet, read_columns
from harness.report.inputs import PROTOCOL
from harness.samples import read_samples

KEY = ["ref_id", "sentence"]
Expression = tuple[int, str]  # ref_id and sentence
MASKS = pa.schema(
    [
        ("ref_id", pa.int64()),
        ("sentence", pa.string()),
        ("prediction", pa.string()),  # run lengths
        ("height", pa.int64()),
        ("width", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Predictions:
    """A model's run on the test split; a gap in words where its files are missing."""

    label: str
    run: str | None
    samples: pd.DataFrame | None = None  # the per-sample table by (ref_id, sentence)
    masks: dict[Expression, tuple[str, int, int]] = field(default_factory=dict)  # run lengths, height, width
    gap: str | None = None


def read_predictions(params: Params) -> list[Predictions]:
    """The models of Table I in its order, each of the first seed that all of them have."""
    rows = params.tables.table1.rows
    runs = first_common_seed(params, tuple(rows.values()))
    return [
        _read(label, runs[variant], params.run_dir(runs[variant]))
        if variant in runs
        else Predictions(label, None, gap=f"No run of {variant} has predictions.parquet")
        for label, variant in rows.items()
    ]


def first_common_seed(params: Params, variants: Sequence[str]) -> dict[str, str]:
    """Variant -> run: of the first seed that all of them have; of each one's first seed if there is none."""
    runs: dict[str, dict[int, str]] = {variant: {} for variant in variants}
    for name, run in params.runs.items():
        if run.variant in runs and (params.run_dir(name) / "predictions.parquet").exists():
            runs[run.variant][run.seed] = name
    there = [set(seeds) for seeds in runs.values() if seeds]
    common = sorted(set.intersection(*there)) if there else []
    return {
        variant: seeds[common[0]] if common else seeds[min(seeds)] for variant, seeds in runs.items() if seeds
    }


def read_masks(path: Path) -> pd.DataFrame:
    """The columns of `MASKS` of a run's predictions.

    Raises:
        ValueError, OSError: it cannot be read, or a value is missing.
    """
    with open_parquet(path, MASKS) as file:
        masks = read_columns(file, MASKS)
        if any(column.null_count for column in masks.columns):
            raise ValueError("a value is missing")
        frame: pd.DataFrame = masks.to_pandas()
        return frame


def _read(label: str, run: str, folder: Path) -> Predictions:
    try:
        samples = read_samples(folder / f"test.{PROTOCOL}.parquet")
    except HarnessError:
        return Predictions(label, run, gap=f"{run}: no per-sample table of test")
    try:
        masks = read_masks(folder / "predictions.parquet")
    except (OSError, ValueError):
        return Predictions(label, run, gap=f"{run}: predictions.parquet is missing or cannot be read")
    stored = {
        (ref_id, sentence): (counts, height, width)
        for ref_id, sentence, counts, height, width in masks.drop_duplicates(KEY).itertuples(index=False)
    }
    return Predictions(label, run, samples.drop_duplicates(KEY).set_index(KEY), stored)
