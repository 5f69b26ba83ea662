"""A table that leaves the report: raw values with what is said about them, the same for every format."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "count", "real", "scientific", "percent", "points", "signed", "p"]
Scalar = str | int | float | bool | None
UNITS: dict[Kind, str | None] = {
    "text": None,
    "count": None,
    "real": None,
    "scientific": None,
    "percent": "percent",
    "points": "points",
    "signed": None,
    "p": "p-value",
}


@dataclass(frozen=True)
class Column:
    """A column; one with a split and a metric is a measured quantity, to which CSV gives a line each."""

    name: str  # in CSV and JSON
    heading: str  # in print
    kind: Kind = "text"
    decimals: int = 2
    over: str = ""  # a heading above that neighbours share
    split: str | None = None
    metric: str | None = None
    interval: Literal["", "below", "beside"] = ""  # where print has it; CSV and JSON have every interval
    printed: bool = True  # False: in CSV and JSON only

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers."""
        return self.kind != "text"


@dataclass(frozen=True)
class Cell:
    """A value; without one, `gap` says why in words, or, where that is None, the column does not apply."""

    value: Scalar = None
    interval: tuple[float, float] | None = None
    per_seed: tuple[float, ...] = ()
    best: bool = False  # the highest of its column, as printed
    uncertain: str | None = None  # why the value may be another one
    gap: str | None = None


@dataclass(frozen=True)
class Group:
    """Rows of one provenance."""

    title: str  # "" where a table has one group
    source: str  # measured, trivial, published, ...
    dataset: str
    rows: tuple[tuple[Cell, ...], ...]  # a cell a column
    protocol: str | None = None
    sizes: dict[str, int] = field(default_factory=dict)  # split -> expressions


@dataclass(frozen=True)
class Export:
    """A table of the report."""

    name: str  # of its files, and in `harness report table`
    title: str
    caption: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()
    profile: str = ""
    percent: str = "95%"  # of the intervals
    warning: str | None = None  # what nobody may overlook who takes the numbers elsewhere
    number: str = ""  # "Table I"; LaTeX has numbers of its own

    @property
    def headline(self) -> str:
        """The title with the number."""
        return f"{self.number}. {self.title}" if self.number else self.title

    @property
    def long(self) -> bool:
        """Whether it has measured quantities in columns of their own."""
        return any(column.metric is not None for column in self.columns)


def text(value: object) -> Cell:
    """A cell of words."""
    return Cell(str(value))


def missing(reason: str) -> Cell:
    """A cell without a value."""
    return Cell(gap=reason)


def optional(value: float | int | None, reason: str) -> Cell:
    """A number, or why there is none."""
    return missing(reason) if value is None else Cell(value)
