"""`harness train`."""

import os
import sys
from pathlib import Path

import rich_click as click

from harness.commands import params_option
from harness.commands.completion import run_names


@click.command(name="train")
@click.argument("run", required=False, shell_complete=run_names)
@click.option(
    "--run",
    "name",
    shell_complete=run_names,
    help="A run of params.yaml; mafn-s0 is short for mafn-full-s0. Or name it without --run.",
)
@click.option(
    "--processes",
    metavar="N|auto",
    default="1",
    show_default=True,
    help="Start so many processes on this machine; auto: one for each GPU. Not under torchrun.",
)
@params_option
def command(run: str | None, name: str | None, processes: str, params_path: Path) -> None:
    """Train one network, or go on where its training was interrupted. RUN alone is the same as --run RUN.

    Ctrl-C and SIGTERM end the step, save and leave with exit code 75; the same command goes on. A second signal stops
    at once.
    """
    from harness.config import load_params

    if (run is None) == (name is None):  # torchrun takes --run for an option of its own
        raise click.UsageError("name one run: --run RUN, or RUN alone")
    params = load_params(params_path)
    name = params.run_name(run or name or "")
    if processes != "1" and "TORCHELASTIC_RUN_ID" not in os.environ:
        from harness.training.launch import launch, number_of_processes
        from harness.training.plan import resolve_recipe

        number = number_of_processes(processes, resolve_recipe(params, name).batch_size)
        if number > 1:
            sys.exit(launch(["train", name, "--params", str(params_path)], number))
    from harness.training.loop import train

    train(params, name)
