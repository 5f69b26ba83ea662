"""The cross-scale attention, its two memory reinterpretations element by element."""

import pytest
import torch
import torch.nn.functional as F

from baselines.config import CrossScaleConfig, network_config
from baselines.cross_scale import (
    CrossScaleAttention,
    CrossScaleInteraction,
    PyramidAttention,
    ScaleGate,
    average_cells,
)

SIZES = CrossScaleConfig(heads=2, key_dim=3, value_dim=5)


@torch.no_grad()
def test_pyramid_attention() -> None:
    torch.manual_seed(0)
    height, width, N, hidden = 2, 3, 9, 10
    attention = PyramidAttention(7, SIZES, (height, width), N).double().eval()
    for parameter in attention.parameters():
        parameter.normal_()
    tokens = torch.randn(2, N, 7, dtype=torch.double)
    features = attention.qkv_bn(attention.qkv(tokens).flatten(0, 1)).view(2, N, 22)
    expected = []
    for sample in features:
        attended = torch.zeros(N, hidden, dtype=torch.double)
        values = []
        for head in range(2):
            q, k, v = sample[:, head * 11 : (head + 1) * 11].split([3, 3, 5], dim=1)
            attended[:, head * 5 : (head + 1) * 5] = (q @ k.T / 3**0.5).softmax(-1) @ v
            values.append(v[: height * width])
        # Memory of (heads, positions, value) read as (channels, height, width).
        memory = [float(v[n, d]) for v in values for n in range(height * width) for d in range(5)]
        local = torch.tensor(memory, dtype=torch.double).view(1, hidden, height, width)
        local = F.conv2d(
            F.hardswish(local),
            attention.local_value.weight,
            attention.local_value.bias,
            padding=1,
            groups=hidden,
        )
        # Memory of (positions, heads and value) read as (channels, positions).
        memory = [float(attended[n, c]) for n in range(N) for c in range(hidden)]
        mixed = torch.tensor(memory, dtype=torch.double).view(hidden, N)
        expected.append(attention.output((attention.positions(mixed) + local.view(hidden, -1)).T))
    torch.testing.assert_close(attention(tokens), torch.stack(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("grid", "tokens"), [((15, 15), 314), ((3, 3), 14), ((1, 1), 3), ((4, 7), 28 + 8 + 6)]
)
def test_number_of_tokens_follows_the_grid(grid: tuple[int, int], tokens: int) -> None:
    attention = CrossScaleAttention(4, SIZES, grid)
    assert attention.attention.tokens == tokens
    assert attention(torch.randn(2, 4, *grid)).shape == (2, 4, *grid)


@pytest.mark.parametrize("grid", [(3, 2), (6, 8), (12, 8), (5, 3)])
def test_cells_are_averaged_as_by_adaptive_pooling(grid: tuple[int, int]) -> None:
    both = []
    for pool in (lambda x: average_cells(x, *grid), lambda x: F.adaptive_avg_pool2d(x, grid)):
        x = torch.linspace(-1, 1, 2 * 3 * 12 * 8).sin().reshape(2, 3, 12, 8).requires_grad_()
        pooled = pool(x)
        (pooled * torch.linspace(1, 2, pooled.numel()).reshape(pooled.shape)).sum().backward()
        both.append((pooled.detach(), x.grad))
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


@torch.no_grad()
def test_scale_gate() -> None:
    torch.manual_seed(0)
    gate = ScaleGate(3).double().eval()
    local = torch.randn(2, 3, 4, 4, dtype=torch.double)
    exchanged = 4 * torch.randn(2, 3, 2, 2, dtype=torch.double)
    weight = (gate.global_weight(exchanged) + 3).clamp(0, 6) / 6
    # Doubling a grid bilinearly without aligned corners: quarter steps between neighbours, borders repeated.
    up = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], dtype=torch.double)
    weight, embedding = (
        torch.einsum("ih,jw,bchw->bcij", up, up, x) for x in (weight, gate.global_embedding(exchanged))
    )
    expected = gate.local_embedding(local) * weight + embedding
    torch.testing.assert_close(gate(local, exchanged), expected, rtol=0, atol=1e-12)


def test_keeps_the_shapes_of_all_scales() -> None:
    config = network_config("mini", image_size=(64, 160), vocab_size=10)
    features = [torch.randn(2, dim, *grid) for dim, grid in zip(config.dims, config.grids, strict=True)]
    mixed = CrossScaleInteraction(config)(features)
    assert [x.shape for x in mixed] == [x.shape for x in features]
