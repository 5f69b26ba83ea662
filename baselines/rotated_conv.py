"""Adaptive rotated convolution: kernels turned, sample by sample, to the angle that the map asks for.

Pu et al., Adaptive rotated convolution for rotated object detection (2023), in the variant of RMSIN's decoder.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import Recomputable, linear

MAX_ANGLE = math.radians(40)

# The turned kernel is the old one sampled bilinearly at the turned grid, borders repeated. As a 9x9 matrix on the
# row-major kernel, row i says what the new element i takes from element j. With x = cos t, y = sin t, t >= 0, the
# terms are
#   0: x - y   1: 1 - (x - y)   2: x*y   3: x - x*y   4: y - x*y   5: 1 - (x + y) + x*y   6: 1
# in entries (i, j, term). A negative angle is the same rotation in the transposed grid.
ROTATION_TERMS = (
    *((0, 0, 0), (0, 1, 1)),
    *((1, 1, 3), (1, 2, 2), (1, 4, 5), (1, 5, 4)),
    *((2, 2, 0), (2, 5, 1)),
    *((3, 0, 2), (3, 1, 4), (3, 3, 3), (3, 4, 5)),
    (4, 4, 6),
    *((5, 4, 5), (5, 5, 3), (5, 7, 4), (5, 8, 2)),
    *((6, 3, 1), (6, 6, 0)),
    *((7, 3, 4), (7, 4, 5), (7, 6, 2), (7, 7, 3)),
    *((8, 7, 1), (8, 8, 0)),
)
TRANSPOSED_GRID = (0, 3, 6, 1, 4, 7, 2, 5, 8)


def rotation_terms() -> Tensor:
    """Return (2, 7, 9, 9): which term stands where in the matrix, for t >= 0 and for t < 0."""
    positive = torch.zeros(7, 9, 9)
    for i, j, term in ROTATION_TERMS:
        positive[term, i, j] = 1
    grid = torch.tensor(TRANSPOSED_GRID)
    return torch.stack([positive, positive[:, grid][:, :, grid]])


def rotation_matrix(theta: Tensor, terms: Tensor) -> Tensor:
    """Return the rotations (..., 9, 9) of 3x3 kernels by angles theta (...), in radians of at most 45 degrees.

    Args:
        theta: Angles; each entry's own sign decides its direction.
        terms: `rotation_terms()`, on theta's device and in its dtype.
    """
    x, y = torch.cos(theta), torch.sin(theta.abs())
    xy = x * y
    values = torch.stack([x - y, 1 - x + y, xy, x - xy, y - xy, 1 - x - y + xy, torch.ones_like(x)], dim=-1)
    positive, negative = torch.einsum("...k,skij->s...ij", values, terms)
    return torch.where((theta >= 0)[..., None, None], positive, negative)


class Routing(Recomputable):
    """From a map to the weight and the angle of each kernel."""

    cheap = True

    def __init__(self, dim: int, kernels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        nn.init.trunc_normal_(self.depthwise.weight, std=0.02)
        self.norm = nn.LayerNorm(dim)
        self.weight = nn.Linear(dim, kernels)
        nn.init.trunc_normal_(self.weight.weight, std=0.02)
        self.angle = linear(dim, kernels, bias=False)
        self.weight_dropout = nn.Dropout(0.2)
        self.angle_dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to weights and angles in radians, each (B, kernels)."""
        z = torch.relu(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).mean(dim=(1, 2))
        weight = torch.sigmoid(self.weight(self.weight_dropout(z)))
        return weight, F.softsign(self.angle(self.angle_dropout(z))) * MAX_ANGLE


class RotatedConv(nn.Module):
    """A 3x3 convolution with the kernel sum_i lambda_i Rot(theta_i) W_i, another one for each sample.

    Args:
        dim: Channels in and out.
        kernels: Number n of kernels W_i.
    """

    terms: Tensor

    def __init__(self, dim: int, kernels: int) -> None:
        super().__init__()
        self.routing = Routing(dim, kernels)
        self.weight = nn.Parameter(torch.empty(kernels, dim, dim, 3, 3))
        # Kaiming's fan_out of a five-dimensional tensor counts dim * 9, whatever the number of kernels.
        nn.init.normal_(self.weight, std=math.sqrt(2 / (dim * 9)))
        self.register_buffer("terms", rotation_terms(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        B, C, H, W = x.shape
        weight, angle = self.routing(x)
        kernel = self.rotated_kernels(weight, angle)
        out = F.conv2d(x.reshape(1, B * C, H, W), kernel.flatten(0, 1), padding=1, groups=B).view(B, C, H, W)
        # One group a sample works on channels-first memory only. Go back to the map's own layout: on a CPU the
        # depthwise convolutions that follow in MAFN are several times slower on channels-first memory.
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        return out.contiguous(memory_format=torch.channels_last) if channels_last else out

    def rotated_kernels(self, weight: Tensor, angle: Tensor) -> Tensor:
        """Return each sample's kernel (B, C, C, 3, 3) for weights and angles (B, n)."""
        rotation = weight[..., None, None] * rotation_matrix(angle, self.terms.to(angle.dtype))
        n, C = self.weight.shape[:2]
        taps = self.weight.view(n, C * C, 9).transpose(1, 2).reshape(n * 9, C * C)
        mixed = rotation.transpose(1, 2).reshape(-1, n * 9) @ taps
        return mixed.view(-1, 9, C * C).transpose(1, 2).reshape(-1, C, C, 3, 3)
