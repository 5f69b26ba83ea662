"""Official names: every recorded tensor is mapped or named as dropped, and nothing else passes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.lavt import lavt
from baselines.official import convert, load, rename
from baselines.rmsin import rmsin
from mafn.model import mafn

GOLDEN = Path(__file__).parents[1] / "golden"
FACTORIES: dict[str, Any] = {"lavt": lavt, "rmsin": rmsin, "mafn": mafn, "mafn_k1357": mafn}
RUNNING = ("running_mean", "running_var")


def official(name: str) -> dict[str, Tensor]:
    shapes = json.loads((GOLDEN / f"{name}_state_dict.json").read_text())
    with torch.device("meta"):
        return {key: torch.empty(shape) for key, shape in shapes.items()}


def network(name: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return FACTORIES[name](preset="swin-b", **options)


def parameters(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in tensors.items() if not key.endswith(RUNNING)}


@pytest.mark.parametrize(
    ("name", "total", "live", "dead"),
    [
        ("lavt", 227_739_514, 225_642_362, 2),
        ("rmsin", 240_037_163, 235_842_821, 26),
        ("mafn", 350_056_899, 295_934_759, 76),
    ],
)
def test_live_parameters_of_the_released_networks(name: str, total: int, live: int, dead: int) -> None:
    tensors, model = official(name), network(name)
    conversion = convert(tensors, model)
    assert sum(tensor.numel() for tensor in parameters(tensors).values()) == total
    assert sum(parameter.numel() for parameter in model.parameters()) == live
    dropped = [key for key in conversion.dropped if not key.endswith(RUNNING)]
    assert len(dropped) == dead
    assert all(key.startswith("backbone.layers.3.") for key in dropped)
    assert len(conversion.tensors) + len(conversion.dropped) == len(tensors)


def test_four_scales() -> None:
    tensors = official("mafn_k1357")
    conversion = convert(tensors, network("mafn_k1357", kernels=(1, 3, 5, 7)))
    assert len(conversion.tensors) + len(conversion.dropped) == len(tensors)
    with pytest.raises(ValueError, match=r"unknown: classifier\.mscb4\.msdc\.dwconvs\.3"):
        convert(tensors, network("mafn"))


def test_a_single_scale_drops_the_rotated_convolution() -> None:
    scales = re.compile(r"\.dwconvs\.[12]\.")
    tensors = {key: tensor for key, tensor in official("mafn").items() if not scales.search(key)}
    dropped = convert(tensors, network("mafn", kernels=(1,))).dropped
    rotated = [key for key in dropped if ".msdc.conv2_3." in key]
    assert len(rotated) == 3 * 7
    assert all(key in rotated or key.startswith("backbone.layers.3.") for key in dropped)


@pytest.mark.parametrize("name", ["lavt", "rmsin", "mafn"])
def test_weight_decay_goes_by_official_names(name: str) -> None:
    marks = ("norm", "absolute_pos_embed", "relative_position_bias_table")
    expected = {
        rename(key) for key in official(name) if key.startswith("backbone.") and any(m in key for m in marks)
    }
    model = network(name)
    assert model.no_weight_decay() == expected & dict(model.named_parameters()).keys()
    assert len(model.no_weight_decay()) == 136


def test_what_does_not_fit_is_listed() -> None:
    model = network("lavt")
    tensors = official("lavt")
    tensors["backbone.extra.weight"] = tensors.pop("backbone.patch_embed.proj.bias")
    tensors["classifier.conv1_1.weight"] = torch.empty(3, 512, 1, 1, device="meta")
    with pytest.raises(ValueError, match="do not fit") as error:
        convert(tensors, model)
    assert "unknown: backbone.extra.weight" in str(error.value)
    assert "missing: backbone.patch_embed.proj.bias" in str(error.value)
    assert "classifier.conv1_1.weight (3, 512, 1, 1), not (2, 512, 1, 1)" in str(error.value)


def test_load_fills_the_model_and_ignores_integer_buffers() -> None:
    model = lavt(vocab_size=30)
    # A name that no rule touches stands for itself, so our own names serve, but for one official one.
    state = {key: torch.full_like(x, 0.5) for key, x in model.state_dict().items() if x.is_floating_point()}
    state["backbone.layers.0.fusion.vis_project.0.weight"] = torch.full((24, 24, 1), 0.25)
    del state["backbone.layers.0.fusion.visual.weight"]
    state["backbone.layers.0.blocks.1.attn_mask"] = torch.zeros(2)
    state["backbone.layers.3.res_gate.0.weight"] = torch.zeros(192, 192)
    assert load(model, state) == ["backbone.layers.3.res_gate.0.weight"]
    assert (model.backbone.layers[0].fusion.visual.weight == 0.25).all()
    assert (model.classifier.head.weight == 0.5).all()
