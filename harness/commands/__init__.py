"""The commands, one module each."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from harness.commands.completion import profiles

DEFAULT = Path("params.yaml")
STAGES = "prepare|train|evaluate|features|statistics|report build"
_profile = DEFAULT  # of the command that runs


def _remember(ctx: click.Context, option: click.Parameter, value: Path) -> Path:
    global _profile
    _profile = value
    return value


def params_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--params FILE`."""
    return click.option(
        "--params",
        "params_path",
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT,
        show_default=True,
        callback=_remember,
        shell_complete=profiles,
        help="The profile: profiles/rrsisd/params.yaml is the paper's.",
    )(function)


def in_profile(message: str) -> str:
    """An error's message whose ways out act on the profile that `--params` named, not on the default one."""
    if _profile == DEFAULT:
        return message
    message = re.sub(
        rf"`(harness (?:{STAGES})(?:(?!--params|--weights)[^`])*)`", rf"`\1 --params {_profile}`", message
    )
    return message.replace("`dvc repro`", f"`dvc repro {_profile.with_name('dvc.yaml')}`")
