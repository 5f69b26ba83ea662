"""The released optimiser: AdamW, what it decays and what it leaves alone, and the learning rate's schedule."""

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from harness.training.recipe import Recipe

BERT_LAYER = re.compile(r"text_encoder\.(?:.+\.)?encoder\.layer\.(\d+)\.")


def make_optimizer(
    model: nn.Module, recipe: Recipe, learning_rate: float, *, pretrained: bool
) -> torch.optim.AdamW:
    """AdamW with the released decay groups; freezes what the released scripts leave out.

    Args:
        model: not wrapped yet: the groups go by its parameters' names, and DistributedDataParallel has to see what is
            frozen. See `freeze_bert` and `decay_groups`.
        recipe: weight decay, betas, trained layers of BERT.
        learning_rate: of the first step.
        pretrained: freeze the parts of BERT that the scripts do not optimise. A text encoder from scratch is trained
            whole.
    """
    if pretrained:
        freeze_bert(model, recipe.bert_layers)
    groups = decay_groups(model, recipe.weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=recipe.betas, fused=True)


def freeze_bert(model: nn.Module, layers: int) -> None:
    """Have all of `model.text_encoder` but its encoder's first `layers` layers keep its values.

    Where it is no BERT, which another package's network need not have, nothing is frozen.
    """
    text = {name: one for name, one in model.named_parameters() if name.startswith("text_encoder.")}
    layer = {name: int(found[1]) for name in text if (found := BERT_LAYER.match(name))}
    for name, parameter in text.items():
        if layer and layer.get(name, layers) >= layers:
            parameter.requires_grad_(False)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for the optimiser: the parameters that are decayed, then those that are not; frozen ones in neither.

    Args:
        model: names what is not decayed in `no_weight_decay()`; without that method everything is.
        weight_decay: of the first group.
    """
    names_undecayed: Callable[[], frozenset[str]] = getattr(model, "no_weight_decay", frozenset)
    undecayed = names_undecayed()
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {
            "params": [parameter for name, parameter in trained if name not in undecayed],
            "weight_decay": weight_decay,
        },
        {"params": [parameter for name, parameter in trained if name in undecayed], "weight_decay": 0.0},
    ]


def polynomial_schedule(step: int, steps: int, power: float) -> float:
    """Factor on the learning rate at a step, 0 <= step < steps: (1 - step / steps) ** power."""
    return math.pow(1 - step / steps, power)
