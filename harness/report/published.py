"""The published numbers, read from reports/published.yaml and from nowhere else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import HarnessError

TABLE1_METRICS = ("P@0.5", "P@0.6", "P@0.7", "P@0.8", "P@0.9", "oIoU", "mIoU")
ABLATION_METRICS = ("P@0.5", "P@0.7", "P@0.9", "oIoU", "mIoU")  # the columns of Tables II and III
RERUN_METRICS = ("oIoU", "mIoU")


@dataclass(frozen=True)
class PublishedCell:
    """One published number in percent; None where it is not published or cannot be read."""

    value: float | None
    uncertain: str | None = None  # why the number may be another one


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
class Published:
    """reports/published.yaml: the rows of Tables I to III, the sizes of the splits, re-runs by others."""

    sizes: dict[str, int]  # split -> expressions
    tables: dict[str, tuple[PublishedRow, ...]]  # "table1", "table2", "table3"
    reruns: tuple[Rerun, ...]


def _numbers(path: Path, where: str, values: Any, metrics: tuple[str, ...]) -> dict[str, float | None]:
    if not isinstance(values, list) or len(values) != len(metrics):
        raise HarnessError(
            f"{path}: {where} must be a list of {len(metrics)} numbers ({' '.join(metrics)}), it is {values!r}"
        )
    for value in values:
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100
        ):
            raise HarnessError(
                f"{path}: {where} holds {value!r}; a percentage from 0 to 100 or null is needed"
            )
    return dict(zip(metrics, values, strict=True))


def _row(
    path: Path,
    where: str,
    name: str,
    values: dict[str, Any],
    metrics: tuple[str, ...],
    content: dict[str, Any],
) -> PublishedRow:
    reasons = content.get("uncertain") or {}
    cells = {}
    for split, numbers in values.items():
        read = _numbers(path, f"{where}.{split}", numbers, metrics)
        for metric in set(reasons.get(split, {})) - set(metrics):
            raise HarnessError(
                f"{path}: {where}.uncertain.{split} names {metric!r}; known are {', '.join(metrics)}"
            )
        for metric, value in read.items():
            cells[split, metric] = PublishedCell(value, reasons.get(split, {}).get(metric))
    for split in set(reasons) - set(values):
        raise HarnessError(
            f"{path}: {where}.uncertain names the split {split!r}, which the row does not have"
        )
    return PublishedRow(name, cells, content.get("visual"), content.get("text"))


def read_published(path: Path | str) -> Published:
    """Read the published tables.

    Raises:
        HarnessError: the file is missing, is no YAML, or a row has not one number a column.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(
            f"{path} does not exist; it is part of the project, name another one as report.published"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise HarnessError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or (missing := {"n", "table1", "table2", "table3"} - set(content)):
        lacking = "every section" if not isinstance(content, dict) else ", ".join(sorted(missing))
        raise HarnessError(
            f"{path} lacks {lacking}; the file kept with the project has n, table1, table2, table3"
        )

    tables: dict[str, tuple[PublishedRow, ...]] = {}
    rows = []
    for name, row in content["table1"].items():
        if not isinstance(row, dict) or not {"val", "test"} <= set(row):
            raise HarnessError(f"{path}: table1.{name} needs the keys val and test")
        splits = {split: row[split] for split in ("val", "test")}
        rows.append(_row(path, f"table1.{name}", str(name), splits, TABLE1_METRICS, row))
    tables["table1"] = tuple(rows)
    for table in ("table2", "table3"):  # the paper gives its ablations on val only
        rows = []
        for name, row in content[table].items():
            settings = row if isinstance(row, dict) else {"val": row}
            splits = {"val": settings.get("val")}
            rows.append(_row(path, f"{table}.{name}", str(name), splits, ABLATION_METRICS, settings))
        tables[table] = tuple(rows)

    reruns = tuple(
        Rerun(
            str(rerun["model"]),
            str(rerun["split"]),
            _numbers(path, f"reruns[{number}].values", rerun["values"], RERUN_METRICS),
            str(rerun["source"]),
        )
        for number, rerun in enumerate(content.get("reruns") or [])
    )
    return Published({str(split): int(n) for split, n in content["n"].items()}, tables, reruns)
