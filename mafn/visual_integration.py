"""The visual integration branch as the paper states it, equation 6.

The released code takes RMSIN's instead: the channel mean first, two blocks of convolutions on it, then a sigmoid.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The receptive fields of the released branch; the paper states neither sizes nor their number.
KERNELS = (1, 3)


class VisualIntegration(nn.Module):
    """x * sigmoid(sum over j of the channel mean of (k_j * x)), k_j with one kernel a channel."""

    def __init__(self, dim: int, kernels: Sequence[int] = KERNELS) -> None:
        super().__init__()
        # Each starts as a depthwise convolution does, uniform within 1 / sqrt(size * size).
        self.kernels = nn.ParameterList(
            torch.empty(dim, 1, size, size).uniform_(-1 / size, 1 / size) for size in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        maps = x.permute(0, 3, 1, 2)
        # The mean over channels of depthwise convolutions is one convolution to a single channel.
        means = [
            F.conv2d(maps, weight.transpose(0, 1) / len(weight), padding=weight.shape[-1] // 2)
            for weight in self.kernels
        ]
        return x * torch.sigmoid(torch.stack(means).sum(dim=0)).permute(0, 2, 3, 1)
