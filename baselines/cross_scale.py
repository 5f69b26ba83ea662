"""RMSIN's cross-scale interaction: the four stages' features exchange information on the coarsest grid.

Liu et al., Rotated multi-scale interaction network for referring remote sensing image segmentation (2024).
The attention weights the positions of one fixed set of grids, so the module is bound to its image size.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.config import CrossScaleConfig, NetworkConfig
from baselines.layers import linear


def depthwise(dim: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a depthwise convolution padded by half its kernel."""
    return nn.Conv2d(dim, dim, kernel, stride=stride, padding=kernel // 2, groups=dim)


class ConvolutionalFeedForward(nn.Module):
    """BN, conv1x1 to `hidden`, BN, 3x3 convolution in `dim` groups, relu6, conv1x1 back to `dim`."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(dim)
        self.conv1 = nn.Conv2d(dim, hidden, 1)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=dim)
        self.conv3 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, h, w) to the same shape."""
        return self.conv3(F.relu6(self.conv2(self.bn2(self.conv1(self.bn1(x))))))


class IntraScaleFeedForward(nn.Module):
    """A feed-forward network of its own, with residual, for each stage's share of the channels."""

    def __init__(self, shares: Sequence[int]) -> None:
        super().__init__()
        self.shares = list(shares)
        self.parts = nn.ModuleList(ConvolutionalFeedForward(share, 2 * share) for share in shares)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, sum of shares, h, w) to the same shape."""
        parts = zip(x.split(self.shares, dim=1), self.parts, strict=True)
        return torch.cat([share + feed_forward(share) for share, feed_forward in parts], dim=1)


class PyramidAttention(nn.Module):
    """Attention among the tokens of three grids whose result is projected to the finest of them.

    Args:
        dim: Channels of the tokens and of the result.
        sizes: Heads and their key and value dimensions.
        grid: Height and width of the finest grid; its n0 positions come first among the tokens.
        tokens: Positions N of the three grids together.
    """

    def __init__(self, dim: int, sizes: CrossScaleConfig, grid: tuple[int, int], tokens: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.grid = grid
        self.tokens = tokens
        features = sizes.heads * (2 * sizes.key_dim + sizes.value_dim)
        hidden = sizes.heads * sizes.value_dim
        self.qkv = linear(dim, features, bias=False)
        self.qkv_bn = nn.BatchNorm1d(features)
        self.local_value = depthwise(hidden, 3)
        self.positions = linear(tokens, grid[0] * grid[1])
        self.output = linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, dim) to (B, n0, dim)."""
        B, N, _ = tokens.shape
        height, width = self.grid
        heads, key_dim, value_dim = self.sizes.heads, self.sizes.key_dim, self.sizes.value_dim
        qkv = self.qkv_bn(self.qkv(tokens).flatten(0, 1)).view(B, N, heads, -1).transpose(1, 2)
        q, k, v = qkv.split([key_dim, key_dim, value_dim], dim=-1)
        attended = F.scaled_dot_product_attention(q, k, v)
        # Two reinterpretations of memory, not transpositions: the released network was trained with them,
        # so its weights mean nothing without.
        local = v[:, :, : height * width].reshape(B, heads * value_dim, height, width)
        mixed = attended.transpose(1, 2).reshape(B, heads * value_dim, N)
        out = self.positions(mixed) + self.local_value(F.hardswish(local)).flatten(2)
        return self.output(out.transpose(1, 2))


