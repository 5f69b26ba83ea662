import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mafn.correlation_fusion import (
    ChannelIntensification,
    CorrelationAwareFusion,
    MultiWindowFusion,
    WindowGatedMlp,
    correlation,
)


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double()


def test_correlation() -> None:
    torch.manual_seed(0)
    visual, language = torch.randn(2, 2, 4, 3, 5, dtype=torch.double)
    result = correlation(visual, language)
    assert result.shape == (2, 4, 3, 9)
    for k, (dy, dx) in enumerate((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
        for h in range(4):
            for w in range(3):
                inside = 0 <= h + dy < 4 and 0 <= w + dx < 3
                other = language[:, h + dy, w + dx] if inside else torch.zeros(2, 5, dtype=torch.double)
                expected = (visual[:, h, w] * other).mean(dim=-1)
                torch.testing.assert_close(result[:, h, w, k], expected)


def slow_window_mlp(mlp: WindowGatedMlp, z: Tensor) -> Tensor:
    """Zero tokens appended first, then everything within one window at a time."""
    H, W, C = z.shape
    window = mlp.window
    rows, columns = (-(-side // window) * window for side in (H, W))
    padded = z.new_zeros(rows, columns, C)
    padded[:H, :W] = z
    out = torch.empty_like(padded)
    for top in range(0, rows, window):
        for left in range(0, columns, window):
            place = slice(top, top + window), slice(left, left + window)
            s = padded[place].reshape(-1, C)
            p, q = F.gelu(mlp.in_project(mlp.norm(s))).chunk(2, dim=-1)
            gate = mlp.positions(mlp.gate_norm(q).T).T
            out[place] = (s + mlp.out_project(p * (gate + 1))).view(window, window, C)
    return out[:H, :W]


@pytest.mark.parametrize("grid", [(6, 6), (7, 4), (2, 2)])
@torch.no_grad()
def test_window_gated_mlp(grid: tuple[int, int]) -> None:
    mlp = randomised(WindowGatedMlp(4, 3))
    z = torch.randn(2, *grid, 4, dtype=torch.double)
    expected = torch.stack([slow_window_mlp(mlp, sample) for sample in z])
    torch.testing.assert_close(mlp(z), expected, rtol=0, atol=1e-11)


@torch.no_grad()
def test_multi_window_fusion_weights_each_channel() -> None:
    fusion = randomised(MultiWindowFusion(8))
    u = torch.randn(2, 5, 4, 8, dtype=torch.double)
    branches = [branch(fusion.norm(u)) for branch in fusion.branches]
    logits = fusion.weights(sum(branches).mean(dim=(1, 2)))
    # The three logits of a channel lie beside each other.
    weights = logits.view(2, 8, 3).softmax(dim=2)
    fused = sum(weights[:, None, None, :, k] * branch for k, branch in enumerate(branches))
    torch.testing.assert_close(fusion(u), fusion.out_project(fused) + u)
    assert [branch.window for branch in fusion.branches] == [3, 5, 7]


@torch.no_grad()
def test_channel_intensification() -> None:
    block = randomised(ChannelIntensification(8))
    x = torch.randn(2, 4, 3, 8, dtype=torch.double)
    y = block.norm(x).permute(0, 3, 1, 2)
    y = block.conv1(y)
    y = block.conv2(torch.where(y > 0, y, 0.2 * y))
    attention = torch.sigmoid(block.excite(block.squeeze(y.mean((2, 3), keepdim=True)).clamp(min=0)))
    torch.testing.assert_close(block(x), (y * attention).permute(0, 2, 3, 1) + x)


@torch.no_grad()
def test_fusion_orders_visual_correlation_language() -> None:
    fusion = randomised(CorrelationAwareFusion(4))
    visual, language = torch.randn(2, 1, 3, 3, 4, dtype=torch.double)
    joined = torch.cat([visual, correlation(visual, language), language], dim=-1).permute(0, 3, 1, 2)
    u = fusion.smooth(joined).permute(0, 2, 3, 1)
    torch.testing.assert_close(fusion(visual, language), u + fusion.intensification(fusion.windows(u)))
    assert not torch.allclose(fusion(visual, language), fusion(language, visual))
