"""The recipes: what each released network is trained with, as data, and the losses.

`released` is each network's own; `common` is MAFN's for all, the fair comparison.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.errors import HarnessError

# Of a pre-trained BERT the scripts optimise encoder layers 0-9; embeddings and layers 10 and 11 keep their values.
TRAINED_BERT_LAYERS = range(10)


@dataclass(frozen=True)
class Recipe:
    """Loss, optimiser and augmentation of one network."""

    learning_rate: float
    batch_size: int  # samples a step, over all processes
    loss_group: int  # samples that share the loss's normalisation: the released batch on one GPU
    cross_entropy: float  # weight of the class-weighted cross entropy
    dice: float  # weight of the Dice loss
    black_boxes: bool
    class_weights: tuple[float, float] = (0.9, 1.1)  # background, object
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    epochs: int = 40
    power: float = 0.9  # of the polynomial schedule


MAFN = Recipe(learning_rate=3e-5, batch_size=16, loss_group=8, cross_entropy=0.9, dice=0.1, black_boxes=True)
RELEASED = {
    "lavt": Recipe(
        learning_rate=5e-5, batch_size=32, loss_group=8, cross_entropy=1.0, dice=0.0, black_boxes=False
    ),
    "rmsin": Recipe(
        learning_rate=3e-5, batch_size=8, loss_group=2, cross_entropy=0.9, dice=0.1, black_boxes=True
    ),
    "mafn": MAFN,
}


def find_recipe(name: str, model: str) -> Recipe:
    """The recipe `name` ("released" or "common") for a registered model.

    Raises:
        HarnessError: a model that was never released has no released recipe.
    """
    if name == "common":
        return MAFN
    if model not in RELEASED:
        raise HarnessError(
            f"no released recipe is known for the model {model!r} (there is one for {', '.join(RELEASED)}); "
            "set training.recipe: common"
        )
    return RELEASED[model]


def segmentation_loss(logits: Tensor, mask: Tensor, recipe: Recipe) -> Tensor:
    """The recipe's loss of a batch, taken per `loss_group` and averaged over the groups.

    The released losses normalise over the batch of one GPU. Fixing that number of samples makes the loss the same for
    any number of processes.

    Args:
        logits: (B, 2, S, S), B a multiple of the loss group, or smaller than it.
        mask: (B, S, S), 1 = the referred object.
        recipe: weights of cross entropy and Dice.
    """
    group = min(recipe.loss_group, len(logits))
    if len(logits) % group:
        raise ValueError(f"a batch of {len(logits)} does not divide into loss groups of {group}")
    loss = recipe.cross_entropy * _cross_entropy(logits, mask, recipe.class_weights, group)
    if recipe.dice:
        loss = loss + recipe.dice * _dice(logits, mask, group)
    return loss


def _cross_entropy(logits: Tensor, mask: Tensor, class_weights: tuple[float, float], group: int) -> Tensor:
    """Weighted mean per group, sum(w l) / sum(w), averaged over the groups."""
    weights = torch.tensor(class_weights, dtype=logits.dtype, device=logits.device)
    pixel_loss = F.cross_entropy(logits, mask.long(), weight=weights, reduction="none")
    pixel_weight = weights[mask.long()]
    return (pixel_loss.view(-1, group, mask[0].numel()).sum((1, 2))
            / pixel_weight.view(-1, group, mask[0].numel()).sum((1, 2))).mean()  # fmt: skip


def _dice(logits: Tensor, mask: Tensor, group: int) -> Tensor:
    """1 - (2 sum(p t) + e) / (sum p + sum t + e), summed over the samples of a group and both classes."""
    smooth = 1e-6
    probability = logits.softmax(1).flatten(2)
    target = torch.stack((1 - mask, mask), 1).flatten(2).to(probability.dtype)
    overlap = (probability * target).sum(2)
    loss = 1 - (2 * overlap + smooth) / (probability.sum(2) + target.sum(2) + smooth)
    return loss.view(-1, group * 2).sum(1).mean()


def make_optimizer(
    model: nn.Module, recipe: Recipe, learning_rate: float, *, pretrained: bool
) -> torch.optim.AdamW:
    """AdamW with the released decay groups; freezes what the released scripts leave out.

    Args:
        model: names what is not decayed in `no_weight_decay()`, where it has that, and its BERT `text_encoder`.
        recipe: weight decay and betas.
        learning_rate: of the first step.
        pretrained: freeze the parts of BERT that the scripts do not optimise. A text encoder from scratch is trained
            whole.
    """
    names_undecayed: Callable[[], frozenset[str]] = getattr(model, "no_weight_decay", frozenset)
    undecayed = names_undecayed()
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        if pretrained and name.startswith("text_encoder.") and not _is_trained_bert(name):
            parameter.requires_grad_(False)
        elif name in undecayed:
            plain.append(parameter)
        else:
            decayed.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=recipe.betas, fused=True)


def _is_trained_bert(name: str) -> bool:
    return any(f".encoder.layer.{layer}." in name for layer in TRAINED_BERT_LAYERS)


def polynomial_schedule(step: int, steps: int, power: float) -> float:
    """Factor on the learning rate at a step, 0 <= step < steps: (1 - step / steps) ** power."""
    return math.pow(1 - step / steps, power)
