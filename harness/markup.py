"""Tables in Markdown and LaTeX: what all that is printed in these languages shares."""

from collections.abc import Iterable, Sequence


def markdown_table(
    headings: Sequence[str], numeric: Sequence[bool], rows: Iterable[Sequence[str]]
) -> list[str]:
    """The lines of a table in GitHub's Markdown.

    Args:
        headings: of the columns, in Markdown already, as are the cells.
        numeric: whether a column is aligned to the right.
        rows: the cells of each row.
    """
    lines = ["| " + " | ".join(headings) + " |"]
    lines.append("|" + "|".join("---:" if right else "---" for right in numeric) + "|")
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def latex_row(cells: Iterable[str]) -> str:
    """A row of a LaTeX table; the cells are LaTeX already."""
    return " & ".join(cells) + r" \\"


def latex_tabular(columns: str, head: Sequence[str], body: Sequence[str]) -> list[str]:
    """The lines of a tabular with booktabs' rules.

    Args:
        columns: its column types.
        head: rows above the middle rule.
        body: rows and rules below it.
    """
    return [
        rf"\begin{{tabular}}{{{columns}}}",
        r"  \toprule",
        *(f"  {row}" for row in head),
        r"  \midrule",
        *(f"  {row}" for row in body),
        r"  \bottomrule",
        r"\end{tabular}",
    ]
