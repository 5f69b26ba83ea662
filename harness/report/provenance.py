"""What ran, where, on what and for how long: from the runs' provenance.json, source.json and DVC's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.report.graph import draw, state
from harness.report.pipeline import read_pipeline
from harness.report.wording import count

if TYPE_CHECKING:
    from harness.report.inputs import Run
    from harness.report.sections import Inputs

SHORT = 12  # characters of a hash that are shown; the whole one is in the cell's title


@dataclass(frozen=True)
class Fact:
    """A fact with its distinct values and the runs that each holds for."""

    name: str
    values: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class PhaseRow:
    """The seconds of a run's phases, in the order of the columns; None where it has none."""

    run: str
    seconds: tuple[float | None, ...]
    total: float | None
    sessions: int | None
    finished: str | None


@dataclass(frozen=True)
class SessionRow:
    """An uninterrupted part of a run, in words."""

    run: str
    number: int
    cells: tuple[str, ...]


SESSION_COLUMNS = (
    ("started", "Started"),
    ("ended", "Ended"),
    ("ending", "Ending"),
    ("from_step", "From step"),
    ("to_step", "To step"),
    ("processes", "Processes"),
    ("device", "Device"),
    ("commit", "Commit"),
)


def provenance_context(inputs: Inputs) -> dict[str, Any]:
    """What the section's template is given."""
    import yaml
    from markupsafe import Markup

    params = inputs.params
    pipeline = read_pipeline(params)
    graph = draw(pipeline)
    phases, rows = phase_rows(inputs.runs)
    settings = yaml.safe_dump(
        params.model_dump(mode="json"),
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )
    return {
        "environment": environment(inputs.runs),
        "versions": versions(inputs.runs),
        "data_facts": facts(inputs.runs, lambda record: _mapping(record.get("data"))),
        "dirty_sentence": dirty_sentence(inputs.runs),
        "source": read_source(params.out / "source" / "source.json"),
        "phases": phases,
        "phase_rows": rows,
        "session_columns": [label for _, label in SESSION_COLUMNS],
        "session_rows": session_rows(inputs.runs),
        "pipeline": pipeline,
        "pipeline_file": params.pipeline,
        "pipeline_graph": Markup(graph) if graph else None,
        "stage_state": state,
        "short": short,
        "params_yaml": settings,
    }


def environment(runs: Sequence[Run]) -> tuple[Fact, ...]:
    """Code and machine of the runs."""
    return facts(runs, _code_and_machine)


def versions(runs: Sequence[Run]) -> tuple[Fact, ...]:
    """Versions of the packages that the runs used."""
    return facts(runs, lambda record: _mapping(record.get("versions")))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _code_and_machine(record: Mapping[str, Any]) -> dict[str, Any]:
    hardware = _mapping(record.get("hardware"))
    commit = record.get("commit")
    gpus = hardware.get("gpus")
    names = [_mapping(gpu).get("name") for gpu in gpus] if isinstance(gpus, list) else None
    return {
        "Commit": f"{commit} with uncommitted changes" if commit and record.get("dirty") else commit,
        "Weights evaluated": _weights(_mapping(record.get("weights"))),
        "Uncommitted changes": {True: "yes", False: "no"}.get(record["dirty"])
        if isinstance(record.get("dirty"), bool)
        else None,
        "Harness": record.get("harness"),
        "Device": record.get("device"),
        "GPUs": None if names is None else ", ".join(map(str, names)) or "none",
        "System": hardware.get("system"),
        "Memory": f"{hardware['memory_gb']} GB" if "memory_gb" in hardware else None,
        "Cores": record.get("cores"),
        "Cores usable": hardware.get("cores_usable"),
        "Processes": record.get("processes"),
        "Threads": record.get("threads"),
        "Seeds": ", ".join(f"{use} {seed}" for use, seed in _mapping(record.get("seeds")).items()) or None,
    }


def _weights(held: Mapping[str, Any]) -> str | None:
    """Which file a run that was not trained here is, None for one that was."""
    if not held:
        return None
    dropped = held.get("dropped")
    unused = (
        f", {count(len(dropped), 'unused tensor')} dropped" if isinstance(dropped, list) and dropped else ""
    )
    return f"{held.get('file')}, SHA-256 {held.get('sha256')}{unused}"


