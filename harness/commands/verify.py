"""`harness data verify`."""

import sys
from pathlib import Path

import rich_click as click

SHOWN = 10  # findings of a kind on the terminal; --json has all


@click.command()
@click.argument("root", type=click.Path(path_type=Path, file_okay=False))
@click.option("--reader", default="rrsis-d", show_default=True, help="Registered layout of the data set.")
@click.option(
    "--expect",
    help="What it should hold: a manifest's name, a YAML file, or none. By default the manifest of the reader's "
    "name, where there is one.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write all findings."
)
@click.option(
    "--html", "html_path", type=click.Path(path_type=Path, dir_okay=False), help="Write a data card."
)
@click.option(
    "--tokenizer",
    metavar="NAME",
    help="Tokenizer of the networks, a hub's name or a folder; without it words are counted.",
)
@click.option(
    "--max-tokens", type=click.IntRange(3), default=20, show_default=True, help="What a network reads."
)
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes; 0 takes one a core.")
def command(
    root: Path,
    reader: str,
    expect: str | None,
    json_path: Path | None,
    html_path: Path | None,
    tokenizer: str | None,
    max_tokens: int,
    workers: int,
) -> None:
    """Check the data set under ROOT: every table, image, mask and sentence.

    Exit code 0: nothing is wrong that the manifest does not know. 1: there are errors. 2: ROOT cannot be read at all.
    """
    from harness.data.source import find_format
    from harness.data.verify import manifest_names, summary, verify
    from harness.files import require_writable, write_json
    from harness.progress import Progress

    data_format = find_format(reader)
    if expect is None:
        expect = reader if reader in manifest_names() else "none"
    for path in filter(None, (json_path, html_path)):
        require_writable(path)
    loaded = None
    if tokenizer is not None:
        from harness.data.text import load_pretrained_tokenizer

        loaded = load_pretrained_tokenizer(tokenizer)
    with Progress("verify", None, "expressions") as progress:

        def advance(done: int, total: int) -> None:
            progress.expect(total)
            progress.advance(units=done)

        verification = verify(
            root,
            data_format,
            reader=reader,
            expect=expect,
            tokenizer=loaded,
            max_tokens=max_tokens,
            workers=workers,
            progress=advance,
        )
    if json_path is not None:
        write_json(json_path, verification.to_dict())
    if html_path is not None:
        from harness.data.card import write_card

        write_card(verification, html_path)
    for line in summary(verification, SHOWN):
        click.echo(line)
    sys.exit(1 if verification.errors else 0)
