"""The pipeline that made the inputs: the stages of dvc.yaml, and what dvc.lock recorded of them.

DVC rewrites dvc.lock after the report was made, as the report is a stage itself: its own entry is never read, so that
the same inputs give the same bytes. Of the others only commands and outputs are: outputs are the report's inputs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from harness.config import Params
from harness.plain_yaml import read_yaml

EXPRESSION = re.compile(r"\$\{([\w.]+)\}")
OWN = "report"  # the stage that writes these pages
ANY_RUN = {"key": "<run>", "item": "<run>"}


@dataclass(frozen=True)
class Artefact:
    """An output with the hash that DVC recorded."""

    path: str
    md5: str  # with ".dir" at the end for a folder
    size: int | None
    stage: str


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml; one with `foreach` stands for all of its runs, named <run> in the paths."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    keys: tuple[str, ...] | None  # of its foreach
    commands: Mapping[str, str]  # of each recorded or planned run of it, by DVC's name: "train@mafn-full-s0"
    recorded: tuple[str, ...] = ()  # of these names, those in dvc.lock

    @property
    def own(self) -> bool:
        """Whether this is the stage that writes these pages."""
        return self.name == OWN


@dataclass(frozen=True)
class Pipeline:
    """Stages in the order of dvc.yaml, the recorded artefacts, and what is missing, in words."""

    stages: tuple[Stage, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    gaps: tuple[str, ...] = field(default=())

    def edges(self) -> tuple[tuple[str, str], ...]:
        """Pairs (earlier, later) of stages: an output of the earlier is, holds or lies in a dependency of the later."""
        return tuple(
            (earlier.name, later.name)
            for later in self.stages
            for earlier in self.stages
            if earlier is not later and any(_overlap(out, dep) for out in earlier.outs for dep in later.deps)
        )


def read_pipeline(params: Params) -> Pipeline:
    """Read dvc.yaml and dvc.lock beside the params file; what cannot be read is a gap."""
    path = Path(params.pipeline)
    content, problem = _read(path)
    if content is None:
        return Pipeline(gaps=(f"{problem} The graph of the pipeline is not shown.",))
    lock_path = path.with_name("dvc.lock")
    lock, no_lock = _read(lock_path)
    entries = lock.get("stages") if lock else None
    entries = entries if isinstance(entries, dict) else {}
    entries = {name: entry for name, entry in entries.items() if name != OWN and isinstance(entry, dict)}
    gaps = [] if no_lock is None else [f"{no_lock} Commands are those of {path}, and no output has a hash."]
    stages = content.get("stages")
    if not isinstance(stages, dict):
        return Pipeline(gaps=(f"{path} has no stages. The graph of the pipeline is not shown.",))
    variables = params.model_dump(mode="json")
    found = tuple(_stage(name, entry, variables, entries) for name, entry in stages.items())
    known = [name for stage in found for name in stage.commands]
    artefacts = tuple(
        artefact for name in known if name in entries for artefact in _artefacts(name, entries[name])
    )
    return Pipeline(found, artefacts, tuple(gaps))


def _read(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        return None, f"{path} does not exist."
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None, f"{path} cannot be read as YAML."
    return (content, None) if isinstance(content, dict) else (None, f"{path} holds no mapping.")


def _stage(name: str, entry: Any, variables: Mapping[str, Any], lock: Mapping[str, Any]) -> Stage:
    entry = entry if isinstance(entry, dict) else {}
    body = entry.get("do", entry)
    body = body if isinstance(body, dict) else {}
    items = _foreach(entry.get("foreach"), variables)
    command = str(body.get("cmd", "no command"))
    if items is None:
        planned = {name: _fill(command, variables)}
    else:
        planned = {
            f"{name}@{key}": _fill(command, {**variables, "key": key, "item": item})
            for key, item in items.items()
        }
    scope = variables if items is None else {**variables, **ANY_RUN}
    outs = [*_paths(body.get("outs")), *_paths(body.get("metrics")), *_paths(body.get("plots"))]
    return Stage(
        name=name,
        command=_fill(command, scope),
        deps=tuple(_fill(path, scope) for path in _paths(body.get("deps"))),
        outs=tuple(_fill(path, scope) for path in outs),
        keys=None if items is None else tuple(items),
        commands={one: str(lock.get(one, {}).get("cmd", text)) for one, text in planned.items()},
        recorded=tuple(one for one in planned if one in lock),
    )


def _foreach(value: Any, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    """The items of a foreach by their keys; None where there is none."""
    if isinstance(value, str) and (found := EXPRESSION.fullmatch(value)):
        value = _look_up(found[1], variables)
    if isinstance(value, list):
        return {str(item): item for item in value}
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else None


def _paths(value: Any) -> Iterator[str]:
    """The paths of a list of outputs or dependencies, each a string or a mapping from the path to its settings."""
    for item in value if isinstance(value, list) else ():
        yield from map(str, item) if isinstance(item, dict) else (str(item),)


def _fill(text: str, variables: Mapping[str, Any]) -> str:
    """Replace every ${...} that has a value; the others stay."""

    def value(found: re.Match[str]) -> str:
        known = _look_up(found[1], variables)
        return found[0] if known is None else str(known)

    return EXPRESSION.sub(value, text)


def _look_up(name: str, variables: Mapping[str, Any]) -> Any:
    value: Any = variables
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _overlap(one: str, other: str) -> bool:
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first.is_relative_to(second) or second.is_relative_to(first)


def _artefacts(stage: str, entry: Mapping[str, Any]) -> Iterator[Artefact]:
    outs = entry.get("outs")
    for out in outs if isinstance(outs, list) else ():
        if isinstance(out, dict) and "path" in out and "md5" in out:
            size = out.get("size")
            yield Artefact(str(out["path"]), str(out["md5"]), size if isinstance(size, int) else None, stage)
