"""`harness evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from harness.commands import params_option
from harness.commands.completion import run_names
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.config import Params

OF_WEIGHTS = ("model", "data", "reader", "dataset", "splits", "out", "variant", "tokenizer", "batch_size")


@click.command(name="evaluate")
@click.option(
    "--run",
    "name",
    shell_complete=run_names,
    help="A trained run of params.yaml; mafn-s0 is short for mafn-full-s0.",
)
@click.option("--trivial", is_flag=True, help="Instead: empty mask, whole image and mean train mask.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Instead: a weights file, released (.pth) or ours (.safetensors), without training.",
)
@params_option
@click.option("--model", metavar="NAME", help="With --weights: what FILE must hold.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="ROOT",
    help="With --weights: the data set; once for a DIR.",
)
@click.option("--reader", metavar="NAME", help="With --weights: the layout of ROOT; rrsis-d by default.")
@click.option("--dataset", metavar="NAME", help="With --weights: its name in the tables; ROOT's by default.")
@click.option(
    "--split",
    "splits",
    type=click.Choice(["val", "test"]),
    multiple=True,
    help="With --weights: only this one; both by default.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/released"),
    show_default=True,
    metavar="DIR",
    help="With --weights: the profile that the run is added to.",
)
@click.option(
    "--name",
    "variant",
    metavar="VARIANT",
    help="With --weights: the run is <model>-VARIANT-s<seed>; what FILE says of itself, or released.",
)
@click.option(
    "--tokenizer",
    metavar="NAME|DIR",
    help="With --weights: of a FILE without one; bert-base-uncased by default.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="With --weights; 16 by default.")
@click.pass_context
def command(
    context: click.RichContext,
    /,
    name: str | None,
    trivial: bool,
    weights: Path | None,
    params_path: Path,
    **of_weights: Any,
) -> None:
    """Write the per-sample tables of one trained network, of a weights file, or of the trivial predictors.

    Processes that torchrun starts share a network's work: torchrun --nproc-per-node 2 -m -- harness evaluate --run RUN

    --weights makes a small profile in DIR, with the prepared data and one run a file. compare, statistics, features and
    report build take it with --params DIR/params.yaml.
    """
    if sum((name is not None, trivial, weights is not None)) != 1:
        raise click.UsageError("name one of --run RUN, --trivial and --weights FILE")
    _require_together(context, weights)
    if weights is not None:
        _evaluate_weights(weights, **of_weights)
        return
    from harness.config import load_params

    params = load_params(params_path)
    if name is not None:
        name = params.run_name(name)
        _require_trained(params, name)
        from harness.evaluation import evaluate_run

        evaluate_run(params, name)
    else:
        from harness.trivial import evaluate_trivial

        evaluate_trivial(params)


def _require_trained(params: "Params", name: str) -> None:
    path = params.run_dir(name) / "weights" / "model.safetensors"
    prepared = params.split_file("test").is_file()  # that comes first, and `evaluate_run` says so
    if prepared and params.runs[name].weights is None and not path.is_file():
        raise HarnessError(
            f"{name} is not trained, there is no {path}; `harness train --run {name}` trains it"
        )


def _require_together(context: click.Context, weights: Path | None) -> None:
    """Refuse options of the one way beside the other."""
    given = [
        parameter
        for parameter in context.command.params
        if parameter.name is not None
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    wrong = ("params_path",) if weights is not None else OF_WEIGHTS
    for parameter in given:
        if parameter.name in wrong:
            option = parameter.opts[0]
            if weights is None:
                raise click.UsageError(f"{option} goes with --weights FILE")
            raise click.UsageError(f"{option} does not go with --weights: the profile is --out DIR's")


def _evaluate_weights(
    weights: Path,
    *,
    model: str | None,
    data: Path | None,
    reader: str | None,
    dataset: str | None,
    splits: tuple[str, ...],
    out: Path,
    variant: str | None,
    tokenizer: str | None,
    batch_size: int | None,
) -> None:
    from harness.released import Request, evaluate_weights
    from harness.released.profile import DataSet

    request = Request(
        weights,
        out,
        model=model,
        data=DataSet(data, reader, dataset),
        splits=splits or ("val", "test"),
        variant=variant,
        tokenizer=tokenizer,
        batch_size=batch_size,
    )
    name = evaluate_weights(request)
    click.echo(f"{out / 'runs' / name}\nCompare and report: --params {out / 'params.yaml'}")
