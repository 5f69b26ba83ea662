"""A sheet as text for a terminal, Markdown, LaTeX or HTML."""

from collections.abc import Callable

from harness.comparing.sheet import Grid, Sheet
from harness.escaping import latex, markdown
from harness.escaping import plain as printable
from harness.markup import latex_row, latex_tabular, markdown_table

WIDTH = 80  # columns, on a wider terminal too: nothing here needs more


def as_text(sheet: Sheet, *, plain: bool = False) -> str:
    """For a terminal of 80 columns; bold where it can be, unless it is to be `plain`."""
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=WIDTH, highlight=False, force_terminal=False if plain else None)
    with console.capture() as captured:
        console.print(Text(printable(sheet.title), style="bold"))
        for letter, name in sheet.subjects:
            console.print(f"  {letter}  {printable(name)}", markup=False, soft_wrap=True)
        for grid in sheet.grids:
            table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
            for number, heading in enumerate(grid.columns):
                is_name = number < grid.names
                table.add_column(
                    Text(heading),
                    justify="left" if is_name else "right",
                    no_wrap=not is_name,
                    overflow="fold",
                )
            previous = None
            for row in grid.rows:
                if grid.names > 1 and previous not in (None, row.cells[0]):
                    table.add_section()
                cells = [Text(printable(cell)) for cell in row.cells]
                if previous == row.cells[0]:
                    cells[0] = Text("")
                table.add_row(*cells, style="bold" if row.bold else "")
                previous = row.cells[0]
            if grid.title:
                console.print()
                console.print(Text(f"  {grid.title}", style="bold"))
            console.print(Padding(table, (0, 0, 0, 2), expand=False))
        words = Table.grid(padding=(0, 2, 0, 0))
        words.add_column(no_wrap=True)
        words.add_column(overflow="fold")
        for heading, sentence in sheet.words:
            words.add_row(
                Text(heading), Text(printable(sentence), style="bold" if heading == "Result" else "")
            )
        console.print(Padding(words, (0, 0, 0, 2), expand=False))
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def as_markdown(sheet: Sheet) -> str:
    """GitHub's Markdown."""
    lines = [f"### {markdown(sheet.title or 'Comparison')}", ""]
    lines += [f"- **{letter}**: {markdown(name)}" for letter, name in sheet.subjects]
    for grid in sheet.grids:
        lines += ["", *([f"**{markdown(grid.title)}**", ""] if grid.title else [])]
        lines += markdown_table(
            [markdown(heading) for heading in grid.columns],
            [place >= grid.names for place in range(len(grid.columns))],
            [
                [f"**{cell}**" if row.bold else cell for cell in (markdown(c.strip()) for c in row.cells)]
                for row in grid.rows
            ],
        )
    lines += ["", *(f"- {markdown(heading)}: {markdown(sentence)}" for heading, sentence in sheet.words)]
    return "\n".join(lines) + "\n"


def as_latex(sheet: Sheet) -> str:
    """Tables for the packages booktabs and caption; significant rows in bold."""
    parts = [_grid_in_latex(sheet, grid) for grid in sheet.grids]
    words = "\n".join(f"% {heading}: {printable(sentence)}" for heading, sentence in sheet.words)
    return "\n".join(parts) + words + "\n"


def _grid_in_latex(sheet: Sheet, grid: Grid) -> str:
    caption = "; ".join(f"{letter}: {name}" for letter, name in sheet.subjects)
    title = ". ".join(part for part in (sheet.title, grid.title, caption) if part)
    rows = [
        latex_row(
            rf"\textbf{{{latex(cell.strip())}}}" if row.bold else latex(cell.strip()) for cell in row.cells
        )
        for row in grid.rows
    ]
    columns = "l" * grid.names + "r" * (len(grid.columns) - grid.names)
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{latex(title)}}}",
            *(f"  {line}" for line in latex_tabular(columns, [latex_row(map(latex, grid.columns))], rows)),
            r"\end{table}",
            "",
        ]
    )


def as_html(sheet: Sheet) -> str:
    """One page that needs nothing else, in the report's style."""
    from harness.report.templating import stylesheet, templates

    return (
        templates()
        .get_template("comparison.html.j2")
        .render(title=sheet.title or "Comparison", stylesheet=stylesheet(), sheet=sheet)
    )


FORMATS: dict[str, Callable[[Sheet], str]] = {
    "table": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "html": as_html,
}
