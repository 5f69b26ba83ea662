import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.errors import HarnessError
from harness.models import create_model
from harness.training.recipe import (
    MAFN,
    RELEASED,
    Recipe,
    find_recipe,
    make_optimizer,
    polynomial_schedule,
    segmentation_loss,
)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 2, 6, 6, generator=generator, dtype=torch.float64)
    mask = (torch.rand(8, 6, 6, generator=generator) < 0.3).byte()
    return logits, mask


def recipe(**changes) -> Recipe:
    values = {"learning_rate": 1e-3, "batch_size": 8, "loss_group": 8, "cross_entropy": 1.0, "dice": 0.0}
    return Recipe(**(values | {"black_boxes": False} | changes))


def test_the_released_recipes_are_the_published_table():
    assert (RELEASED["lavt"].cross_entropy, RELEASED["lavt"].dice) == (1.0, 0.0)
    assert all(
        (RELEASED[name].cross_entropy, RELEASED[name].dice) == (0.9, 0.1) for name in ("rmsin", "mafn")
    )
    assert {name: r.learning_rate for name, r in RELEASED.items()} == {
        "lavt": 5e-5,
        "rmsin": 3e-5,
        "mafn": 3e-5,
    }
    assert {name: r.batch_size for name, r in RELEASED.items()} == {"lavt": 32, "rmsin": 8, "mafn": 16}
    assert {name: r.loss_group for name, r in RELEASED.items()} == {"lavt": 8, "rmsin": 2, "mafn": 8}
    assert {name: r.black_boxes for name, r in RELEASED.items()} == {
        "lavt": False,
        "rmsin": True,
        "mafn": True,
    }
    assert all((r.weight_decay, r.epochs, r.betas) == (1e-2, 40, (0.9, 0.999)) for r in RELEASED.values())
    assert find_recipe("common", "lavt") == MAFN
    with pytest.raises(HarnessError, match="recipe: common"):
        find_recipe("released", "mynet")


def test_cross_entropy_is_torchs_weighted_mean(batch):
    logits, mask = batch
    expected = F.cross_entropy(logits, mask.long(), weight=torch.tensor([0.9, 1.1], dtype=torch.float64))
    torch.testing.assert_close(segmentation_loss(logits, mask, recipe()), expected)


def test_dice_is_the_sum_over_samples_and_classes(batch):
    logits, mask = batch
    probability = logits.softmax(1).numpy()
    expected = 0.0
    for sample in range(8):
        for label in (0, 1):
            p, t = probability[sample, label], (mask[sample].numpy() == label).astype(float)
            expected += 1 - (2 * (p * t).sum() + 1e-6) / (p.sum() + t.sum() + 1e-6)
    loss = segmentation_loss(logits, mask, recipe(cross_entropy=0.0, dice=0.1))
    np.testing.assert_allclose(loss.item(), 0.1 * expected, rtol=1e-12)


def test_the_loss_is_the_mean_over_its_groups(batch):
    """What two GPUs with four samples each would average, computed on one."""
    logits, mask = batch
    options = {"cross_entropy": 0.9, "dice": 0.1, "loss_group": 4}
    whole = segmentation_loss(logits, mask, recipe(**options))
    halves = [
        segmentation_loss(logits[half], mask[half], recipe(**options)) for half in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(whole, torch.stack(halves).mean())
    assert not torch.isclose(whole, segmentation_loss(logits, mask, recipe(**options | {"loss_group": 8})))
    with pytest.raises(ValueError, match="loss groups of 3"):
        segmentation_loss(logits, mask, recipe(loss_group=3))


def test_the_schedule_is_polynomial():
    assert polynomial_schedule(0, 100, 0.9) == 1
    assert polynomial_schedule(50, 100, 0.9) == pytest.approx(0.5**0.9)
    assert 0 < polynomial_schedule(99, 100, 0.9) < polynomial_schedule(98, 100, 0.9)


def test_every_parameter_is_optimised_once_and_norms_are_not_decayed():
    model = create_model("rmsin", preset="mini", image_size=64, vocab_size=50)
    optimizer = make_optimizer(model, MAFN, 1e-3, pretrained=False)
    decayed, plain = optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (1e-2, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimised = [id(parameter) for group in (decayed, plain) for parameter in group["params"]]
    assert sorted(optimised) == sorted(names)
    undecayed = {names[id(parameter)] for parameter in plain["params"]}
    assert undecayed == model.no_weight_decay()
    assert any(name.endswith("relative_position_bias_table") for name in undecayed)


def test_a_pretrained_bert_is_frozen_outside_its_first_ten_layers():
    class Bert(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.text_encoder = torch.nn.ModuleDict(
                {
                    "embeddings": torch.nn.Linear(2, 2),
                    "encoder": torch.nn.ModuleDict(
                        {"layer": torch.nn.ModuleList([torch.nn.Linear(2, 2)] * 1)}
                    ),
                }
            )
            self.text_encoder["encoder"]["layer"] = torch.nn.ModuleList(
                torch.nn.Linear(2, 2) for _ in range(12)
            )
            self.classifier = torch.nn.Linear(2, 2)

    model = Bert()
    make_optimizer(model, MAFN, 1e-3, pretrained=True)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {
        f"text_encoder.{part}.{leaf}"
        for part in ("embeddings", "encoder.layer.10", "encoder.layer.11")
        for leaf in ("weight", "bias")
    }
