import math
import re

import pytest
import torch
from torch import nn

from baselines.config import PRESETS
from baselines.pwam import PixelWordAttention
from baselines.rotated_conv import RotatedConv, Routing
from baselines.swin import WindowAttention
from mafn.adaptive_noise import AdaptiveNoise
from mafn.correlation_fusion import CorrelationUpdate
from mafn.model import mafn
from mafn.refinement import MultiScaleRefinement


@torch.no_grad()
def test_initialisation() -> None:
    """Truncated normal 0.02 for the backbone's linear layers; torch's own start for convolutions."""
    torch.manual_seed(0)
    model = mafn(vocab_size=30)
    of_convolutions = {
        id(layer)
        for module in model.modules()
        if isinstance(module, PixelWordAttention)
        for layer in module.children()
    }
    seen = {"linear": 0, "convolution": 0, "table": 0, "rotated": 0}
    for name, module in model.named_modules():
        if name.startswith("text_encoder"):
            continue
        if id(module) in of_convolutions or (isinstance(module, nn.Conv2d) and ".routing." not in name):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert module.weight.abs().max() <= bound, name
            if module.weight.numel() > 500:
                assert module.weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.1), name
                seen["convolution"] += 1
        elif isinstance(module, nn.Linear) and ".routing." not in name:
            assert module.bias is None or (module.bias == 0).all(), name
            if module.weight.numel() > 500:
                assert module.weight.std() == pytest.approx(0.02, rel=0.1), name
                seen["linear"] += 1
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
            assert (module.weight == 1).all(), name
            assert (module.bias == 0).all(), name
        elif isinstance(module, WindowAttention):
            assert module.relative_position_bias_table.std() == pytest.approx(0.02, rel=0.2), name
            seen["table"] += 1
        elif isinstance(module, RotatedConv):
            assert module.weight.std() == pytest.approx(
                math.sqrt(2 / (model.config.decoder_dim * 9)), rel=0.05
            ), name
            seen["rotated"] += 1
        elif isinstance(module, Routing):
            assert module.depthwise.weight.std() == pytest.approx(0.02, rel=0.15), name
            assert module.weight.weight.std() == pytest.approx(0.02, rel=0.4), name
            assert module.angle.weight.std() == pytest.approx(0.02, rel=0.4), name
    assert min(seen.values()) >= 3, seen


BLOCKS = sum(PRESETS["mini"].depths)


@pytest.mark.parametrize(
    ("options", "present"),
    [
        ({}, {AdaptiveNoise: BLOCKS, CorrelationUpdate: 3, MultiScaleRefinement: 3, RotatedConv: 3}),
        (
            {"kernels": (1,)},
            {AdaptiveNoise: BLOCKS, CorrelationUpdate: 3, MultiScaleRefinement: 3, RotatedConv: 0},
        ),
        (
            {"msrc": False},
            {AdaptiveNoise: BLOCKS, CorrelationUpdate: 3, MultiScaleRefinement: 0, RotatedConv: 3},
        ),
        ({"adaptive_noise": False}, {AdaptiveNoise: 0, CorrelationUpdate: 3, MultiScaleRefinement: 3}),
        (
            {"correlation_fusion": False},
            {AdaptiveNoise: BLOCKS, CorrelationUpdate: 0, MultiScaleRefinement: 3},
        ),
    ],
)
def test_each_option_takes_out_its_part_alone(options: dict, present: dict[type, int]) -> None:
    modules = list(mafn(vocab_size=30, **options).modules())
    assert {kind: sum(isinstance(m, kind) for m in modules) for kind in present} == present


def test_last_stage_has_no_weights_that_feed_nothing() -> None:
    names = [name for name, _ in mafn(vocab_size=30).named_parameters()]
    assert not [name for name in names if re.match(r"backbone\.layers\.3\.(update|downsample)\.", name)]
    assert [name for name in names if name.startswith("backbone.layers.2.update.")]