def facts(runs: Sequence[Run], of: Any) -> tuple[Fact, ...]:
    """What the runs recorded: each fact with its distinct values, in the order of the runs.

    Args:
        runs: those without a provenance.json are passed over.
        of: provenance.json -> facts by name; None is no value.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for name, value in of(run.provenance or {}).items():
            if value is not None:
                found.setdefault(str(name), {}).setdefault(str(value), []).append(run.name)
    return tuple(
        Fact(name, tuple((value, tuple(names)) for value, names in values.items()))
        for name, values in found.items()
    )


def dirty_sentence(runs: Sequence[Run]) -> str:
    """From how many commits the runs come, and whether the code had changes that no commit holds."""
    records = [run.provenance for run in runs if run.provenance is not None]
    commits = {record.get("commit") for record in records} - {None}
    dirty = sum(record.get("dirty") is True for record in records)
    unknown = sum(record.get("dirty") is None for record in records)
    if not records:
        return "No run has left a provenance.json with its commit, versions and device."
    parts = [f"{count(len(records), 'run')} left a provenance.json, from {count(len(commits), 'commit')}"]
    if dirty:
        parts.append(
            f"{count(dirty, 'run')} had uncommitted changes, so the commit alone does not reproduce them"
        )
    if unknown:
        parts.append(f"for {count(unknown, 'run')} it is unknown whether there were uncommitted changes")
    if not dirty and not unknown:
        parts.append("none with uncommitted changes")
    return "; ".join(parts) + "."


def phase_rows(runs: Sequence[Run]) -> tuple[tuple[str, ...], tuple[PhaseRow, ...]]:
    """The names of all phases in the order in which runs have them, and a row for each run that recorded any."""
    recorded = [(run, record, _numbers(record.get("phases"))) for run in runs if (record := run.provenance)]
    recorded = [(run, record, phases) for run, record, phases in recorded if phases]
    names = tuple(dict.fromkeys(name for _, _, phases in recorded for name in phases))
    rows = []
    for run, record, phases in recorded:
        sessions, finished = record.get("sessions"), record.get("finished")
        rows.append(
            PhaseRow(
                run.name,
                tuple(phases.get(name) for name in names),
                sum(phases.values()),
                len(sessions) if isinstance(sessions, list) else None,
                str(finished) if finished is not None else None,
            )
        )
    return names, tuple(rows)


def _numbers(value: Any) -> dict[str, float]:
    return {
        str(name): float(number)
        for name, number in _mapping(value).items()
        if isinstance(number, int | float) and not isinstance(number, bool)
    }


def session_rows(runs: Sequence[Run]) -> tuple[SessionRow, ...]:
    """Every session of every run."""
    rows = []
    for run in runs:
        sessions = (run.provenance or {}).get("sessions")
        for number, session in enumerate(sessions if isinstance(sessions, list) else (), 1):
            values = [_mapping(session).get(key) for key, _ in SESSION_COLUMNS]
            cells = tuple("not recorded" if value is None else str(value) for value in values)
            rows.append(SessionRow(run.name, number, cells))
    return tuple(rows)


def read_source(path: Path) -> dict[str, Any] | str:
    """source.json, the fingerprint of the data as the `data` stage saw it; why there is none, in words."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mark = content["fingerprint"]
        return {
            "Data set": str(content["dataset"]),
            "Expressions": ", ".join(f"{n:,} {split}" for split, n in content["expressions"].items()),
            "Files": f"{mark['files']:,}",
            "Bytes": f"{mark['bytes']:,}",
            "SHA-256": str(mark["sha256"]),
        }
    except FileNotFoundError:
        return f"{path} does not exist, so the data's fingerprint is unknown."
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{path} cannot be read as the fingerprint of the data."


def short(digest: str) -> str:
    """The start of a hash, and what kind of thing it is of."""
    stem, dot, kind = digest.partition(".")
    return f"{stem[:SHORT]}…{dot}{kind}" if len(stem) > SHORT else digest
