"""A profile with one small network and three seeds."""

from pathlib import Path
from typing import Any

from toy import toy_params

from harness.config import Params

ROWS = {"rows": {"LAVT": "lavt-full"}, "splits": ["val"]}
SMALL = {
    "variants": {"lavt-full": {"model": "lavt"}},
    "runs": {f"lavt-full-s{seed}": {"variant": "lavt-full", "seed": seed} for seed in range(3)},
    "tables": dict.fromkeys(("table1", "table2", "table3"), ROWS),
}


def small_profile(folder: Path, **changes: Any) -> Params:
    return toy_params(folder, **{**SMALL, **changes})


def finish(params: Params, run: str) -> None:
    """Leave what a finished run leaves, as far as a plan looks at it."""
    weights = params.run_dir(run) / "weights" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    (params.run_dir(run) / "provenance.json").write_text("{}")
