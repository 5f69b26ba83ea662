"""One writer a format. CSV and JSON have the numbers as they are, Markdown and LaTeX as the page prints them."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

from harness.escaping import markdown, plain
from harness.markup import markdown_table
from harness.report.exports.latex import as_latex
from harness.report.exports.layout import Piece, lay_out
from harness.report.exports.table import UNITS, Cell, Column, Export, Group, Scalar

SCHEMA_VERSION = 1
FORMULA = "=+-@"  # a spreadsheet takes text that starts so for a formula
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def as_csv(export: Export) -> str:
    """RFC 4180 in UTF-8: a header, then a line a row; of measured tables a line a row, split and metric.

    Every number stands in a column of its own, unrounded; `x_low` and `x_high` are the interval of `x`. Text that a
    spreadsheet would run as a formula has an apostrophe in front. An empty field has no value; where there should be
    one, the column `gap` says why there is none.
    """
    records = _long_records(export) if export.long else _wide_records(export)
    names = list(dict.fromkeys(name for record in records for name in record))
    names = names or [column.name for column in export.columns]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([_field(name) for name in names])
    writer.writerows([_field(record.get(name)) for name in names] for record in records)
    return buffer.getvalue()


def _field(value: Scalar) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)  # the shortest digits that read back as the same number
    shown = plain(value).lstrip()
    risky = shown.startswith(tuple(FORMULA)) and not NUMBER.fullmatch(shown)
    return f"'{shown}" if risky else shown


def _provenance(group: Group) -> dict[str, Scalar]:
    return {"source": group.source, "dataset": group.dataset, "protocol": group.protocol}


def _long_records(export: Export) -> list[dict[str, Scalar]]:
    """A record a row and measured quantity."""
    seeds = max(len(cell.per_seed) for group in export.groups for row in group.rows for cell in row)
    records = []
    for group in export.groups:
        for row in group.rows:
            cells = list(zip(export.columns, row, strict=True))
            about = {column.name: cell.value for column, cell in cells if column.metric is None}
            for column, cell in cells:
                if column.metric is None:
                    continue
                low, high = cell.interval or (None, None)
                own = dict(
                    zip((f"per_seed_{place + 1}" for place in range(seeds)), cell.per_seed, strict=False)
                )
                records.append(
                    {"profile": export.profile}
                    | _provenance(group)
                    | about
                    | {
                        "split": column.split,
                        "n": group.sizes.get(column.split or ""),
                        "metric": column.metric,
                    }
                    | {"value": cell.value, "low": low, "high": high}
                    | {f"per_seed_{place + 1}": None for place in range(seeds)}
                    | own
                    | {"best": cell.best, "uncertain": cell.uncertain, "gap": cell.gap}
                )
    return records


def _wide_records(export: Export) -> list[dict[str, Scalar]]:
    """A record a row."""
    columns = export.columns
    with_interval = {
        column.name
        for group in export.groups
        for row in group.rows
        for column, cell in zip(columns, row, strict=True)
        if cell.interval is not None or column.interval
    }
    several = any(group.title for group in export.groups)
    records = []
    for group in export.groups:
        for row in group.rows:
            record = {"profile": export.profile} | _provenance(group)
            if several:
                record["group"] = group.title
            for column, cell in zip(columns, row, strict=True):
                record[column.name] = cell.value
                if column.name in with_interval:
                    record[f"{column.name}_low"], record[f"{column.name}_high"] = cell.interval or (
                        None,
                        None,
                    )
                if cell.uncertain is not None:
                    record["uncertain"] = cell.uncertain
            gaps = [(column.name, cell.gap) for column, cell in zip(columns, row, strict=True) if cell.gap]
            record["gap"] = "; ".join(f"{name}: {gap}" for name, gap in gaps) or None
            records.append(record)
    return records


def as_json(export: Export) -> str:
    """Raw numbers with their provenance; docs/tables.md lists the keys."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "name": export.name,
        "title": export.headline,
        "caption": export.caption,
        "profile": export.profile,
        "warning": export.warning,
        "intervals": export.percent,
        "columns": [_column_record(column) for column in export.columns],
        "groups": [
            {
                "title": group.title,
                **_provenance(group),
                "n": group.sizes,
                "rows": _row_records(export, group),
            }
            for group in export.groups
        ],
        "notes": list(export.notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _column_record(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "heading": column.heading,
        "kind": column.kind,
        "unit": UNITS[column.kind],
        "decimals": column.decimals if column.kind in ("real", "percent", "points", "signed") else None,
        "split": column.split,
        "metric": column.metric,
    }


def _row_records(export: Export, group: Group) -> list[dict[str, Any]]:
    return [
        {
            column.name: _cell_record(cell) if column.numeric else cell.value
            for column, cell in zip(export.columns, row, strict=True)
        }
        for row in group.rows
    ]


def _cell_record(cell: Cell) -> dict[str, Any]:
    return {
        "value": cell.value,
        "interval": list(cell.interval) if cell.interval else None,
        "per_seed": list(cell.per_seed),
        "best": cell.best,
        "uncertain": cell.uncertain,
        "gap": cell.gap,
    }


def as_markdown(export: Export) -> str:
    """GitHub's Markdown; groups are tables one below the other."""
    layout = lay_out(export)
    several = len(layout.groups) > 1
    lines = [f"## {markdown(export.headline)}", ""]
    if export.warning:
        lines += [f"> **Warning.** {markdown(export.warning)}", ""]
    lines.append(markdown(export.caption))
    headings = [markdown(f"{heading.over} {heading.text}".strip()) for heading in layout.headings]
    numeric = [heading.numeric for heading in layout.headings]
    for group, rows in layout.groups:
        lines += ["", *([f"**{markdown(group.title)}**", ""] if several else [])]
        if rows:
            lines += markdown_table(headings, numeric, [_markdown_cells(row) for row in rows])
        else:
            lines.append("No rows.")
    if layout.notes:
        lines.append("")
    lines += [f"- {f'<sup>{mark}</sup> ' if mark else ''}{markdown(note)}" for mark, note in layout.notes]
    return "\n".join(lines) + "\n"


def _markdown_cells(row: tuple[Piece, ...]) -> list[str]:
    cells = []
    for piece in row:
        shown = markdown(piece.text)
        cells.append(
            (f"**{shown}**" if piece.bold else shown)
            + (f"<sup>{piece.mark}</sup>" if piece.mark else "")
            + (f" ({markdown(piece.small)})" if piece.small else "")
        )
        cells += ["\N{EM DASH}"] * (piece.span - 1)
    return cells


FORMATS: dict[str, Callable[[Export], str]] = {
    "csv": as_csv,
    "markdown": as_markdown,
    "latex": as_latex,
    "json": as_json,
}
SUFFIXES = {"csv": "csv", "markdown": "md", "latex": "tex", "json": "json"}
