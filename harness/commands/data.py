"""`harness data`: fetch a data set, verify it, draw one, or take stock of one."""

from contextlib import ExitStack
from pathlib import Path

import rich_click as click

from harness.commands import params_option
from harness.commands.fetch import bring
from harness.commands.fetch import command as fetch
from harness.commands.verify import command as verify


@click.group(name="data")
def command() -> None:
    """Fetch a data set, verify it, draw one, or take stock of one."""


@command.command()
@click.option(
    "--refs", type=click.IntRange(10), default=2000, show_default=True, help="Expressions, one an image."
)
@click.option(
    "--size", type=click.IntRange(48), default=96, show_default=True, help="Side of an image in pixels."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other images."
)
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes; 0 takes one a core.")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def synth(refs: int, size: int, seed: int, workers: int, out: Path) -> None:
    """Draw MiniRRSIS, aerial scenes in RRSIS-D's layout, into the folder OUT.

    The same numbers give the same bytes, with any number of workers.
    """
    drawn = draw(refs, size, seed, workers, out)
    click.echo(f"{out} holds {refs:,} images" + ("" if drawn else ", as before: nothing was drawn"))
    click.echo(f"Next: harness data verify {out} --expect none")


@command.command()
@params_option
def source(params_path: Path) -> None:
    """Write down what is under data.root; draw or fetch it first if params.yaml says so and it is missing."""
    from harness.config import load_params
    from harness.data.source import find_format, record_source
    from harness.pipeline_keys import require_written_out

    params = load_params(params_path)
    require_written_out(params_path)
    data = params.data
    if data.synthetic is not None:
        wanted = data.synthetic
        draw(wanted.refs, wanted.size, wanted.seed, wanted.workers, data.root, replace=True)
    elif data.sources and not (data.root.is_dir() and any(data.root.iterdir())):
        layout = find_format(data.reader)
        bring(data.dataset, data.root, data.sources, layout, reader=data.reader, sha256=data.sha256)
    recorded = record_source(params)
    counts = ", ".join(f"{split} {count:,}" for split, count in recorded["expressions"].items())
    click.echo(f"{data.dataset} in {data.root}: {counts} expressions")


command.add_command(fetch, "fetch")
command.add_command(verify, "verify")


def draw(refs: int, size: int, seed: int, workers: int, out: Path, *, replace: bool = False) -> bool:
    """Draw MiniRRSIS with a progress display; False when it was there."""
    from harness.data.drawing.synthetic import write_dataset
    from harness.progress import Progress

    with ExitStack() as display:
        bars: list[Progress] = []

        def advance(done: int) -> None:
            if not bars:  # nothing is shown where nothing is drawn
                bars.append(display.enter_context(Progress("draw", refs, "images")))
            bars[0].advance(units=done - bars[0].done)

        return write_dataset(
            out, refs=refs, size=size, seed=seed, workers=workers, replace=replace, progress=advance
        )