class CrossScaleAttention(nn.Module):
    """Attention among a map and its two coarser copies (strides 2 and 3)."""

    def __init__(self, dim: int, sizes: CrossScaleConfig, grid: tuple[int, int]) -> None:
        super().__init__()
        self.bn_in = nn.BatchNorm2d(dim)
        self.stride2 = nn.Sequential(depthwise(dim, 3, stride=2), nn.BatchNorm2d(dim))
        self.stride3 = nn.Sequential(depthwise(dim, 5, stride=3), nn.BatchNorm2d(dim))
        tokens = sum(((grid[0] - 1) // stride + 1) * ((grid[1] - 1) // stride + 1) for stride in (1, 2, 3))
        self.attention = PyramidAttention(dim, sizes, grid, tokens)
        self.bn_out = nn.BatchNorm2d(dim)
        self.output = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, h, w) to the same shape."""
        x0 = self.bn_in(x)
        tokens = torch.cat([scale.flatten(2) for scale in (x0, self.stride2(x0), self.stride3(x0))], dim=2)
        out = self.attention(tokens.transpose(1, 2)).transpose(1, 2).view_as(x)
        return self.output(F.hardswish(self.bn_out(out)))


class CrossScaleBlock(nn.Module):
    """Attention, intra-scale feed-forward, attention, feed-forward, each with a residual."""

    def __init__(self, shares: Sequence[int], sizes: CrossScaleConfig, grid: tuple[int, int]) -> None:
        super().__init__()
        dim = sum(shares)
        self.attention1 = CrossScaleAttention(dim, sizes, grid)
        self.intra = IntraScaleFeedForward(shares)
        self.attention2 = CrossScaleAttention(dim, sizes, grid)
        self.feed_forward = ConvolutionalFeedForward(dim, 2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, h, w) to the same shape."""
        x = x + self.attention1(x)
        x = x + self.intra(x)
        x = x + self.attention2(x)
        return x + self.feed_forward(x)


class ScaleGate(nn.Module):
    """BN(conv(l)) * up(hardsigmoid(BN(conv(g)))) + up(BN(conv'(g))): the exchanged g modulates a stage's l."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.local_embedding = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.BatchNorm2d(dim))
        self.global_weight = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.BatchNorm2d(dim))
        self.global_embedding = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.BatchNorm2d(dim))

    def forward(self, local: Tensor, exchanged: Tensor) -> Tensor:
        """Map (B, C, H, W) and (B, C, h, w) to (B, C, H, W)."""
        weight = F.hardsigmoid(self.global_weight(exchanged))
        embedding = self.global_embedding(exchanged)
        size = local.shape[-2:]
        weight, embedding = (
            F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in (weight, embedding)
        )
        return self.local_embedding(local) * weight + embedding


def average_cells(x: Tensor, height: int, width: int) -> Tensor:
    """Average (B, C, H, W) over a grid of height x width cells: (B, C, height, width).

    Where the cells divide H and W, as those of an image of a multiple of 32 pixels do, not by adaptive pooling: its
    gradient has no deterministic implementation in CUDA.
    """
    h, w = x.shape[-2:]
    if h % height or w % width:
        return F.adaptive_avg_pool2d(x, (height, width))
    return F.avg_pool2d(x, (h // height, w // width))


class CrossScaleInteraction(nn.Module):
    """Four maps to four of the same shapes, each modulated by what all scales know together."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dims = list(config.dims)
        dim = config.cross_scale_dim
        self.squeeze = nn.Conv2d(sum(self.dims), dim, 1)
        shares = [stage_dim // 4 for stage_dim in self.dims]
        self.block = CrossScaleBlock(shares, config.cross_scale, config.grids[-1])
        self.bn = nn.BatchNorm2d(dim)
        self.expand = nn.Conv2d(dim, sum(self.dims), 1)
        self.gates = nn.ModuleList(ScaleGate(stage_dim) for stage_dim in self.dims)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map c1 to c4, each (B, C_i, H_i, W_i), to the same shapes."""
        height, width = features[-1].shape[-2:]
        pooled = torch.cat([average_cells(feature, height, width) for feature in features], dim=1)
        exchanged = self.expand(self.bn(self.block(self.squeeze(pooled))))
        parts = exchanged.split(self.dims, dim=1)
        return [gate(c, g) for gate, c, g in zip(self.gates, features, parts, strict=True)]
