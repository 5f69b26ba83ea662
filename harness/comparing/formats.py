"""A sheet as text for a terminal, Markdown, LaTeX or HTML."""

import html
from collections.abc import Callable

from harness.comparing.sheet import Grid, Sheet

WIDTH = 80  # columns, on a wider terminal too: nothing here needs more
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "<": r"\textless{}", ">": r"\textgreater{}",
    "—": "---", "*": r"\textsuperscript{*}",
}  # fmt: skip
STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .75rem;text-align:right;border-bottom:1px solid #8886}"
    "th:first-child,td:first-child{text-align:left}caption{text-align:left;font-weight:600;padding:.25rem 0}"
    "dt{font-weight:600;float:left;clear:left;width:6rem}dd{margin-left:6.5rem}.box{overflow-x:auto}"
)


def as_text(sheet: Sheet, *, plain: bool = False) -> str:
    """For a terminal of 80 columns; bold where it can be, unless it is to be `plain`."""
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=WIDTH, highlight=False, force_terminal=False if plain else None)
    with console.capture() as captured:
        console.print(Text(sheet.title, style="bold"))
        for letter, name in sheet.subjects:
            console.print(f"  {letter}  {name}", markup=False, soft_wrap=True)
        for grid in sheet.grids:
            table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
            for number, heading in enumerate(grid.columns):
                is_name = number == 0 or (number == 1 and heading in ("model", "pair"))
                table.add_column(
                    Text(heading),
                    justify="left" if is_name else "right",
                    no_wrap=not is_name,
                    overflow="fold",
                )
            previous = None
            for row in grid.rows:
                if grid.columns[1] in ("model", "pair") and previous not in (None, row.cells[0]):
                    table.add_section()
                cells = [Text(cell) for cell in row.cells]
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
        words.add_column()
        for heading, sentence in sheet.words:
            words.add_row(Text(heading), Text(sentence, style="bold" if heading == "Result" else ""))
        console.print(Padding(words, (0, 0, 0, 2), expand=False))
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def as_markdown(sheet: Sheet) -> str:
    """GitHub's Markdown."""
    lines = [f"### {_markdown(sheet.title or 'Comparison')}", ""]
    lines += [f"- **{letter}**: {_markdown(name)}" for letter, name in sheet.subjects]
    for grid in sheet.grids:
        lines += ["", *([f"**{_markdown(grid.title)}**", ""] if grid.title else [])]
        lines.append("| " + " | ".join(map(_markdown, grid.columns)) + " |")
        lines.append("|---" + "|---:" * (len(grid.columns) - 1) + "|")
        for row in grid.rows:
            cells = [_markdown(cell.strip()) for cell in row.cells]
            lines.append("| " + " | ".join(f"**{cell}**" if row.bold else cell for cell in cells) + " |")
    lines += ["", *(f"- {_markdown(heading)}: {_markdown(sentence)}" for heading, sentence in sheet.words)]
    return "\n".join(lines) + "\n"


def as_latex(sheet: Sheet) -> str:
    """Tables for the packages booktabs and caption; significant rows in bold."""
    parts = [_latex_grid(sheet, grid) for grid in sheet.grids]
    words = "\n".join(f"% {heading}: {sentence}" for heading, sentence in sheet.words)
    return "\n".join(parts) + words + "\n"


def _latex_grid(sheet: Sheet, grid: Grid) -> str:
    caption = "; ".join(f"{letter}: {name}" for letter, name in sheet.subjects)
    title = ". ".join(part for part in (sheet.title, grid.title, caption) if part)
    rows = [
        " & ".join(rf"\textbf{{{_latex(cell)}}}" if row.bold else _latex(cell) for cell in row.cells) + r" \\"
        for row in grid.rows
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_latex(title)}}}",
            rf"  \begin{{tabular}}{{l{'r' * (len(grid.columns) - 1)}}}",
            r"    \toprule",
            "    " + " & ".join(map(_latex, grid.columns)) + r" \\",
            r"    \midrule",
            *(f"    {row}" for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def as_html(sheet: Sheet) -> str:
    """One page that needs nothing else."""
    body = [f"<h1>{html.escape(sheet.title or 'Comparison')}</h1>", "<ul>"]
    body += [f"<li><strong>{letter}</strong> {html.escape(name)}</li>" for letter, name in sheet.subjects]
    body.append("</ul>")
    for grid in sheet.grids:
        body.append('<div class="box"><table>')
        if grid.title:
            body.append(f"<caption>{html.escape(grid.title)}</caption>")
        body.append(
            "<thead><tr>" + "".join(f'<th scope="col">{html.escape(name)}</th>' for name in grid.columns)
        )
        body.append("</tr></thead><tbody>")
        for row in grid.rows:
            cells = [html.escape(cell.strip()) for cell in row.cells]
            shown = [f"<strong>{cell}</strong>" for cell in cells] if row.bold else cells
            body.append(
                f'<tr><th scope="row">{shown[0]}</th>'
                + "".join(f"<td>{cell}</td>" for cell in shown[1:])
                + "</tr>"
            )
        body.append("</tbody></table></div>")
    body.append("<dl>")
    body += [
        f"<dt>{html.escape(heading)}</dt><dd>{html.escape(sentence)}</dd>"
        for heading, sentence in sheet.words
    ]
    body.append("</dl>")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(sheet.title or 'Comparison')}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _markdown(text: str) -> str:
    """Text whose characters mean themselves."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text.strip())


FORMATS: dict[str, Callable[[Sheet], str]] = {
    "table": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "html": as_html,
}
