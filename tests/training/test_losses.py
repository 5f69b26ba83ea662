"""The loss: the two terms as released, and the same for every split of the global batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.training.losses import LossGroups, loss_groups, sample_weights, segmentation_loss
from harness.training.recipe import COMMON, find_recipe

CE_ALONE = replace(COMMON, cross_entropy=1.0, dice=0.0)
DICE_ALONE = replace(COMMON, cross_entropy=0.0, dice=1.0)


def batch(samples: int = 8, side: int = 6, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Logits and masks whose objects are of very different sizes; one mask is empty and one is full."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(samples, 2, side, side, generator=generator, dtype=torch.float64)
    share = torch.linspace(0, 1, samples)[torch.randperm(samples, generator=generator)]
    mask = (torch.rand(samples, side, side, generator=generator) < share[:, None, None]).byte()
    return logits.to(dtype), mask


def torch_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """sum(w l) / sum(w) over the whole batch, weights 0.9 and 1.1."""
    return F.cross_entropy(logits, mask.long(), weight=torch.tensor([0.9, 1.1], dtype=logits.dtype))


def plain_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """The sum over samples and classes, one after the other."""
    probability, total = logits.softmax(1), torch.zeros((), dtype=logits.dtype)
    for sample in range(len(logits)):
        for label in (0, 1):
            p, t = probability[sample, label], (mask[sample] == label).to(logits.dtype)
            total = total + 1 - (2 * (p * t).sum() + 1e-6) / (p.sum() + t.sum() + 1e-6)
    return total


def loss_and_gradient(function, logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    loss = function(logits, mask)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.detach(), gradient


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], limit: float) -> None:
    """Relative error of each tensor, by its norm."""
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.isfinite().all()
        assert (ours.double() - theirs.double()).norm() <= limit * theirs.double().norm()


@pytest.mark.parametrize("scale", [1, 30, 1e4], ids=["small", "large", "huge"])
def test_bullet_cross_entropy_is_the_weighted_mean(scale):
    """As torch has it, also far beyond where a probability rounds to zero."""
    logits, mask = batch()
    logits = logits * scale
    expected = loss_and_gradient(torch_cross_entropy, logits, mask)
    found = loss_and_gradient(lambda *pair: segmentation_loss(*pair, CE_ALONE), logits, mask)
    assert_same(found, expected, 1e-14)


def test_bullet_dice_is_the_sum_over_samples_and_classes():
    logits, mask = batch()
    found = loss_and_gradient(lambda *pair: segmentation_loss(*pair, DICE_ALONE), logits, mask)
    assert_same(found, loss_and_gradient(plain_dice, logits, mask), 1e-13)


@pytest.mark.parametrize(
    ("name", "model", "gpus", "weights"),
    [
        ("released", "lavt", 4, (1.0, 0.0)),
        ("released", "rmsin", 4, (0.9, 0.1)),
        ("released", "mafn", 2, (0.9, 0.1)),
        ("paper", "mafn", 2, (0.9, 0.1)),
    ],
)
def test_line_loss_is_what_that_many_gpus_average(name, model, gpus, weights):
    recipe = find_recipe(name, model)
    logits, mask = batch(recipe.batch_size)
    assert mask.flatten(1).sum(1).min() == 0
    assert mask.flatten(1).sum(1).max() == 36

    def released(logits: Tensor, mask: Tensor) -> Tensor:
        parts = zip(logits.chunk(gpus), mask.chunk(gpus), strict=True)
        terms = [weights[0] * torch_cross_entropy(*part) + weights[1] * plain_dice(*part) for part in parts]
        return torch.stack(terms).mean()

    found = loss_and_gradient(lambda *pair: segmentation_loss(*pair, recipe), logits, mask)
    assert_same(found, loss_and_gradient(released, logits, mask), 1e-13)


def test_class_weights_of_samples_and_groups():
    mask = torch.zeros(4, 10, 10, dtype=torch.uint8)
    mask[1, :5] = 1
    mask[2] = 1
    weights = sample_weights(mask, COMMON)
    assert weights.dtype == torch.float64
    np.testing.assert_allclose(weights, [90, 100, 110, 90], rtol=1e-15)
    groups = loss_groups(weights, replace(COMMON, loss_group=2))
    np.testing.assert_allclose(groups.weight, [190, 190, 200, 200], rtol=1e-15)
    assert groups.count == 2
    some = groups[torch.tensor([3, 0])]
    assert (some.weight.tolist(), some.count) == ([groups.weight[3].item(), groups.weight[0].item()], 2)


SPLITS = {
    **{f"{parts} parts": [list(rows) for rows in np.array_split(range(16), parts)] for parts in (1, 2, 4, 8)},
    "single samples": [[row] for row in range(16)],
    "unequal parts": [[0], [1, 2], [3, 4, 5, 6, 7], [8, 9, 10], [11, 12, 13, 14, 15]],
    "every second sample": [list(range(0, 16, 2)), list(range(1, 16, 2))],
}


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["float64", "float32"]
)
@pytest.mark.parametrize("group", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("split", SPLITS)
def test_any_split_of_the_batch_gives_its_gradient(split, group, dtype, limit):
    """Micro-batches and processes, larger and smaller than a loss group; 32 is larger than the batch of 16."""
    recipe = replace(COMMON, loss_group=group)
    _, mask = batch(16, side=8)
    torch.manual_seed(0)
    image = torch.randn(16, 3, 8, 8, dtype=dtype)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 2, 1)).to(dtype)

    def gradient() -> tuple[Tensor, ...]:
        found = tuple(parameter.grad.clone() for parameter in network.parameters())
        network.zero_grad()
        return found

    whole = segmentation_loss(network(image), mask, recipe)
    whole.backward()
    expected = gradient()

    parts = SPLITS[split]
    # Each part knows its own masks alone; only the sums go round.
    order = torch.tensor([row for rows in parts for row in rows]).argsort()
    groups = loss_groups(torch.cat([sample_weights(mask[rows], recipe) for rows in parts])[order], recipe)
    total = torch.zeros((), dtype=dtype)
    for rows in parts:
        loss = segmentation_loss(network(image[rows]), mask[rows], recipe, groups[torch.tensor(rows)])
        loss.backward()
        total += loss.detach()
    assert_same((total, *gradient()), (whole.detach(), *expected), limit)


def test_parts_that_know_nothing_of_each_other_give_another_gradient():
    """Why the sums of class weights go round: each part's own loss, averaged, is not the batch's."""
    logits, mask = batch(16)
    recipe = replace(COMMON, loss_group=16, dice=0.0)
    _, whole = loss_and_gradient(lambda *pair: segmentation_loss(*pair, recipe), logits, mask)
    alone = [
        loss_and_gradient(lambda *pair: segmentation_loss(*pair, recipe), *part)[1] / 4
        for part in zip(logits.chunk(4), mask.chunk(4), strict=True)
    ]
    assert (torch.cat(alone) - whole).norm() > 1e-3 * whole.norm()


def test_a_batch_smaller_than_a_group_is_one_group():
    logits, mask = batch(6)
    expected = segmentation_loss(logits, mask, replace(COMMON, loss_group=6))
    assert segmentation_loss(logits, mask, replace(COMMON, loss_group=8)) == expected


def test_a_batch_that_does_not_divide_into_groups_is_refused():
    logits, mask = batch(8)
    with pytest.raises(ValueError, match="a batch of 8 does not divide into loss groups of 3"):
        segmentation_loss(logits, mask, replace(COMMON, loss_group=3))


def test_groups_of_other_samples_are_refused():
    """One number for all would broadcast in silence."""
    logits, mask = batch(8)
    groups = loss_groups(sample_weights(mask, COMMON), COMMON)
    with pytest.raises(ValueError, match="4 samples with the loss groups of 8"):
        segmentation_loss(logits[:4], mask[:4], COMMON, groups)
    with pytest.raises(ValueError, match="8 samples with the loss groups of 1"):
        segmentation_loss(logits, mask, COMMON, LossGroups(groups.weight[:1], 1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_loss_of_16_bit_logits_is_taken_in_float32(dtype):
    logits, mask = batch(dtype=dtype)
    loss = segmentation_loss(logits, mask, COMMON)
    assert loss.dtype == torch.float32
    assert loss == segmentation_loss(logits.float(), mask, COMMON)
    assert segmentation_loss(logits.double(), mask, COMMON).dtype == torch.float64


@pytest.mark.parametrize("certainty", [3, 12, 18, 40, 1e4])
@pytest.mark.parametrize("area", ["empty", "half", "full"])
def test_float32_loses_no_more_than_the_plain_terms_where_the_network_is_certain(certainty, area):
    """At full size, where 230,400 probabilities of exp(-18) of a class that the mask lacks count beside 1e-6."""
    mask = torch.zeros(1, 480, 480, dtype=torch.uint8)
    mask[:, : {"empty": 0, "half": 240, "full": 480}[area]] = 1
    sign = 2 * mask.float()[:, None] - 1
    noise = 1 + 0.1 * torch.rand(1, 1, 480, 480, generator=torch.Generator().manual_seed(0))
    logits = torch.cat((-sign, sign), 1) * certainty / 2 * noise
    for recipe, plain in ((CE_ALONE, torch_cross_entropy), (DICE_ALONE, plain_dice)):
        exact = loss_and_gradient(plain, logits.double(), mask)
        found = loss_and_gradient(lambda *pair, r=recipe: segmentation_loss(*pair, r), logits, mask)
        for ours, theirs, true in zip(found, loss_and_gradient(plain, logits, mask), exact, strict=True):
            rounding = (theirs - true).norm() + 1e-6 * true.norm() + 1e-12
            assert (ours - true).norm() <= 2 * rounding


class Recorded(TorchDispatchMode):
    """Every operation that runs, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: set[torch._ops.OpOverload] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations.add(func)
        return func(*args, **(kwargs or {}))


# Besides pointwise operations. torch.use_deterministic_algorithms lists what has no such implementation in CUDA.
DETERMINISTIC = {
    *("sum", "_log_softmax", "_log_softmax_backward_data", "stack", "_to_copy", "ones_like", "promote_types"),
    *("unbind", "view", "expand", "unsqueeze", "detach"),
}


def test_no_operation_lacks_a_deterministic_implementation_in_cuda():
    logits, mask = batch(8, dtype=torch.float32)
    logits.requires_grad_()

    def others(function) -> set[str]:
        with Recorded() as recorded:
            function(logits, mask).backward()
        return {
            operation.overloadpacket.__name__
            for operation in recorded.operations
            if torch.Tag.pointwise not in operation.tags
        } - DETERMINISTIC

    assert "nll_loss2d_forward" in others(torch_cross_entropy), "what torch refuses is seen"
    assert others(lambda *pair: segmentation_loss(*pair, COMMON)) == set()
