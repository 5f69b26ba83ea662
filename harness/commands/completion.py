"""What the shell offers for names of runs, models and profiles. It waits for the answer: no settings are validated."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem


def run_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The runs of the profile that `--params` names."""
    return _starting(_names(ctx, "runs"), incomplete)


def sides(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str] | list[CompletionItem]:
    """What `harness compare` takes: models, variants, runs; else files."""
    variants = _names(ctx, "variants")
    short = [name.removesuffix("-full") for name in variants if name.endswith("-full")]
    return _starting([*short, *variants, *_names(ctx, "runs")], incomplete) or _files(incomplete)


def profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str] | list[CompletionItem]:
    """The project's params.yaml files; else files."""
    found = [Path("params.yaml"), *sorted(Path("profiles").glob("*/params.yaml"))]
    return _starting([path.as_posix() for path in found if path.is_file()], incomplete) or _files(incomplete)


def _names(ctx: click.Context, section: str) -> list[str]:
    """Keys of a section of the profile; none where it cannot be read, which the command itself will say."""
    import yaml

    from harness.commands import DEFAULT

    try:
        content: Any = yaml.safe_load(
            Path(ctx.params.get("params_path") or DEFAULT).read_text(encoding="utf-8")
        )
        return [str(name) for name in content[section]]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return []


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _files(incomplete: str) -> list[CompletionItem]:
    """Leave it to the shell."""
    return [CompletionItem(incomplete, type="file")]
