"""The recipes: what each network is trained with, as data.

released    each network's own, as its public script has it, or as another package registers it for its network
common      MAFN's for every network, also one of another package: the fair comparison
paper       what MAFN's letter states; what it leaves out is as released
"""

from dataclasses import dataclass

from harness.errors import HarnessError, suggestion
from harness.registry import MODELS, RECIPES


@dataclass(frozen=True)
class Recipe:
    """Loss, optimiser and augmentation of one network. The optimiser is AdamW in all."""

    learning_rate: float
    batch_size: int  # samples a step, over all processes and micro-batches
    loss_group: int  # samples that share the loss's normalisation: the batch of one GPU in the script
    cross_entropy: float  # weight of the class-weighted cross entropy
    dice: float  # weight of the Dice loss, a sum over the samples and classes of a loss group
    black_boxes: bool
    seed: int | None  # of the script; the seed of a run stands in params.yaml
    class_weights: tuple[float, float] = (0.9, 1.1)  # background, object
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    epochs: int = 40
    power: float = 0.9  # of the polynomial schedule
    bert_layers: int = 10  # optimised of a pre-trained BERT; embeddings and later layers keep their values


RELEASED = {
    "lavt": Recipe(
        learning_rate=5e-5,
        batch_size=32,  # 4 GPUs
        loss_group=8,
        cross_entropy=1.0,
        dice=0.0,
        black_boxes=False,
        seed=None,
    ),
    "rmsin": Recipe(
        learning_rate=3e-5,
        batch_size=8,  # 4 GPUs
        loss_group=2,
        cross_entropy=0.9,
        dice=0.1,
        black_boxes=True,
        seed=2401,
    ),
    "mafn": Recipe(
        learning_rate=3e-5,
        batch_size=16,  # 2 GPUs
        loss_group=8,
        cross_entropy=0.9,
        dice=0.1,
        black_boxes=True,
        seed=2401,
    ),
}
COMMON = RELEASED["mafn"]
PAPER = {
    "mafn": Recipe(
        # Stated, besides AdamW.
        learning_rate=3e-5,
        weight_decay=0.01,
        epochs=40,
        batch_size=8,  # "a batch size of 8 on two NVIDIA A40 GPUs", read as 8 in all; the script has 8 on each
        # Follows from it: a GPU has 4 of the 8 samples. Dice, which is summed over them, then weighs half as much
        # beside the cross entropy as with the script's 8.
        loss_group=4,
        # Not stated, as released: the two losses, the black boxes and the seed here, and the defaults of the other
        # fields (class weights, betas, schedule, which layers of BERT are optimised).
        cross_entropy=0.9,
        dice=0.1,
        black_boxes=True,
        seed=2401,
    ),
}


def find_recipe(name: str, model: str) -> Recipe:
    """The recipe `name` ("released", "common" or "paper") for a registered model.

    Raises:
        HarnessError: no recipe or no model has that name, or this model was never released or published with one.
    """
    own = {"released": RELEASED | _registered(model), "paper": PAPER}
    if name == "common":
        return COMMON
    if name not in own:
        known = ["released", "common", "paper"]
        raise HarnessError(
            f"training.recipe: {name!r} is no recipe.{suggestion(name, known)} Recipes: {', '.join(known)}"
        )
    if model not in own[name]:
        MODELS.entry(model)  # where it is no model at all, that comes first
        others = "released or common" if model in own["released"] else "common"
        way = "" if model in own["released"] else ", or register one under rrsis_harness.recipes"
        raise HarnessError(
            f"training.recipe: the model {model!r} has no {name!r} recipe; {', '.join(own[name])} "
            f"{'has' if len(own[name]) == 1 else 'have'} one. Set training.recipe: {others}{way}"
        )
    return own[name][model]


def _registered(model: str) -> dict[str, Recipe]:
    """The recipe that another package registers for its model: entry points name the model, their value a `Recipe`."""
    if model in RELEASED or model not in RECIPES.names():
        return {}
    found = RECIPES.load(model)
    if not isinstance(found, Recipe):
        raise HarnessError(f"{RECIPES.describe(model)} is no harness.training.recipe.Recipe")
    return {model: found}
