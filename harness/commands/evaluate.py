"""`harness evaluate`."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option
from harness.commands.completion import run_names


@click.command(name="evaluate")
@click.option(
    "--run",
    "name",
    shell_complete=run_names,
    help="A trained run of params.yaml; mafn-s0 is short for mafn-full-s0.",
)
@click.option("--trivial", is_flag=True, help="Instead: empty mask, whole image and mean train mask.")
@params_option
def command(name: str | None, trivial: bool, params_path: Path) -> None:
    """Write the per-sample tables of one trained network, or of the trivial predictors.

    Processes that torchrun starts share a network's work: torchrun --nproc-per-node 2 -m -- harness evaluate --run RUN
    """
    from harness.config import load_params

    if (name is None) == (not trivial):
        raise click.UsageError("name either --run RUN or --trivial")
    params = load_params(params_path)
    if name is not None:
        name = params.run_name(name)
        from harness.evaluation import evaluate_run

        evaluate_run(params, name)
    else:
        from harness.trivial import evaluate_trivial

        evaluate_trivial(params)
