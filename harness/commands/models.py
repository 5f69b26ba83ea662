"""`harness models`: the networks, their sizes, and how they stand against the released ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from harness.commands import params_option

if TYPE_CHECKING:
    from harness.complexity import Complexity

WIDTH = 80
TRAINED_VOCABULARY = 400  # of the embedded profile: a trained vocabulary is the data set's


@click.command(name="models")
@click.option("--preset", default="swin-b", show_default=True, help="Sizes: swin-b, as released, or mini.")
@click.option(
    "--image-size", type=click.IntRange(32), help="Side of the image in pixels; 480 with swin-b, else 96."
)
@params_option
def command(preset: str, image_size: int | None, params_path: Path) -> None:
    """List the networks with their parameters and operations.

    The networks are the variants of params.yaml and, beside them, every registered model. Exit
    code 1: one of them cannot be built.
    """
    from rich import box
    from rich.console import Console, JustifyMethod
    from rich.progress import track
    from rich.table import Table

    from harness.complexity import complexity, shown_gflop
    from harness.config import Text
    from harness.errors import HarnessError

    side = image_size or (480 if preset == "swin-b" else 96)
    words = Text().vocab_size if preset == "swin-b" else TRAINED_VOCABULARY
    rows, failed = [], []
    networks = _networks(params_path)
    progress = Console(stderr=True)
    for name, (model, options) in track(networks.items(), "counting", console=progress, transient=True):
        try:
            found = complexity(model, preset=preset, image_size=side, options={"vocab_size": words} | options)
        except HarnessError as error:
            failed.append(f"{name}: {error}")
            continue
        share, work, computes = _against_released(model, preset, options, found, side)
        rows.append((name, f"{found.parameters:,}", share, shown_gflop(found.flops), work, computes))
    if not rows:
        raise HarnessError(failed[0])

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    headings = ("network", "parameters", "of released", "GFLOP", "of released", "computes")
    kept = [column for column in range(len(headings)) if any(row[column] for row in rows)]
    for column in kept:
        justify: JustifyMethod = "right" if 0 < column < 5 else "left"
        table.add_column(headings[column], justify=justify, no_wrap=column < 5, overflow="fold")
    for row in rows:
        table.add_row(*(row[column] for column in kept))
    console = Console(width=WIDTH, highlight=False)
    console.print(f"Preset {preset}, one image of {side} x {side} pixels and 20 words, forward", style="bold")
    console.print(table)
    for line in failed:
        click.echo(f"cannot be built: {line}", err=True)
    if failed:
        sys.exit(1)


def _networks(params_path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Model and options by the name that is shown."""
    from harness.config import load_params
    from harness.models import list_models

    networks: dict[str, tuple[str, dict[str, Any]]] = {}
    if params_path.exists():
        variants = load_params(params_path).variants
        networks = {name: (variant.model, dict(variant.options)) for name, variant in variants.items()}
    shown = [model for model, options in networks.values() if not options]
    return networks | {name: (name, {}) for name in list_models() if name not in shown}


def _against_released(
    model: str, preset: str, options: dict[str, Any], found: "Complexity", side: int
) -> tuple[str, str, str]:
    """Shares of the released network's parameters and operations, and what is computed."""
    from baselines.official import RELEASED
    from harness.registry import MODELS

    if model not in RELEASED:
        return "", "", f"package {MODELS.package(model)}"
    if options.get("fidelity", "released") != "released":
        return "", "", "the paper"
    if options:
        return "", "", "an ablation"
    if preset != "swin-b":
        return "", "", "the same, smaller"
    released = RELEASED[model]
    work = f"{found.flops / 1e9 / released.gflop:.0%}" if side == 480 else ""
    return f"{found.parameters / released.parameters:.0%}", work, "as released"
