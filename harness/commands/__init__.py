"""The commands, one module each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click


def params_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--params FILE`."""
    return click.option(
        "--params",
        "params_path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("params.yaml"),
        show_default=True,
        help="The profile: profiles/rrsisd/params.yaml is the paper's.",
    )(function)
