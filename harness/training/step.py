"""The gradient of one global batch, whatever share of it a process takes and in however many parts."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from harness.data.dataset import normalize
from harness.data.loader import Batch
from harness.training.distributed import Ranks
from harness.training.losses import LossGroups, loss_groups, sample_weights, segmentation_loss
from harness.training.recipe import Recipe


def accumulate_gradient(
    network: nn.Module,
    micro_batches: Sequence[Batch],
    recipe: Recipe,
    ranks: Ranks,
    *,
    seed: tuple[int, int],
    autocast: torch.autocast,
    scaler: torch.amp.GradScaler,
) -> list[float]:
    """Add the gradient of the global batch's loss to the parameters, averaged over the processes.

    Args:
        network: what `Ranks.parallel` returned.
        micro_batches: this process's share of the batch, in order.
        recipe: of the loss.
        ranks: the processes.
        seed: of the run, and the number of the step: what dropout draws depends on them and on the place of the
            micro-batch within the global batch, so that there is no generator whose state would have to be kept.
        autocast: around the forward pass.
        scaler: of the loss.

    Returns:
        What each micro-batch adds to the loss of the global batch; the sum over all processes is the loss.
    """
    groups = shared_groups([micro["mask"] for micro in micro_batches], recipe, ranks)
    parts = []
    run, step = seed
    for number, micro in enumerate(micro_batches):
        seed_generators(run, 3, step, ranks.rank * len(micro_batches) + number)
        with ranks.reduced(network, last=number == len(micro_batches) - 1):
            with autocast:
                logits = network(normalize(micro["image"]), micro["input_ids"], micro["attention_mask"])
            part = segmentation_loss(logits, micro["mask"], recipe, groups[number])
            scaler.scale(part * ranks.world).backward()  # DistributedDataParallel averages
        parts.append(part.detach())
    return torch.stack(parts).tolist()


def gradient_norm(parameters: Sequence[nn.Parameter], limit: float | None) -> float:
    """The L2 norm of all gradients together, which are scaled down to `limit` where they exceed it."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients, foreach=True)
    if limit is not None:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm, foreach=True)
    return norm.item()


def shared_groups(masks: Sequence[Tensor], recipe: Recipe, ranks: Ranks) -> list[LossGroups]:
    """The loss groups of this process's micro-batches within the global batch, from their masks.

    Only where a group spans processes do they have to tell each other.
    """
    own = torch.cat([sample_weights(mask, recipe) for mask in masks])
    if len(own) % recipe.loss_group:
        share = slice(ranks.rank * len(own), (ranks.rank + 1) * len(own))
        groups = loss_groups(ranks.share_tensor(own), recipe)[share]
    else:
        groups = loss_groups(own, recipe)
        groups = replace(groups, count=groups.count * ranks.world)
    size = len(masks[0])
    return [groups[start : start + size] for start in range(0, len(own), size)]


def seed_generators(*numbers: int) -> None:
    """Seed torch's, numpy's and Python's global generators from a sequence of numbers."""
    words = np.random.SeedSequence(numbers).generate_state(3, np.uint32).tolist()
    torch.manual_seed(words[0])
    np.random.seed(words[1])  # noqa: NPY002 - for networks of others
    random.seed(words[2])
