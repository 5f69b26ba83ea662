"""The tables that a reader sees, made once more from per-sample tables: of `harness compare`, and Table I."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from harness.comparing.formats import as_text
from harness.comparing.sheet import make_sheet
from harness.config import Params
from harness.files import write_json
from harness.statistics import compare_all


def compare_table(samples: dict[str, pd.DataFrame], resamples: int) -> list[str]:
    """The lines that `harness compare` prints for two models, by what they are called."""
    return as_text(make_sheet(compare_all(samples, n_resamples=resamples), None), plain=True).splitlines()


def table_one(params: Params, samples: dict[str, pd.DataFrame], resamples: int) -> list[str]:
    """Table I of the report, of the tables given: a line a row and metric, * for the best of a column.

    It goes the report's way, by statistics.json.
    """
    from harness.report.inputs import STATISTICS_VERSION, read_statistics
    from harness.report.tables import paper_table
    from harness.statistics.summary import summarize_runs

    content = {
        "schema_version": STATISTICS_VERSION,
        "profile": params.profile,
        "dataset": params.data.dataset,
        "settings": params.statistics.model_dump() | {"resamples": resamples},
        "summaries": [
            summarize_runs(table, n_resamples=resamples, confidence=params.statistics.confidence).to_dict()
            for table in samples.values()
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "statistics.json"
        write_json(path, content)
        statistics = read_statistics(path)
    nothing_published: Any = SimpleNamespace(
        tables={"table1": ()}
    )  # only what is measured belongs to the gate
    table = paper_table("table1", params, statistics, nothing_published)
    lines = []
    for row in table.measured:
        for cell in row.cells:
            if cell.measure is None or cell.measure.interval is None:  # a split that is not gated
                continue
            low, high = cell.measure.interval
            per_seed = ", ".join(f"{value:.2f}" for value in cell.measure.per_seed)
            lines.append(
                f"{row.name} {cell.metric}: {cell.measure.value:.2f}{'*' if cell.best else ''} "
                f"({low:.2f} to {high:.2f}); by seed {per_seed}"
            )
    return lines
