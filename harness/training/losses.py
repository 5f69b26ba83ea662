"""The recipes' loss, over loss groups that span processes and accumulation.

The released losses are normalised over the batch of one GPU, and so change with the number of GPUs. Here that number
of samples is the recipe's `loss_group`: the first so many samples of the global batch are a group, the next so many
another. All that a sample's loss needs of the others in its group is their sum of class weights, which the masks alone
give. So the global batch may be split anyhow:

    weights = ...                                 # `sample_weights` of the global batch, gathered from all processes
    groups = loss_groups(weights, recipe)
    for rows in ...:                              # each process's share of the global batch, in micro-batches
        segmentation_loss(model(image[rows], ...), mask[rows], recipe, groups[rows]).backward()

The gradients of all micro-batches and processes add up to the global batch's. DistributedDataParallel takes the mean
over processes instead: multiply the loss by their number.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.training.recipe import Recipe

SMOOTH = 1e-6  # of Dice: a class that neither mask nor prediction has costs nothing


@dataclass(frozen=True)
class LossGroups:
    """What the loss of B samples needs to know of the global batch that they are part of.

    Args:
        weight: (B,), the class weights' sum over all pixels of all samples of the group that each sample is in.
        count: groups in the global batch.
    """

    weight: Tensor
    count: int

    def __getitem__(self, rows: slice | Tensor) -> "LossGroups":
        """The same for some of the samples."""
        return LossGroups(self.weight[rows], self.count)


def sample_weights(mask: Tensor, recipe: Recipe) -> Tensor:
    """Sum of the class weights over each sample's pixels, float64 (B,).

    Args:
        mask: (B, S, S), uint8, 1 = the referred object.
        recipe: class weights.
    """
    background, referred = recipe.class_weights
    pixels = mask.flatten(1)
    area = pixels.sum(1).double()
    return background * (pixels.shape[1] - area) + referred * area


def loss_groups(weights: Tensor, recipe: Recipe) -> LossGroups:
    """Group a global batch.

    Args:
        weights: `sample_weights` of the whole global batch, in its order: a multiple of the loss group, or fewer
            samples, which are one group.
        recipe: size of a group.

    Raises:
        ValueError: the batch does not divide into groups.
    """
    size = min(recipe.loss_group, len(weights))
    if len(weights) % size:
        raise ValueError(f"a batch of {len(weights)} does not divide into loss groups of {size}")
    groups = weights.view(-1, size)
    return LossGroups(groups.sum(1, keepdim=True).expand_as(groups).flatten(), len(groups))


def segmentation_loss(
    logits: Tensor, mask: Tensor, recipe: Recipe, groups: LossGroups | None = None
) -> Tensor:
    """What these samples contribute to the recipe's loss of their global batch, in float32 (float64 of float64).

    Per group cross entropy, sum(w l) / sum(w) over all its pixels, and Dice, 1 - (2 sum(p t) + e) / (sum p + sum t + e)
    summed over its samples and both classes; the mean over the groups.

    Args:
        logits: (B, 2, S, S), of any floating-point type.
        mask: (B, S, S), uint8, 1 = the referred object.
        recipe: weights of the classes, of cross entropy and of Dice.
        groups: of these samples, from the global batch's `loss_groups`; None: they are the global batch.

    Raises:
        ValueError: the groups are of other samples, or without `groups` the batch does not divide into groups.
    """
    if groups is None:
        groups = loss_groups(sample_weights(mask, recipe), recipe)
    if len(groups.weight) != len(logits):
        raise ValueError(f"{len(logits)} samples with the loss groups of {len(groups.weight)}")
    # Not F.cross_entropy: its picking of classes on images has no deterministic implementation in CUDA. Both terms
    # share the logarithms of the probabilities instead, and a target of zeros and ones.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_probability = logits.flatten(2).log_softmax(1)
    referred = mask.flatten(1).to(logits.dtype)
    target = torch.stack((1 - referred, referred), 1)

    background_sum, referred_sum = (log_probability * target).sum(2).unbind(1)
    background_weight, referred_weight = recipe.class_weights
    weighted = background_weight * background_sum + referred_weight * referred_sum
    loss = -recipe.cross_entropy * weighted / groups.weight.to(logits.dtype)
    if recipe.dice:
        probability = log_probability.exp()
        overlap = (probability * target).sum(2)
        # Each sum on its own: all pixels less the other class's sum is one sum less, but rounds a small one to zero,
        # where the mask has no object and the gradient is 1e6.
        dice = 1 - (2 * overlap + SMOOTH) / (probability.sum(2) + target.sum(2) + SMOOTH)
        loss = loss + recipe.dice * dice.sum(1)
    return loss.sum() / groups.count
