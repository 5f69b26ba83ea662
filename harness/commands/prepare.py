"""`harness prepare`."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option


@click.command(name="prepare")
@params_option
def command(params_path: Path) -> None:
    """Turn the data set into one Arrow file a split, and make the tokenizer."""
    from harness.config import load_params
    from harness.data.prepare import prepare

    counts = prepare(load_params(params_path))
    click.echo(
        "prepared " + ", ".join(f"{split} {count:,}" for split, count in counts.items()) + " expressions"
    )
