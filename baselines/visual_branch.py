"""RMSIN's visual branch: a spatial weight from several receptive fields of the channel mean.

Liu et al., Rotated multi-scale interaction network for referring remote sensing image segmentation (2024),
the intra-scale interaction. MAFN keeps it (equation 6) as its visual integration branch.
"""

import torch
from torch import Tensor, nn


class ReceptiveFields(nn.Module):
    """BN(conv1x1(m)) + BN(conv3x3(BN(conv1x1(m)))) + BN(m) on one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.pointwise = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1))
        self.spatial = nn.Sequential(
            nn.Conv2d(1, 1, 1, bias=False),
            nn.BatchNorm2d(1),
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
        )
        self.identity = nn.BatchNorm2d(1)

    def forward(self, m: Tensor) -> Tensor:
        """Map (B, 1, H, W) to the same shape."""
        return self.pointwise(m) + self.spatial(m) + self.identity(m)


class VisualBranch(nn.Module):
    """v = x * sigmoid(f2(relu(f1(mean of x over channels)))), for any number of channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = ReceptiveFields()
        self.second = ReceptiveFields()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        m = x.mean(dim=-1)[:, None]
        weight = torch.sigmoid(self.second(torch.relu(self.first(m))))
        return x * weight.permute(0, 2, 3, 1)
