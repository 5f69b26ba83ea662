"""`harness audit`: what the published tables can and cannot be, from their numbers alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from harness.errors import HarnessError

if TYPE_CHECKING:
    from rich.console import Console

    from harness.audit.document import Block

WIDTH = 80


@click.command(name="audit")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False, metavar="[FILE]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
    help="All but table hold the details of every pair.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write there, not to the terminal."
)
def command(file: Path | None, form: str, out: Path | None) -> None:
    """Check published tables: counts behind P@t, tests that they support, stated differences.

    FILE has the form of reports/published.yaml, which is the default; where there is none, the copy of it in the
    installed package is. Neither data nor runs are read. The exit code is 0 whatever is found.
    """
    from harness.audit import audit
    from harness.files import atomic_write
    from harness.published import default_file, read_published

    file = file or default_file()
    if out is not None and out.resolve() == file.resolve():
        raise HarnessError(f"--out {out} is the file to audit; name another one")
    result = audit(read_published(file))
    title = f"Audit of {file.name}"
    if form == "json":
        import json

        text = json.dumps(result.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    elif form == "html":
        from harness.audit.page import audit_page

        text = audit_page(result, title)
    else:
        from harness.audit.document import document, markdown
        from harness.audit.summary import summary

        sentences, blocks = summary(result), document(result)
        if form == "markdown":
            text = markdown(title, sentences, blocks)
        else:
            text = _terminal(title, sentences, blocks, plain=out is not None)
    if out is None:
        click.echo(text, nl=False)
        return
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    click.echo(f"{out}: {form}, {len(text.encode()):,} bytes")


def _terminal(title: str, sentences: Sequence[str], blocks: Sequence["Block"], *, plain: bool) -> str:
    """The audit in 80 columns, without the details of every pair."""
    import sys

    from rich.console import Console
    from rich.text import Text

    colored = not plain and sys.stdout.isatty()
    console = Console(
        width=WIDTH, highlight=False, force_terminal=colored, no_color=None if colored else True
    )
    with console.capture() as captured:
        console.print(Text(title, style="bold"))
        for sentence in sentences:
            _print_item(console, sentence)
        for block in blocks:
            if not block.detail:
                _print_block(console, block)
        left_out = [block.title for block in blocks if block.detail and block.rows]
        if left_out:
            console.print(Text(f"\nIn --format markdown, html and json also: {'; '.join(left_out)}."))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _print_item(console: "Console", sentence: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from harness.escaping import plain

    item = Table.grid(padding=(0, 1, 0, 0))
    item.add_row(Text("-"), Text(plain(sentence)))
    console.print(item)


def _print_block(console: "Console", block: "Block") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"\n{block.title}", style="bold"))
    if not block.rows:
        console.print(Text(block.empty))
        return
    console.print(Text(block.note))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for place, column in enumerate(block.columns):
        longest = max(len(row[place]) for row in block.rows)
        table.add_column(
            Text(column.heading),
            justify="right" if column.numeric else "left",
            no_wrap=longest <= 14,
            overflow="fold",
        )
    for row in block.rows:
        table.add_row(*(Text(text) for text in row))
    console.print(table)
