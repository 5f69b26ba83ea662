"""A table in LaTeX, for booktabs, caption and graphicx; a long one for longtable, array and lscape in its place."""

import re
from collections.abc import Sequence
from itertools import groupby

from harness.escaping import latex, plain
from harness.markup import latex_row, latex_tabular
from harness.report.exports.layout import Heading, Layout, Piece, lay_out
from harness.report.exports.table import Export

PAGE = 42  # rows on one page; a longer table breaks over pages
WRAPPED = 30  # characters; a column with longer texts breaks its lines
UPRIGHT, SIDEWAYS = (
    80,
    130,
)  # characters that fit side by side in scriptsize on an upright page, on a turned one
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # never wider than the text


def as_latex(export: Export) -> str:
    """Bold is the best of a column; small print below a value its interval; notes stand below the table."""
    layout = lay_out(export)
    rows = sum(len(group) for _, group in layout.groups)
    return "\n".join(_long_table(export, layout) if rows > PAGE else _float(export, layout)) + "\n"


def _comments(export: Export, packages: str) -> list[str]:
    lines = [f"% {plain(export.headline)}", rf"% \usepackage{{{packages}}}"]
    return lines + ([f"% WARNING: {plain(export.warning)}"] if export.warning else [])


def _caption(export: Export) -> str:
    warning = rf" \textbf{{{latex(export.warning)}}}" if export.warning else ""
    return rf"\caption{{\textbf{{{latex(export.title)}.}} {latex(export.caption)}{warning}}}"


def _notes(layout: Layout) -> list[str]:
    return [
        (rf"\textsuperscript{{{mark}}}~" if mark else "") + latex(note) + r"\par"
        for mark, note in layout.notes
    ]


def _float(export: Export, layout: Layout) -> list[str]:
    headings = layout.headings
    wrapped = _wrapped(layout)
    types = [
        rf">{{\raggedright\arraybackslash}}p{{{min(70, 22 + 0.25 * longest):.0f}mm}}"
        if longest
        else "r"
        if heading.numeric
        else "l"
        for heading, longest in zip(headings, wrapped, strict=True)
    ]
    tabular = latex_tabular(f"@{{}}{''.join(types)}@{{}}", _head(headings), _body(layout))
    return [
        *_comments(export, "booktabs,caption,graphicx,array"),
        r"\begin{table*}[tbp]",
        r"  \centering",
        rf"  {_caption(export)}",
        rf"  \label{{tab:{export.name}}}",
        r"  \footnotesize",
        rf"  \setlength{{\tabcolsep}}{{{3 if len(headings) > 9 else 5}pt}}",
        rf"  {FIT}",
        *(f"    {line}" for line in tabular[:-1]),
        f"    {tabular[-1]}}}",
        r"  \par\smallskip",
        r"  \begin{minipage}{\linewidth}\scriptsize\raggedright",
        *(f"    {note}" for note in _notes(layout)),
        r"  \end{minipage}",
        r"\end{table*}",
    ]


def _long_table(export: Export, layout: Layout) -> list[str]:
    head = _head(layout.headings)
    needed = _needed(layout)  # and a thousandth less, so that rounding makes no table too wide
    types = [
        rf">{{\ragged{'left' if heading.numeric else 'right'}\arraybackslash}}"
        rf"p{{\dimexpr{0.999 * length / sum(needed):.4f}\linewidth-2\tabcolsep\relax}}"
        for heading, length in zip(layout.headings, needed, strict=True)
    ]
    turned = sum(needed) > UPRIGHT
    size = r"\tiny" if sum(needed) > SIDEWAYS else r"\scriptsize"
    return [
        *_comments(export, "booktabs,caption,longtable,array" + (",lscape" if turned else "")),
        r"% A longtable does not work in two columns: \onecolumn before it.",
        *([r"\begin{landscape}"] if turned else []),
        rf"\begingroup{size}\setlength{{\tabcolsep}}{{2pt}}",
        r"\begin{longtable}{" + "%",
        *(f"  {one}%" for one in types),
        "}",
        rf"  {_caption(export)}\label{{tab:{export.name}}}\\",
        *_breaking(head, "firsthead"),
        *_breaking(head, "head"),
        r"  \bottomrule",
        r"  \endfoot",
        *(f"  {row}" for row in _body(layout)),
        r"\end{longtable}",
        r"\noindent\begin{minipage}{\linewidth}\raggedright",
        *(f"  {note}" for note in _notes(layout)),
        r"\end{minipage}\par",
        r"\endgroup",
        *([r"\end{landscape}"] if turned else []),
    ]


