"""The results of a finished training, in the run's folder where the next stages look for them."""

import json
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from harness.config import Params
from harness.errors import HarnessError
from harness.evaluation import Identity
from harness.files import atomic_write, read_json, write_json
from harness.memory import peak_memory
from harness.progress import clock
from harness.provenance import Phases, Session, provenance
from harness.registry import MODELS
from harness.training.checkpoint import checkpoint_file, describe_network, last_file, save_checkpoint
from harness.training.curves import Curves
from harness.training.plan import Plan, resolve_recipe
from harness.training.recipe import RELEASED
from harness.training.resume import Checkpoints


@dataclass(frozen=True)
class Results:
    """What a finished training has, besides its last weights."""

    plan: Plan
    best_step: int
    curves: Curves
    phases: Phases
    sessions: Sequence[Session]


def publish(params: Params, name: str, model: nn.Module, checkpoints: Checkpoints, results: Results) -> None:
    """Write the results of the run `name` and clear its training folder.

    Until all are written that folder stays as it is: should this be interrupted, the same command does it again.

    Args:
        params: the profile.
        name: of the run.
        model: with the last weights.
        checkpoints: with the best weights.
        results: the rest.

    Raises:
        HarnessError: a file cannot be written.
    """
    folder, history = params.run_dir(name), results.curves.history
    save_checkpoint(model, last_file(params, name), describe_network(params, name) | history[-1])
    with atomic_write(checkpoint_file(params, name)) as temporary:
        temporary.unlink()
        best = checkpoints.best_file(results.best_step)
        try:
            os.link(best, temporary)
        except OSError:  # a file system without links
            shutil.copyfile(best, temporary)
    results.curves.write_history(folder / "history.csv")
    results.curves.publish(folder / "curves")
    seconds = sum(results.phases.state_dict().values())
    training = results.phases.seconds("steps", "data wait")
    samples = results.plan.steps * results.plan.recipe.batch_size
    write_json(
        folder / "provenance.json",
        {
            "run": name,
            **asdict(Identity.of(params, name)),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "recipe": asdict(results.plan.recipe),
            "steps": results.plan.steps,
            "best_step": results.best_step,
            "seconds": round(seconds, 2),
            "images_per_second": round(samples / training, 2),
            "peak_memory": peak_memory(
                next(model.parameters()).device
            ),  # bytes, of process 0 in the last session
            **provenance(
                phases=results.phases,
                sessions=results.sessions,
                seeds={"run": results.plan.seed},
                packages=[] if results.plan.model in RELEASED else [MODELS.package(results.plan.model)],
                data={
                    key: value for key, value in checkpoints.fingerprint.items() if key.startswith("data/")
                },
            ),
        },
    )
    checkpoints.clear()
    print(
        f"{name}: val mIoU {history[-1]['val_mIoU']:.2f}, oIoU {history[-1]['val_oIoU']:.2f} after {clock(seconds)}",
        flush=True,
    )


def place_in_line(params: Params, name: str) -> str:
    """ "network 4 of 12, about 6:30 of training left in all", from the runs that this data has trained already.

    The time is left out unless each network that is left has a like that is trained: same model, same recipe.
    """
    prepared = params.split_file("train").stat().st_mtime
    others = {run: params.run_dir(run) / "provenance.json" for run in params.runs if run != name}
    trained = {
        run: read_json(path, "harness train")
        for run, path in others.items()
        if path.is_file() and path.stat().st_mtime > prepared
    }
    text = f"network {len(trained) + 1} of {len(params.runs)}"
    left = [run for run in params.runs if run not in trained and params.runs[run].weights is None]
    times = [_seconds_like(params, run, trained.values()) for run in left]
    known = [seconds for seconds in times if seconds is not None]
    if len(known) == len(times):
        text += f", about {clock(sum(known))} of training left in all"
    return text


def _seconds_like(params: Params, name: str, trained: Collection[dict[str, Any]]) -> float | None:
    """What the trained networks of a run's model and recipe took in the mean; None where there is none."""
    try:
        recipe = json.loads(json.dumps(asdict(resolve_recipe(params, name))))
    except HarnessError:  # that network's own training says so
        return None
    model = Identity.of(params, name).model
    took = [record["seconds"] for record in trained if (record["model"], record["recipe"]) == (model, recipe)]
    return sum(took) / len(took) if took else None
