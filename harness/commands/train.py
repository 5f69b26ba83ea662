"""`harness train`."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option


@click.command(name="train")
@click.option("--run", "name", required=True, help="A run of params.yaml; mafn-s0 is short for mafn-full-s0.")
@params_option
def command(name: str, params_path: Path) -> None:
    """Train one network."""
    from harness.config import load_params

    params = load_params(params_path)
    name = params.run_name(name)
    from harness.training.loop import train

    train(params, name)
