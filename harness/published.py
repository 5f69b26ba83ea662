"""The published numbers, read from reports/published.yaml and from nowhere else."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from harness.errors import HarnessError, suggestion
from harness.plain_yaml import PlainLoader, read_yaml

TABLE1_METRICS = ("P@0.5", "P@0.6", "P@0.7", "P@0.8", "P@0.9", "oIoU", "mIoU")
ABLATION_METRICS = ("P@0.5", "P@0.7", "P@0.9", "oIoU", "mIoU")  # the columns of Tables II and III
RERUN_METRICS = ("oIoU", "mIoU")
COLUMNS = {"table1": TABLE1_METRICS, "table2": ABLATION_METRICS, "table3": ABLATION_METRICS}
FORM = "it needs the sections n, table1, table2 and table3, as reports/published.yaml has them"


@dataclass(frozen=True)
class PublishedCell:
    """One published number in percent; None where it is not published or cannot be read."""

    value: float | None
    uncertain: str | None = None  # why the number may be another one
    printed: str | None = None  # the number's decimal digits as the file has them
    readings: tuple[str, ...] = ()  # other numbers that it may be


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table; `cells` is keyed by (split, metric)."""

    name: str
    cells: dict[tuple[str, str], PublishedCell]
    visual: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Rerun:
    """What somebody else measured when running a published model again."""

    model: str
    split: str
    values: dict[str, float | None]
    source: str


@dataclass(frozen=True)
class StatedDifference:
    """A difference in points that a sentence states: row `a` minus row `b`."""

    text: str  # the sentence
    table: str
    a: str
    b: str
    split: str
    metric: str
    printed: str


@dataclass(frozen=True)
class Repeat:
    """Rows of several tables that stand for one trained network, or may."""

    text: str
    rows: tuple[tuple[str, str], ...]  # (table, row)
    certain: bool  # whether the paper says that they are the same


@dataclass(frozen=True)
class Published:
    """reports/published.yaml: the rows of Tables I to III, the sizes of the splits, what is said about them."""

    sizes: dict[str, int]  # split -> expressions
    tables: dict[str, tuple[PublishedRow, ...]]  # "table1", "table2", "table3"
    reruns: tuple[Rerun, ...]
    claims: tuple[StatedDifference, ...] = ()
    repeats: tuple[Repeat, ...] = ()

    def row(self, table: str, name: str) -> PublishedRow | None:
        """The row of that name; None when the table has none."""
        return next((row for row in self.tables[table] if row.name == name), None)


class _Loader(PlainLoader):
    """YAML with exact decimals, and no second entry of one name."""

    def exact(self, node: yaml.ScalarNode) -> Decimal | float:
        try:
            return Decimal(node.value.replace("_", ""))
        except InvalidOperation:  # .inf, .nan, 1:30.5
            return float("nan")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the name {twice[0]!r} stands there twice")
        return super().construct_mapping(node, deep=deep)


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.exact)


