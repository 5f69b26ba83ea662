"""A table as it is printed: texts, bold, small print, and marks that lead to the notes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.report.exports.table import Cell, Column, Export, Group
from harness.report.wording import interval as in_brackets
from harness.report.wording import number, p_text, signed

DASH = "\N{EM DASH}"


@dataclass(frozen=True)
class Piece:
    """A printed cell; `span` columns wide where a gap runs through neighbours."""

    text: str
    bold: bool = False
    small: str | None = None  # below, or behind in brackets
    mark: str | None = None  # of a note
    span: int = 1


@dataclass(frozen=True)
class Heading:
    """A printed column."""

    text: str
    over: str
    numeric: bool


@dataclass(frozen=True)
class Layout:
    """Headings, and for each group its rows; notes are (mark, sentence), the mark "" for those about the whole."""

    headings: tuple[Heading, ...]
    groups: tuple[tuple[Group, tuple[tuple[Piece, ...], ...]], ...]
    notes: tuple[tuple[str, str], ...]


def lay_out(export: Export) -> Layout:
    """Print the columns that are for print."""
    headings = []
    for column in export.columns:
        if column.printed:
            headings.append(Heading(column.heading, column.over, column.numeric))
            if column.interval == "beside":
                headings.append(Heading(f"{export.percent} interval", column.over, True))
    marks = _marks(export)
    groups = tuple(
        (group, tuple(_row(export, group, row, marks) for row in group.rows)) for group in export.groups
    )
    notes = [(mark, sentence) for sentence, mark in marks.items()]
    if any(_inapplicable(piece) for _, rows in groups for row in rows for piece in row):
        notes.append(("", f"{DASH}: does not apply to the row."))
    return Layout(tuple(headings), groups, (*notes, *(("", note) for note in export.notes)))


def in_print(column: Column, value: object) -> str:
    """A value as the page prints it; the raw one is in CSV and JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if column.kind == "p":
        return p_text(value)
    if column.kind in ("points", "signed"):
        return signed(value, column.decimals)
    if column.kind == "scientific":
        return f"{value:.1e}"
    if column.kind == "count":
        return f"{value:,}"
    if column.kind == "real" and abs(value) >= 1000:
        return f"{value:,.{column.decimals}f}"
    return number(value, column.decimals) if column.numeric else str(value)


def _place(export: Export, row: Sequence[Cell]) -> str:
    """What a row is called in a note: its texts up to the first number."""
    names = []
    for column, cell in zip(export.columns, row, strict=True):
        if column.numeric:
            break
        if column.printed and cell.value is not None:
            names.append(str(cell.value))
    return names[0] if export.long and names else ", ".join(names)


def _sentence(place: str, column: Column, cell: Cell) -> str | None:
    """The note of a cell, None if it needs none."""
    if cell.uncertain is not None:
        where = [place, column.split, column.metric] if column.metric else [place]
        return f"Uncertain: {', '.join(part for part in where if part)}: {cell.uncertain}."
    if cell.value is None and cell.gap is not None:
        return cell.gap[0].upper() + cell.gap[1:] + "."
    return None


def _marks(export: Export) -> dict[str, str]:
    """Note -> mark, the uncertain cells first, as on the page."""
    found: dict[str, bool] = {}
    for group in export.groups:
        for row in group.rows:
            place = _place(export, row)
            for column, run in _runs(export.columns, row):
                sentence = _sentence(place, column, run[0])
                if sentence is not None and len(run) == 1:
                    found.setdefault(sentence, run[0].uncertain is None)
    ordered = sorted(found, key=lambda sentence: found[sentence])
    return {sentence: letters(place) for place, sentence in enumerate(ordered)}


def letters(place: int) -> str:
    """a to z, then aa, ab, ..."""
    first, last = divmod(place, 26)
    return (letters(first - 1) if first else "") + chr(ord("a") + last)


def _runs(columns: Sequence[Column], row: Sequence[Cell]) -> Iterable[tuple[Column, list[Cell]]]:
    """The printed cells of a row, neighbours with one gap together."""
    printed = [(column, cell) for column, cell in zip(columns, row, strict=True) if column.printed]

    def key(entry: tuple[int, tuple[Column, Cell]]) -> object:
        place, (_, cell) = entry
        return place if cell.value is not None or cell.gap is None else cell.gap

    for _, run in groupby(enumerate(printed), key):
        members = [entry for _, entry in run]
        yield members[0][0], [cell for _, cell in members]


def _row(export: Export, group: Group, row: Sequence[Cell], marks: dict[str, str]) -> tuple[Piece, ...]:
    columns, place = export.columns, _place(export, row)
    pieces: list[Piece] = []
    printed = iter([column for column in columns if column.printed])
    for column, run in _runs(columns, row):
        own = [next(printed) for _ in run]
        width = sum(1 + (one.interval == "beside") for one in own)
        sentence = _sentence(place, column, run[0])
        if len(run) > 1:
            pieces.append(Piece(run[0].gap or DASH, span=width))
            continue
        cell = run[0]
        mark = marks.get(sentence) if sentence else None
        if cell.value is None:
            pieces.append(Piece(DASH, mark=mark))
            pieces += [Piece(DASH, mark=mark)] * (width - 1)
            continue
        small = None
        if column.interval == "below" and group.source != "published":  # nobody published intervals
            small = _range(cell.interval)
        pieces.append(Piece(in_print(column, cell.value), cell.best, small, mark))
        if column.interval == "beside":
            pieces.append(Piece(in_brackets(cell.interval)))
    return tuple(pieces)


def _range(bounds: tuple[float, float] | None) -> str:
    """An interval in small print, as in the cells of the page."""
    if bounds is None:
        return "no interval"
    return f"{number(bounds[0], 1)}{'–' if bounds[0] >= 0 else ' to '}{number(bounds[1], 1)}"


def _inapplicable(piece: Piece) -> bool:
    return piece.text == DASH and piece.mark is None
