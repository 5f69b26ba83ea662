"""The family's top-down decoder; the second step of a level is what tells LAVT, RMSIN and MAFN apart."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import Recomputable


class ConvNormRelu(nn.Module):
    """relu(BN(conv(x))) with whatever convolution is given; it needs no bias."""

    def __init__(self, conv: nn.Module, dim: int) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, dim, H, W)."""
        # In place: the norm's backward pass does not need its output.
        return torch.relu_(self.bn(self.conv(x)))


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution without bias that keeps the grid."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class DecoderLevel(Recomputable):
    """Join the coarser map with a stage's own, then refine; or refine the two side by side, then join."""

    def __init__(
        self, coarse_dim: int, fine_dim: int, dim: int, refine: Callable[[int], nn.Module], refine_first: bool
    ) -> None:
        super().__init__()
        self.join = ConvNormRelu(conv3x3(coarse_dim + fine_dim, dim), dim)
        self.refine = refine(coarse_dim + fine_dim if refine_first else dim)
        self.refine_first = refine_first

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, C', h, w) and (B, C, H, W) to (B, dim, H, W)."""
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=True)
        both = torch.cat([coarse, fine], dim=1)
        return self.join(self.refine(both)) if self.refine_first else self.refine(self.join(both))


class TopDownDecoder(nn.Module):
    """Three levels from the coarsest stage to the finest, then a 1x1 convolution to two classes.

    Args:
        dims: Channels of the four features.
        dim: Channels of the levels.
        refine: Builds, from its channels, a level's module that keeps a map's shape.
        refine_first: The order within a level, see `DecoderLevel`.
    """

    def __init__(
        self,
        dims: Sequence[int],
        dim: int,
        *,
        refine: Callable[[int], nn.Module],
        refine_first: bool = False,
    ) -> None:
        super().__init__()
        coarse_dims = [dims[3], dim, dim]
        self.levels = nn.ModuleList(
            DecoderLevel(coarse, fine, dim, refine, refine_first)
            for coarse, fine in zip(coarse_dims, reversed(dims[:3]), strict=True)
        )
        self.head = nn.Conv2d(dim, 2, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode the stages' features.

        Args:
            features: c1 to c4, each (B, C_i, H_i, W_i), from the finest to the coarsest.

        Returns:
            Logits (B, 2, H_1, W_1); class 1 is the referred object.
        """
        *finer, y = features
        for level, fine in zip(self.levels, reversed(finer), strict=True):
            y = level(y, fine)
        return self.head(y)