def _breaking(head: Sequence[str], name: str) -> list[str]:
    """The headings, which come again on every page."""
    return [r"  \toprule", *(f"  {row}" for row in head), r"  \midrule", rf"  \end{name}"]


def _head(headings: Sequence[Heading]) -> list[str]:
    """The headings; where some have one above, two rows with rules between."""
    if not any(heading.over for heading in headings):
        return [latex_row(latex(heading.text) for heading in headings)]
    above, rules, start = [], [], 1
    for over, run in groupby(headings, lambda heading: heading.over):
        width = len(list(run))
        above.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(over)}}}" if over else " & " * (width - 1))
        if over:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [latex_row(above), " ".join(rules), latex_row(latex(heading.text) for heading in headings)]


def _body(layout: Layout) -> list[str]:
    lines: list[str] = []
    several = len(layout.groups) > 1
    for place, (group, rows) in enumerate(layout.groups):
        if several:
            if place:
                lines.append(r"\midrule")
            title = rf"\textit{{{latex(group.title)}}}"
            heading = latex_row([rf"\multicolumn{{{len(layout.headings)}}}{{@{{}}l@{{}}}}{{{title}}}"])
            lines.append(f"{heading}*")  # no page ends here
        for row in rows:
            lines += _row(row)
        if not rows:
            lines.append(latex_row([rf"\multicolumn{{{len(layout.headings)}}}{{l}}{{No rows.}}"]))
    return lines


def _row(row: Sequence[Piece]) -> list[str]:
    lines = [latex_row(_cell(piece) for piece in row)]
    if any(piece.small for piece in row):
        lines[0] += "[-0.4ex]"
        small = [
            rf"{{\tiny {latex(piece.small)}}}" if piece.small else " & " * (piece.span - 1) for piece in row
        ]
        lines.append(latex_row(small) + r"[0.3ex]")
    return lines


def _cell(piece: Piece) -> str:
    shown = rf"\textbf{{{latex(piece.text)}}}" if piece.bold else latex(piece.text)
    if piece.mark:
        shown += rf"\textsuperscript{{{piece.mark}}}"
    return shown if piece.span == 1 else rf"\multicolumn{{{piece.span}}}{{l}}{{\textit{{{shown}}}}}"


def _texts(layout: Layout, column: int) -> list[str]:
    """The texts of a printed column, of those rows that have a cell of its own there."""
    found = []
    for _, rows in layout.groups:
        for row in rows:
            place = 0
            for piece in row:
                if place == column and piece.span == 1:
                    found.append(piece.text)
                place += piece.span
    return found


def _wrapped(layout: Layout) -> list[int]:
    """For each column the length of its longest text if it has to break lines and can, otherwise 0."""
    lengths = []
    for place in range(len(layout.headings)):
        texts = _texts(layout, place)
        longest, word = max(map(len, texts), default=0), _longest_word(texts)
        lengths.append(longest if longest > WRAPPED > word else 0)
    return lengths


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(part) for text in texts for part in re.split(r"\s+", text)), default=0)


def _needed(layout: Layout) -> list[int]:
    """The characters that each column needs: its longest text, but of long ones only as many as its words ask for."""
    needed = []
    for place, heading in enumerate(layout.headings):
        texts = [*_texts(layout, place), heading.text]
        needed.append(max(_longest_word(texts), min(WRAPPED, max(map(len, texts)))) + 2)
    return needed
