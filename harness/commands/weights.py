"""`harness weights`: released checkpoints for this harness."""

from pathlib import Path

import rich_click as click

RELEASED = ("lavt", "rmsin", "mafn")


@click.group(name="weights")
def command() -> None:
    """Convert released checkpoints."""


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
