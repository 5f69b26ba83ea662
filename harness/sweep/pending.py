"""What is to be trained: the train stages that DVC finds changed, and whether the data comes first."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Params
from harness.errors import HarnessError, suggestion
from harness.files import require_writable
from harness.sweep import dvc
from harness.sweep.run import Run

PREPARATION = ("data", "prepare")  # the stages that every training starts from, in order


@dataclass(frozen=True)
class Plan:
    """What a sweep has to do.

    Args:
        preparation: stages to run before the first training.
        pending: runs to train, and why: what changed since they were trained.
        current: runs that are trained, with nothing changed since.
    """

    preparation: tuple[str, ...]
    pending: Mapping[str, str]
    current: tuple[str, ...]


def chosen_runs(params: Params, names: Sequence[str]) -> tuple[str, ...]:
    """The runs that names mean, in the order of the params file; all where there are no names.

    A name is a run (mafn-full-s0), a variant (mafn-k1: all its seeds), or either with "-full" left out.

    Raises:
        HarnessError: an unknown name, with the closest one.
    """
    if not names:
        return tuple(params.runs)
    chosen: set[str] = set()
    for name in names:
        model, separator, seed = name.rpartition("-s")
        wanted = {name, f"{name}-full", f"{model}-full-s{seed}" if separator else name}
        found = {run for run, settings in params.runs.items() if wanted & {run, settings.variant}}
        if not found:
            variants = dict.fromkeys(settings.variant for settings in params.runs.values())
            short = [variant.removesuffix("-full") for variant in variants]
            known = [*short, *variants, *params.runs]
            raise HarnessError(
                f"{params.params} has no run {name!r}.{suggestion(name, known)} A run, or all seeds of one of: "
                f"{', '.join(short)}"
            )
        chosen |= found
    return tuple(run for run in params.runs if run in chosen)


def make_plan(params: Params, runs: Sequence[str]) -> Plan:
    """Ask DVC which of the runs are to be trained.

    A run that is in training at this moment, by another process, counts as pending.

    Raises:
        HarnessError: there is no pipeline, it is in no DVC project, or DVC cannot tell.
    """
    if not Path(params.pipeline).is_file():
        way_out = f"`ln -s {params.root / 'dvc.yaml'} {params.pipeline}` makes it the project's"
        if params.root == Path():
            way_out = "run from the project's folder"
        raise HarnessError(f"there is no {params.pipeline} beside {params.params}: {way_out}")
    dvc.root()
    stages = [*PREPARATION, *(f"train@{run}" for run in runs)]
    changed = _status([f"{params.pipeline}:{stage}" for stage in stages])
    reasons = {run: changed[f"train@{run}"] for run in runs if f"train@{run}" in changed}
    return Plan(
        preparation=tuple(stage for stage in PREPARATION if stage in changed),
        pending=reasons,
        current=tuple(run for run in runs if run not in reasons),
    )


def make_runs(params: Params, names: Iterable[str]) -> list[Run]:
    """The runs as a sweep trains them, each with its log under `${out}/sweep`.

    Raises:
        HarnessError: no log can be written there.
    """
    folder = params.out / "sweep"
    runs = [Run(name, f"{params.pipeline}:train@{name}", folder / f"{name}.log") for name in names]
    for run in runs:
        require_writable(run.log)
    return runs


def _status(targets: Sequence[str]) -> dict[str, str]:
    """What changed for each of the stages that did; by the stage's name without its file."""
    code, output, message = dvc.ask(["status", "--json", *targets])
    if holder := dvc.blockers(message):
        if len(targets) == 1:
            return {_name(targets[0]): f"in the hands of {holder}"}
        # One stage at work in another process spoils the whole answer.
        return {name: why for one in targets for name, why in _status([one]).items()}
    if code:
        text = " ".join(message.split()).replace("ERROR: ", "")
        raise HarnessError(f"DVC cannot tell what is to be done: {text}")
    return {_name(stage): _reason(changes) for stage, changes in json.loads(output).items()}


def _name(stage: str) -> str:
    return stage.rpartition(":")[2]


def _reason(changes: Sequence[Any]) -> str:
    """The changed dependencies by name; a run that dvc.lock does not have was never trained."""
    parts: dict[str, Any] = {}
    for change in changes:
        parts |= change if isinstance(change, dict) else {str(change): {}}
    dependencies = parts.get("changed deps", {})
    if "new" in dependencies.values():  # a params file that dvc.lock has nothing about
        return "never trained"
    names = []
    for path, state in dependencies.items():
        names += [f"{key} in {path}" for key in state] if isinstance(state, dict) else [path]
    if names:
        return "changed: " + ", ".join(names)
    if outputs := parts.get("changed outs"):
        path, state = next(iter(outputs.items()))
        if state in ("deleted", "not in cache"):
            return f"{Path(path).name} is missing; `dvc pull` may bring it"
        return f"{Path(path).name} is {state}"
    return ", ".join(parts) or "changed"
