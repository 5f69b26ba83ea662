"""A profile in numbers: runs, steps, images, memory, hours, disk."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Params
from harness.data.text import load_tokenizer, tokenizer_file
from harness.data.workers import cores, ordered_map
from harness.planning.cards import Card, evaluation_precision
from harness.planning.counting import Counts, TrainedNetwork, count_training
from harness.planning.disk import Need, Weights, disk_needs, is_trained
from harness.planning.expressions import count_expressions
from harness.planning.measuring import Measured, measure
from harness.training.plan import Plan, make_plan, resolve_recipe

SCHEMA_VERSION = 1
UTILISATION = 0.3  # of a card's peak; an assumption
MANY = 4  # networks from which on other processes, which take seconds to start, count faster
CACHE = Path(".dvc/cache")
# Of `harness evaluate`, in passes over a split: the best weights, on test also with shuffled sentences, and the last.
EVALUATIONS = {"val": 2, "test": 3}


@dataclass(frozen=True)
class Work:
    """A network under its recipe: what all its seeds have in common.

    Args:
        name: of the variant.
        plan: of one run.
        counts: of a step.
        evaluated: images that go through the network without training: val as often as it is looked at, and the
            passes of `harness evaluate`.
        seconds: of one run, training and evaluation; None: unknown.
        measured: on this machine, if it was.
    """

    name: str
    plan: Plan
    counts: Counts
    evaluated: int
    seconds: float | None
    measured: Measured | None

    @property
    def images(self) -> int:
        """Images that one training sees."""
        return self.plan.steps * self.plan.recipe.batch_size


@dataclass(frozen=True)
class ProfilePlan:
    """A profile in numbers.

    Args:
        params: the profile.
        expressions: of each split.
        source: of these numbers, in words.
        works: by variant.
        runs: the variant of each run.
        finished: runs that are trained.
        gpus: GPUs, or places to train at on this machine, each with one run at a time.
        needs: of disk.
    """

    params: Params
    expressions: Mapping[str, int]
    source: str
    works: Mapping[str, Work]
    runs: Mapping[str, str]
    finished: tuple[str, ...]
    gpus: int
    needs: tuple[Need, ...]

    @property
    def pending(self) -> list[str]:
        """The runs to train, in the order of the profile."""
        return [run for run in self.runs if run not in self.finished]

    @property
    def seconds(self) -> float | None:
        """Of all runs to train, one after another; None: unknown."""
        return _sum(self.works[self.runs[run]].seconds for run in self.pending)

    @property
    def wall(self) -> float | None:
        """Seconds until the last run ends, each GPU taking the next run when it is free, as `harness sweep` does."""
        if self.seconds is None:
            return None
        free = [0.0] * self.gpus
        for run in self.pending:
            first = free.index(min(free))
            free[first] += self.works[self.runs[run]].seconds or 0.0
        return max(free)

    @property
    def memory(self) -> int:
        """Bytes of tensors that the largest network to train needs at once; all are trained: of the largest."""
        return max(self.works[self.runs[run]].counts.memory for run in self.pending or self.runs)


def plan_profile(
    params: Params,
    *,
    gpus: int = 1,
    card: Card | None = None,
    utilisation: float = UTILISATION,
    measured: bool = False,
    cache: Path = CACHE,
    counted: Callable[[str], None] = lambda name: None,
) -> ProfilePlan:
    """Derive all numbers of a profile; nothing of it has to be there yet.

    Args:
        params: the profile.
        gpus: with one run at a time each.
        card: for the hours; None: without them.
        utilisation: share of the card's peak that the networks reach.
        measured: take the hours of what is to be trained from steps on this machine.
        cache: DVC's, where some of it is written.
        counted: called with each variant that is done.

    Raises:
        HarnessError: a network cannot be built, or the number of expressions is not known.
    """
    expressions, source = count_expressions(params)
    runs = {name: run.variant for name, run in params.runs.items()}
    finished = tuple(name for name in runs if is_trained(params, name))
    plans = {}
    for name, variant in runs.items():
        if variant not in plans:
            recipe = resolve_recipe(params, name)
            plans[variant] = make_plan(params, name, recipe, rows=expressions["train"], world=1)
    networks = {variant: _network(params, variant, plan) for variant, plan in plans.items()}
    works: dict[str, Work] = {}
    counted_networks = zip(networks.items(), count_networks(networks.values()), strict=True)
    for (variant, network), counts in counted_networks:
        wanted = measured and any(runs[name] == variant for name in runs if name not in finished)
        found = measure(network, counts, params.evaluation.batch_size) if wanted else None
        evaluated = _evaluated(params, plans[variant], expressions)
        seconds = None
        if found is not None:
            seconds = plans[variant].steps * found.step + evaluated * found.image
        elif card is not None:
            seconds = _estimate(params, plans[variant], counts, evaluated, card) / utilisation
        works[variant] = Work(variant, plans[variant], counts, evaluated, seconds, found)
        counted(variant)
    pending = [
        Weights(works[variant].counts.weights, works[variant].counts.checkpoint)
        for name, variant in runs.items()
        if name not in finished
    ]
    needs = disk_needs(params, pending, at_once=gpus, cache=cache)
    return ProfilePlan(params, expressions, source, works, runs, finished, gpus, tuple(needs))


def count_networks(networks: Collection[TrainedNetwork]) -> Iterator[Counts]:
    """Count each network's step, in parallel: for a Swin-B it takes a core some seconds."""
    workers = min(cores(), len(networks)) if len(networks) >= MANY else 1
    return ordered_map(count_training, networks, workers)


