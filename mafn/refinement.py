"""Multi-scale refinement convolution (MSRC), MAFN's decoder step: equations 15 to 17 and figure 3."""

from collections.abc import Sequence

from torch import Tensor, nn

from baselines.decoder import ConvNormRelu
from baselines.rotated_conv import RotatedConv


class MultiScaleRefinement(nn.Module):
    """Depthwise convolutions of growing size on a map that a rotated convolution turns in between.

    Args:
        dim: Channels.
        kernels: Odd sizes of the depthwise convolutions, one scale after another.
        rotated_kernels: Number n of kernels of the rotated convolution.
    """

    def __init__(self, dim: int, *, kernels: Sequence[int], rotated_kernels: int) -> None:
        super().__init__()
        self.expand = ConvNormRelu(nn.Conv2d(dim, dim, 1, bias=False), dim)
        self.scales = nn.ModuleList(
            ConvNormRelu(nn.Conv2d(dim, dim, size, padding=size // 2, groups=dim, bias=False), dim)
            for size in kernels
        )
        # All scales of a level share the rotated convolution. After the last scale it would feed nothing, so
        # a single scale has none.
        if len(kernels) > 1:
            self.rotated_conv = RotatedConv(dim, rotated_kernels)
        self.project = nn.Conv2d(dim, dim, 1, bias=False)
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, y: Tensor) -> Tensor:
        """Map (B, dim, H, W) to the same shape."""
        p = self.expand(y)
        output = total = self.scales[0](p)
        for scale in self.scales[1:]:
            p = self.rotated_conv(p) + output
            output = scale(p)
            total = total + output
        return y + self.bn(self.project(total))
