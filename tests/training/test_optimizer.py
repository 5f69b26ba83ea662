"""What is decayed, what is frozen, and the learning rate."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from toy import PROJECT

from baselines.official import rename
from baselines.text import text_encoder
from harness.models import create_model
from harness.training.optimizer import decay_groups, freeze_bert, make_optimizer, polynomial_schedule
from harness.training.recipe import COMMON, find_recipe

MODELS = ("lavt", "rmsin", "mafn")
UNDECAYED = ("norm", "absolute_pos_embed", "relative_position_bias_table")
TRAINED_BERT = tuple(f"text_encoder.encoder.layer.{layer}." for layer in range(10))


def official_names(model: str) -> dict[str, str]:
    """Our names of the released network's tensors, and their official ones."""
    shapes: Mapping[str, Any] = json.loads((PROJECT / f"tests/golden/{model}_state_dict.json").read_text())
    return {rename(official): official for official in shapes}


def expected_groups(model: nn.Module, name: str, *, pretrained: bool) -> tuple[set[str], set[str], set[str]]:
    """Our names of what is decayed, not decayed and frozen, told by the official names alone."""
    official = official_names(name)
    decayed, plain, frozen = set(), set(), set()
    for ours, _ in model.named_parameters():
        theirs = official[ours]
        if pretrained and theirs.startswith("text_encoder.") and not theirs.startswith(TRAINED_BERT):
            frozen.add(ours)
        elif theirs.startswith("backbone.") and any(mark in theirs for mark in UNDECAYED):
            plain.add(ours)
        else:
            decayed.add(ours)
    return decayed, plain, frozen


def actual_groups(model: nn.Module, groups: list[dict[str, Any]]) -> tuple[set[str], set[str], set[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, plain = groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)
    found = [[names[id(parameter)] for parameter in group["params"]] for group in groups]
    assert len(set(found[0] + found[1])) == len(found[0] + found[1]), "each is optimised once"
    assert all(parameter.requires_grad for group in groups for parameter in group["params"])
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return set(found[0]), set(found[1]), frozen


def mini(name: str, layers: int = 1) -> nn.Module:
    """A mini network with a BERT of that many layers."""
    torch.manual_seed(0)
    model = create_model(name, image_size=64, vocab_size=50)
    model.text_encoder = text_encoder(replace(model.config.text, layers=layers))
    return model


@pytest.mark.parametrize("pretrained", [True, False], ids=["pretrained", "from scratch"])
@pytest.mark.parametrize("name", MODELS)
def test_bullet_optimiser_goes_by_official_names(name, pretrained):
    """Of the whole Swin-B network."""
    with torch.device("meta"):
        model = create_model(name, preset="swin-b")
    if pretrained:
        freeze_bert(model, COMMON.bert_layers)
    expected = expected_groups(model, name, pretrained=pretrained)
    assert actual_groups(model, decay_groups(model, 0.01)) == expected
    decayed, plain, frozen = expected
    assert len(plain) == 136
    # Two tensors for each of 8 parts of a layer; three tables and a norm make the embeddings.
    assert len(frozen) == (2 * 16 + 5 if pretrained else 0)
    assert {ours.split(".")[0] for ours in plain} == {"backbone"}
    assert {ours.split(".")[0] for ours in decayed} == {"backbone", "classifier", "text_encoder"}


@pytest.mark.parametrize("pretrained", [True, False], ids=["pretrained", "from scratch"])
@pytest.mark.parametrize("name", MODELS)
def test_bullet_optimiser_is_adamw_with_those_groups(name, pretrained):
    recipe = find_recipe("released", name)
    model = mini(name, layers=12)
    optimizer = make_optimizer(model, recipe, 1e-3, pretrained=pretrained)
    assert type(optimizer) is torch.optim.AdamW
    assert all((group["betas"], group["lr"]) == ((0.9, 0.999), 1e-3) for group in optimizer.param_groups)
    assert actual_groups(model, optimizer.param_groups) == expected_groups(model, name, pretrained=pretrained)


@pytest.mark.parametrize("name", MODELS)
def test_bullet_optimiser_frozen_bert_stays_and_the_rest_moves(name):
    """One step of a whole network whose BERT has twelve layers."""
    model = mini(name, layers=12)
    optimizer = make_optimizer(model, find_recipe("released", name), 1e-2, pretrained=True)
    before = {key: tensor.clone() for key, tensor in model.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 64, 64, generator=generator)
    words = torch.randint(0, 50, (2, 6), generator=generator)
    logits = model(image, words, torch.ones_like(words))
    (logits * torch.randn(logits.shape, generator=generator)).mean().backward()
    optimizer.step()
    same = {key for key, tensor in model.named_parameters() if torch.equal(tensor, before[key])}
    decayed, plain, frozen = expected_groups(model, name, pretrained=True)
    assert {"text_encoder.embeddings.word_embeddings.weight"} < frozen
    assert frozen <= same
    # Of the others only biases of value zero whose gradient is zero, too, could stay.
    assert not {key for key in same - frozen if key.endswith("weight")}
    assert all(any(key.startswith(layer) for key in decayed - same) for layer in TRAINED_BERT)
    assert plain - same


def test_bullet_optimiser_decay_shrinks_one_group_and_not_the_other():
    model = mini("mafn")
    optimizer = make_optimizer(model, COMMON, 0.1, pretrained=False)
    before = {key: tensor.clone() for key, tensor in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    undecayed = expected_groups(model, "mafn", pretrained=False)[1]
    for key, tensor in model.named_parameters():
        factor = 1.0 if key in undecayed else 1 - 0.1 * 0.01
        torch.testing.assert_close(tensor, factor * before[key], rtol=1e-6, atol=0)


def test_bullet_optimiser_takes_its_values_from_the_recipe():
    recipe = replace(COMMON, betas=(0.8, 0.95), weight_decay=0.3, bert_layers=2)
    model = mini("lavt", layers=3)
    groups = make_optimizer(model, recipe, 1e-3, pretrained=True).param_groups
    assert [(group["betas"], group["weight_decay"]) for group in groups] == [
        ((0.8, 0.95), 0.3),
        ((0.8, 0.95), 0.0),
    ]
    layers = model.text_encoder.encoder.layer
    assert [layer.output.dense.weight.requires_grad for layer in layers] == [True, True, False]


def test_networks_from_scratch_train_every_text_layer():
    model = mini("lavt", layers=12)
    make_optimizer(model, COMMON, 1e-3, pretrained=False)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_a_model_freezes_itself_stays_out():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    optimizer = make_optimizer(model, COMMON, 1e-3, pretrained=False)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 0]


def test_bullet_schedule_is_polynomial_with_power_0_9_to_the_last_step():
    steps = 40 * 3
    assert find_recipe("released", "mafn").power == find_recipe("released", "lavt").power == 0.9
    factors = [polynomial_schedule(step, steps, COMMON.power) for step in range(steps)]
    assert factors == pytest.approx([(1 - step / steps) ** 0.9 for step in range(steps)], rel=1e-15)
    assert factors[0] == 1, "no warm-up"
    assert 0 < factors[-1] == pytest.approx(steps**-0.9)
    assert polynomial_schedule(60, 120, 0.9) == pytest.approx(0.5358867312681466)
