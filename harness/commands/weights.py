"""`harness weights`: released checkpoints for this harness, and its own to publish."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option

RELEASED = ("lavt", "rmsin", "mafn")


@click.group(name="weights")
def command() -> None:
    """Convert released checkpoints; publish a run's own."""


@command.command()
@click.option("--model", type=click.Choice(RELEASED), required=True, help="The network that IN holds.")
@click.option("-v", "--verbose", is_flag=True, help="List every dropped tensor.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
def convert(model: str, verbose: bool, source: Path, target: Path) -> None:
    """Write the released checkpoint IN (.pth) as OUT (.safetensors).

    Sizes and ablation are read off the tensors. A tensor that the network does not know, or lacks, is an error;
    those that the released network never uses are dropped and named.
    """
    from harness.errors import HarnessError
    from harness.weights import convert_file

    if target.suffix != ".safetensors":
        raise HarnessError(f"{target}: the converted checkpoint is a safetensors file; name it *.safetensors")
    converted = convert_file(model, source, target)
    options = ", ".join(f"{name} {value}" for name, value in converted.options.items())
    click.echo(
        f"{target}: {model}{f' ({options})' if options else ''}, {converted.tensors:,} tensors, "
        f"{len(converted.dropped)} dropped"
    )
    if converted.dropped:
        groups = dict.fromkeys(".".join(name.split(".")[:4]) for name in converted.dropped)
        click.echo("Dropped, as nothing that the released network returns depends on them:")
        for group in converted.dropped if verbose else groups:
            members = sum(name == group or name.startswith(f"{group}.") for name in converted.dropped)
            click.echo(f"  {group}" + ("" if verbose else f".* ({members})"))


@command.command()
@click.option(
    "--run", "name", required=True, help="A trained and evaluated run; mafn-s0 is short for mafn-full-s0."
)
@click.option(
    "--out", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="To write to."
)
@click.option("--last", is_flag=True, help="The weights after the last step, not the best on val.")
@click.option(
    "--license",
    "licence",
    default="apache-2.0",
    show_default=True,
    help="Of the weights, as the hub calls it.",
)
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@params_option
def export(name: str, folder: Path, last: bool, licence: str, force: bool, params_path: Path) -> None:
    """Write a run's weights with a model card, as the Hugging Face hub reads it: model.safetensors, README.md."""
    from harness.config import load_params
    from harness.released.card import export_run

    params = load_params(params_path)
    name = params.run_name(name)
    written = export_run(params, name, folder, last=last, licence=licence, force=force)
    click.echo(
        f"{written}: {name}, weights of the {'last step' if last else 'best step on val'}, with README.md"
    )
