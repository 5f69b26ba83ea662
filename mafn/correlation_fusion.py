"""Correlation-aware fusion: what the visual and the language branch say about the same place.

MAFN, equations 7 to 11 and figure 2. Maps are channels-last, (B, H, W, C), but for the 3x3 convolutions.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import Gate, Mlp, Recomputable, linear
from baselines.swin import padding_to_windows, window_merge, window_partition
from baselines.visual_branch import VisualBranch

WINDOWS = (3, 5, 7)
RELEASED_SLOPE = 0.2


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a convolution to a channels-last map."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def correlation(visual: Tensor, language: Tensor) -> Tensor:
    """Correlate each position with the other map's 3x3 neighbourhood, equation 10.

    Args:
        visual: (B, H, W, C).
        language: The same shape, zero outside.

    Returns:
        (B, H, W, 9): means over channels, the neighbourhood's rows outermost.
    """
    _, H, W, _ = visual.shape
    padded = F.pad(language, (0, 0, 1, 1, 1, 1))
    offsets = [(row, column) for row in range(3) for column in range(3)]
    neighbours = [padded[:, row : row + H, column : column + W] for row, column in offsets]
    return torch.stack([(visual * neighbour).mean(dim=-1) for neighbour in neighbours], dim=-1)


class WindowGatedMlp(nn.Module):
    """Gated MLP whose gate mixes the positions within each window (gMLP, Liu et al. 2021)."""

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.in_project = linear(dim, 2 * dim)
        self.gate_norm = nn.LayerNorm(dim)
        self.positions = linear(window**2, window**2)
        self.out_project = linear(dim, dim)

    def forward(self, z: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        p, q = F.gelu(self.in_project(self.norm(z))).chunk(2, dim=-1)
        return z + self.out_project(p * (self.mix_positions(self.gate_norm(q)) + 1))

    def mix_positions(self, q: Tensor) -> Tensor:
        """Apply one linear layer to the positions of each window, channel by channel."""
        _, H, W, _ = q.shape
        bottom, right = padding_to_windows(H, W, self.window)
        if bottom or right:
            q = self.pad(q, bottom, right)
        windows = window_partition(q, self.window)
        mixed = self.positions.weight @ windows + self.positions.bias[:, None]
        return window_merge(mixed, self.window, H + bottom, W + right)[:, :H, :W]

    def pad(self, q: Tensor, bottom: int, right: int) -> Tensor:
        """Append what zero tokens of z would have become on their way here: one constant vector."""
        _, half = F.gelu(F.linear(self.norm.bias, self.in_project.weight, self.in_project.bias)).chunk(2)
        padding = self.gate_norm(half)
        B, H, W, _ = q.shape
        q = torch.cat([q, padding.expand(B, H, right, -1)], dim=2)
        return torch.cat([q, padding.expand(B, bottom, W + right, -1)], dim=1)


class MultiWindowFusion(nn.Module):
    """Gated MLPs of several window sizes, weighted channel by channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.branches = nn.ModuleList(WindowGatedMlp(dim, window) for window in WINDOWS)
        self.weights = Mlp(dim, dim // 4, len(WINDOWS) * dim)
        self.out_project = linear(dim, dim)

    def forward(self, u: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        z = self.norm(u)
        branches = [branch(z) for branch in self.branches]
        pooled = torch.stack([branch.mean(dim=(1, 2)) for branch in branches]).sum(dim=0)
        weights = self.weights(pooled).unflatten(-1, (-1, len(WINDOWS))).softmax(dim=-1)
        fused = sum(
            branch * weight[:, None, None]
            for branch, weight in zip(branches, weights.unbind(-1), strict=True)
        )
        return self.out_project(fused) + u


class ChannelIntensification(nn.Module):
    """Two convolutions, scaled by a channel attention, with residual.

    Args:
        dim: Channels.
        negative_slope: Of the leaky ReLU between the convolutions; 0 makes it the paper's ReLU.
    """

    def __init__(self, dim: int, negative_slope: float = RELEASED_SLOPE) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.norm = nn.LayerNorm(dim)
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)
        self.squeeze = nn.Conv2d(dim, dim // 4, 1)
        self.excite = nn.Conv2d(dim // 4, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        y = self.norm(x).permute(0, 3, 1, 2)
        y = self.conv2(F.leaky_relu(self.conv1(y), self.negative_slope))
        attention = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean(dim=(2, 3), keepdim=True)))))
        return (y * attention).permute(0, 2, 3, 1) + x


class CorrelationAwareFusion(nn.Module):
    """F(t_v, t_l): both branches and their correlation, smoothed, mixed in windows, intensified."""

    def __init__(self, dim: int, negative_slope: float = RELEASED_SLOPE) -> None:
        super().__init__()
        self.smooth = nn.Conv2d(2 * dim + 9, dim, 3, padding=1)
        self.windows = MultiWindowFusion(dim)
        self.intensification = ChannelIntensification(dim, negative_slope)

    def forward(self, visual: Tensor, language: Tensor) -> Tensor:
        """Fuse two maps (B, H, W, C) to one of the same shape."""
        joined = torch.cat([visual, correlation(visual, language), language], dim=-1)
        u = convolve(self.smooth, joined)
        return u + self.intensification(self.windows(u))


class CorrelationUpdate(Recomputable):
    """x + F(Gate_v(v) * v, Gate_l(r) * r), equation 11, where v is the visual branch of x.

    Args:
        dim: Channels.
        visual_branch: Builds that branch from its channels.
        negative_slope: See `ChannelIntensification`.
    """

    cheap = True

    def __init__(
        self,
        dim: int,
        visual_branch: Callable[[int], nn.Module] = VisualBranch,
        negative_slope: float = RELEASED_SLOPE,
    ) -> None:
        super().__init__()
        self.visual_branch = visual_branch(dim)
        self.language_gate = Gate(dim)
        self.visual_gate = Gate(dim)
        self.fusion = CorrelationAwareFusion(dim, negative_slope)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Update the map x (B, H, W, C) by the multimodal map r of the same shape."""
        v = self.visual_branch(x)
        return x + self.fusion(self.visual_gate(v) * v, self.language_gate(r) * r)
