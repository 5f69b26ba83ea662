"""What a run of params.yaml means in numbers: the recipe with the profile's departures, steps, samples a process."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.config import Params
from harness.errors import HarnessError
from harness.training.recipe import Recipe, find_recipe


@dataclass(frozen=True)
class Plan:
    """A training in numbers."""

    model: str  # registered name
    seed: int
    recipe: Recipe  # with the learning rate, batch size and epochs of the profile, where it has its own
    steps_an_epoch: int
    share: int  # samples of a step that one process takes
    micro_batch: int  # samples that it takes at once

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_an_epoch * self.recipe.epochs

    def described(self) -> Mapping[str, Any]:
        """The recipe as plain values."""
        return asdict(self.recipe)


def resolve_recipe(params: Params, name: str) -> Recipe:
    """The recipe of a run with what its profile sets itself.

    Raises:
        HarnessError: there is no such recipe, or its loss groups do not divide the batch.
    """
    options = params.training
    model = params.variants[params.runs[name].variant].model
    recipe = find_recipe(options.recipe, model)
    changes = {
        key: value
        for key in ("epochs", "batch_size", "learning_rate")
        if (value := getattr(options, key)) is not None
    }
    recipe = replace(recipe, **changes)
    if recipe.batch_size % recipe.loss_group:
        raise HarnessError(
            f"training.batch_size {recipe.batch_size} is no multiple of {recipe.loss_group}, the number of samples "
            f"that the {options.recipe} recipe of {model} takes its loss over"
        )
    return recipe


def make_plan(params: Params, name: str, recipe: Recipe, *, rows: int, world: int) -> Plan:
    """Divide a run into steps, and its batches among processes.

    Args:
        params: the profile.
        name: of the run.
        recipe: see `resolve_recipe`.
        rows: of the train split.
        world: number of processes.

    Raises:
        HarnessError: the split is smaller than a batch, or the batch does not divide among the processes.
    """
    batch_size = recipe.batch_size
    steps_an_epoch = rows // batch_size  # the last, smaller batch is dropped, as released
    if not steps_an_epoch:
        raise HarnessError(
            f"{params.split_file('train')} has {rows} rows, fewer than one batch of {batch_size}; "
            "lower training.batch_size"
        )
    if batch_size % world:
        fitting = ", ".join(str(number) for number in range(1, batch_size + 1) if batch_size % number == 0)
        raise HarnessError(
            f"a batch of {batch_size} samples does not divide among {world} processes; start one of {fitting}"
        )
    share = batch_size // world
    most = min(params.training.micro_batch or share, share)
    return Plan(
        model=params.variants[params.runs[name].variant].model,
        seed=params.runs[name].seed,
        recipe=recipe,
        steps_an_epoch=steps_an_epoch,
        share=share,
        micro_batch=max(size for size in range(1, most + 1) if share % size == 0),
    )