def _network(params: Params, variant: str, plan: Plan) -> TrainedNetwork:
    return TrainedNetwork(
        model=plan.model,
        preset=params.preset,
        image_size=params.image_size,
        options={"vocab_size": vocabulary(params), **params.variants[variant].options},
        tokens=params.text.max_tokens,
        micro_batch=plan.micro_batch,
        recipe=plan.recipe,
        training=params.training,
    )


def _evaluated(params: Params, plan: Plan, expressions: Mapping[str, int]) -> int:
    """Images that go through a network without training it."""
    validations = -(-plan.recipe.epochs // params.training.validate_every)
    passes = sum(number * expressions[split] for split, number in EVALUATIONS.items())
    return validations * expressions["val"] + passes


def _estimate(params: Params, plan: Plan, counts: Counts, evaluated: int, card: Card) -> float:
    """Seconds of a run at the card's peak."""
    trained = plan.steps * plan.recipe.batch_size * counts.passes * counts.flops
    return trained / card.peak(params.training.precision) + evaluated * counts.flops / card.peak(
        evaluation_precision(params.training)
    )


def vocabulary(params: Params) -> int:
    """Rows of the word embedding: of the prepared tokenizer, else what the profile says, which is the most."""
    path = tokenizer_file(params)
    return load_tokenizer(path).get_vocab_size() if path.is_file() else params.text.vocab_size


def to_dict(plan: ProfilePlan, assumption: str | None) -> dict[str, Any]:
    """The plan as plain values; times in seconds, sizes in bytes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": plan.params.profile,
        "params": str(plan.params.params),
        "expressions": dict(plan.expressions),
        "expressions_from": plan.source,
        "gpus": plan.gpus,
        "assumption": assumption,
        "variants": {
            name: {
                "model": work.plan.model,
                "steps": work.plan.steps,
                "batch_size": work.plan.recipe.batch_size,
                "micro_batch": work.plan.micro_batch,
                "epochs": work.plan.recipe.epochs,
                "images": work.images,
                "evaluated": work.evaluated,
                "parameters": work.counts.parameters,
                "trained_parameters": work.counts.trained,
                "flops": work.counts.flops,
                "memory": work.counts.memory,
                "memory_static": work.counts.static,
                "seconds": work.seconds,
                "measured": None
                if work.measured is None
                else {
                    "step": work.measured.step,
                    "image": work.measured.image,
                    "peak_memory": work.measured.peak,
                    "device": work.measured.device,
                },
            }
            for name, work in plan.works.items()
        },
        "runs": {
            name: {"variant": variant, "finished": name in plan.finished}
            for name, variant in plan.runs.items()
        },
        "pending": len(plan.pending),
        "steps": sum(plan.works[plan.runs[run]].plan.steps for run in plan.pending),
        "images": sum(plan.works[plan.runs[run]].images for run in plan.pending),
        "gpu_seconds": plan.seconds,
        "wall_seconds": plan.wall,
        "memory": plan.memory,
        "disk": [{"what": need.what, "path": str(need.path), "bytes": need.size} for need in plan.needs],
    }


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
