"""Shifted windows against a formulation that visits one window and one head at a time."""

import pytest
import torch
from torch import Tensor

from baselines.layers import DropPath
from baselines.swin import (
    REGION_PENALTY,
    PatchMerging,
    SwinBlocks,
    WindowAttention,
    padding_to_windows,
    shifted_window_mask,
)


def slow_window_attention(attention: WindowAttention, x: Tensor) -> Tensor:
    """Pad to whole windows, then shift, then attend in each window; shift back, crop."""
    height, width, C = x.shape
    window, shift, heads = attention.window, attention.shift, attention.heads
    H, W = (-(-side // window) * window for side in (height, width))
    padded = x.new_zeros(H, W, C)
    padded[:height, :width] = x
    out = x.new_zeros(H, W, C)

    def region(position: int, size: int) -> int:
        return (position >= size - window) + (position >= size - shift)

    for top in range(0, H, window):
        for left in range(0, W, window):
            # Places in the shifted grid, and the places in the padded grid whose tokens stand there.
            places = [(top + i, left + j) for i in range(window) for j in range(window)]
            sources = [((i + shift) % H, (j + shift) % W) for i, j in places]
            tokens = torch.stack([padded[source] for source in sources])
            q, k, v = attention.qkv(tokens).chunk(3, dim=-1)
            result = torch.zeros_like(tokens)
            for head in range(heads):
                part = slice(head * C // heads, (head + 1) * C // heads)
                logits = q[:, part] @ k[:, part].T / (C // heads) ** 0.5
                for a, (i, j) in enumerate(places):
                    for b, (m, n) in enumerate(places):
                        row = (i - m + window - 1) * (2 * window - 1) + (j - n + window - 1)
                        logits[a, b] += attention.relative_position_bias_table[row, head]
                        if shift and (region(i, H), region(j, W)) != (region(m, H), region(n, W)):
                            logits[a, b] += REGION_PENALTY
                result[:, part] = logits.softmax(dim=-1) @ v[:, part]
            for source, token in zip(sources, result, strict=True):
                out[source] = token
    return attention.proj(out[:height, :width])


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("grid", [(8, 8), (7, 5), (3, 3), (4, 9)])
@torch.no_grad()
def test_window_attention(grid: tuple[int, int], shifted: bool) -> None:
    torch.manual_seed(0)
    window = 4
    attention = WindowAttention(6, 2, window, shifted=shifted).double()
    for parameter in attention.parameters():
        parameter.normal_(std=0.5)
    x = torch.randn(2, *grid, 6, dtype=torch.double)
    bottom, right = padding_to_windows(*grid, window)
    mask = shifted_window_mask(grid[0] + bottom, grid[1] + right, window, like=x)
    expected = torch.stack([slow_window_attention(attention, sample) for sample in x])
    torch.testing.assert_close(attention(x, mask), expected, rtol=0, atol=1e-12)


def test_every_second_block_shifts_even_on_a_grid_within_one_window() -> None:
    blocks = SwinBlocks(8, 2, 4, mlp_ratio=2, drop_paths=[0.0] * 4)
    assert [block.attn.shift for block in blocks] == [0, 2, 0, 2]
    assert blocks(torch.randn(1, 2, 2, 8)).shape == (1, 2, 2, 8)


@torch.no_grad()
def test_patch_merging_goes_column_by_column() -> None:
    merging = PatchMerging(1)
    merging.norm = torch.nn.Identity()
    merging.reduction = torch.nn.Identity()
    x = torch.arange(8.0).view(1, 2, 4, 1)  # rows 0 1 2 3 and 4 5 6 7
    assert merging(x).tolist() == [[[[0, 4, 1, 5], [2, 6, 3, 7]]]]


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(4000, 3, 2)
    kept = drop(x)
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(kept, kept[:, :1, :1].expand_as(kept))
    assert kept.mean() == pytest.approx(1, abs=0.03)
    assert torch.equal(drop.eval()(x), x)