def _is_number(value: Any) -> bool:
    """Whether it is a finite number; a Decimal or an integer as the loader makes them."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, Decimal) and value.is_finite()
    )


def _percentages(where: str, values: Any) -> list[str | None]:
    for value in values:
        if value is not None and not (_is_number(value) and 0 <= value <= 100):
            raise HarnessError(f"{where} holds {_shown(value)}; a percentage from 0 to 100 or null is needed")
    return [None if value is None else _digits(value) for value in values]


def _digits(value: int | Decimal) -> str:
    """The digits as the file has them, without an exponent."""
    return f"{Decimal(value):f}"


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


def _numbers(where: str, values: Any, metrics: tuple[str, ...]) -> dict[str, str | None]:
    if not isinstance(values, list) or len(values) != len(metrics):
        shown = (
            [float(v) if isinstance(v, Decimal) else v for v in values]
            if isinstance(values, list)
            else values
        )
        raise HarnessError(
            f"{where} must be a list of {len(metrics)} numbers ({' '.join(metrics)}), it is {shown!r}"
        )
    return dict(zip(metrics, _percentages(where, values), strict=True))


def _remarks(where: str, key: str, content: dict[str, Any], row: PublishedRow) -> dict[tuple[str, str], Any]:
    """`uncertain` or `readings` of a row, keyed by (split, metric)."""
    remarks = content.get(key) or {}
    if not isinstance(remarks, dict) or not all(isinstance(found, dict) for found in remarks.values()):
        raise HarnessError(f"{where}.{key} must have the form {{split: {{metric: ...}}}}, it is {remarks!r}")
    metrics = list(dict.fromkeys(metric for _, metric in row.cells))
    for split, found in remarks.items():
        if split not in {split for split, _ in row.cells}:
            raise HarnessError(f"{where}.{key} names the split {split!r}, which the row does not have")
        for metric in found:
            if metric not in metrics:
                raise HarnessError(f"{where}.{key}.{split} names {metric!r}; known are {', '.join(metrics)}")
    return {(split, metric): value for split, found in remarks.items() for metric, value in found.items()}


def _row(
    where: str, name: str, values: dict[str, Any], metrics: tuple[str, ...], content: dict[str, Any]
) -> PublishedRow:
    cells = {
        (split, metric): PublishedCell(None if printed is None else float(printed), printed=printed)
        for split, numbers in values.items()
        for metric, printed in _numbers(f"{where}.{split}", numbers, metrics).items()
    }
    row = PublishedRow(name, cells, content.get("visual"), content.get("text"))
    uncertain = _remarks(where, "uncertain", content, row)
    readings = _remarks(where, "readings", content, row)
    for place, found in readings.items():
        if not isinstance(found, list) or None in found:
            raise HarnessError(f"{where}.readings.{'.'.join(place)} must be a list of percentages")
    for place, cell in cells.items():
        others = _percentages(f"{where}.readings.{'.'.join(place)}", readings.get(place, []))
        cells[place] = PublishedCell(
            cell.value,
            str(uncertain[place]) if place in uncertain else None,
            cell.printed,
            tuple(text for text in others if text is not None),
        )
    return row


def _tables(path: Path, content: dict[str, Any]) -> dict[str, tuple[PublishedRow, ...]]:
    tables: dict[str, tuple[PublishedRow, ...]] = {}
    for table, metrics in COLUMNS.items():
        if not isinstance(content[table], dict) or not content[table]:
            raise HarnessError(f"{path}: {table} must have rows, each a name with its numbers; {FORM}")
        rows = []
        for name, found in content[table].items():
            where = f"{path}: {table}.{name}"
            settings = found if isinstance(found, dict) else {"val": found}
            # The paper gives its ablations on val only.
            splits = ("val", "test") if table == "table1" else ("val",)
            if table == "table1" and not (isinstance(found, dict) and set(splits) <= set(found)):
                raise HarnessError(f"{where} needs the keys val and test")
            values = {split: settings.get(split) for split in splits}
            rows.append(_row(where, str(name), values, metrics, settings))
        tables[table] = tuple(rows)
    return tables


def _sizes(path: Path, sizes: Any) -> dict[str, int]:
    if not isinstance(sizes, dict) or not {"val", "test"} <= set(sizes):
        raise HarnessError(f"{path}: n must hold the expressions of val and test; it is {sizes!r}")
    for split, n in sizes.items():
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise HarnessError(
                f"{path}: n.{split} is {_shown(n)}; the number of expressions is needed, 1 or more"
            )
    return {str(split): n for split, n in sizes.items()}


def default_file() -> Path:
    """reports/published.yaml where that exists, in a checkout; elsewhere the copy that an installed wheel carries."""
    here, carried = Path("reports/published.yaml"), Path(__file__).with_name("published.yaml")
    return here if here.exists() or not carried.exists() else carried


def read_published(path: Path | str) -> Published:
    """Read the published tables.

    Raises:
        HarnessError: the file is missing, is no YAML, has no number of expressions, a row has not one number a column,
            or a claim names what the tables do not have.
    """
    path = Path(path)
    try:
        content = read_yaml(path, _Loader)
    except FileNotFoundError:
        raise HarnessError(
            f"{path} does not exist; reports/published.yaml of the project has the published numbers"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, ValueError, TypeError) as error:
        raise HarnessError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or (missing := {"n", "table1", "table2", "table3"} - set(content)):
        lacking = "every section" if not isinstance(content, dict) else ", ".join(sorted(missing))
        raise HarnessError(f"{path} lacks {lacking}; {FORM}")
    sizes, tables = _sizes(path, content["n"]), _tables(path, content)
    published = Published(sizes, tables, _reruns(path, content.get("reruns")))
    return Published(
        sizes,
        tables,
        published.reruns,
        _claims(path, published, content.get("claims")),
        _repeats(path, published, content.get("repeats")),
    )


def _entries(path: Path, section: str, entries: Any, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    entries = entries or []
    if not isinstance(entries, list) or not all(isinstance(e, dict) and set(keys) <= set(e) for e in entries):
        raise HarnessError(f"{path}: {section} must be a list of entries with the keys {', '.join(keys)}")
    return entries


def _reruns(path: Path, entries: Any) -> tuple[Rerun, ...]:
    found = []
    for number, entry in enumerate(_entries(path, "reruns", entries, ("model", "split", "values", "source"))):
        printed = _numbers(f"{path}: reruns[{number}].values", entry["values"], RERUN_METRICS)
        values = {metric: None if text is None else float(text) for metric, text in printed.items()}
        found.append(Rerun(str(entry["model"]), str(entry["split"]), values, str(entry["source"])))
    return tuple(found)


def _claims(path: Path, published: Published, entries: Any) -> tuple[StatedDifference, ...]:
    found = []
    for number, entry in enumerate(_entries(path, "claims", entries, ("text", "pairs"))):
        where = f"{path}: claims[{number}]"
        for pair in entry["pairs"] if isinstance(entry["pairs"], list) else [None]:
            if not isinstance(pair, list) or len(pair) != 5 or not _is_number(pair[4]):
                raise HarnessError(
                    f"{where} holds {pair!r}; [row, row, split, metric, difference in points] is needed"
                )
            a, b, split, metric = map(str, pair[:4])
            table = _table_of(where, published, a, b)
            row_a, row_b = published.row(table, a), published.row(table, b)
            if any(row is None or (split, metric) not in row.cells for row in (row_a, row_b)):
                raise HarnessError(f"{where} names {split} {metric}, which {table} does not have")
            found.append(StatedDifference(str(entry["text"]), table, a, b, split, metric, _digits(pair[4])))
    return tuple(found)


def _table_of(where: str, published: Published, a: str, b: str) -> str:
    """The first table that has both rows."""
    names = {table: [row.name for row in rows] for table, rows in published.tables.items()}
    for table, held in names.items():
        if a in held and b in held:
            return table
    every = [name for held in names.values() for name in held]
    for name in (a, b):
        if name not in every:
            raise HarnessError(
                f"{where} names the row {name!r}, which no table has.{suggestion(name, every)}"
            )
    raise HarnessError(f"{where} compares {a!r} with {b!r}, which are not rows of one table")


def _repeats(path: Path, published: Published, entries: Any) -> tuple[Repeat, ...]:
    found = []
    for number, entry in enumerate(_entries(path, "repeats", entries, ("text", "rows", "certain"))):
        where = f"{path}: repeats[{number}]"
        rows = entry["rows"]
        if (
            not isinstance(rows, list)
            or len(rows) < 2
            or not all(isinstance(r, list) and len(r) == 2 for r in rows)
        ):
            raise HarnessError(f"{where}.rows is {rows!r}; two or more of [table, row] are needed")
        for table, name in rows:
            if str(table) not in published.tables or published.row(table, str(name)) is None:
                raise HarnessError(f"{where} names the row {name!r} of {table!r}, which is not there")
        found.append(
            Repeat(
                str(entry["text"]),
                tuple((str(table), str(name)) for table, name in rows),
                bool(entry["certain"]),
            )
        )
    return tuple(found)
