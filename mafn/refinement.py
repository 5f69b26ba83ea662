"""Multi-scale refinement convolution (MSRC), MAFN's decoder step: equations 15 to 17 and figure 3."""

from collections.abc import Sequence

from torch import Tensor, nn

from baselines.decoder import ConvNormRelu
from baselines.rotated_conv import RotatedConv


class MultiScaleRefinement(nn.Module):
    """Depthwise convolutions of growing size on a map that a rotated convolution turns in between.

    With V_0 the expanded map, o_k = S_k(V_(k-1)) and V_k = ARC(V_(k-1)) + o_k, the released code projects the sum of
    the o_k and the paper (equation 17) that of the V_k.

    Args:
        dim: Channels.
        kernels: Odd sizes of the depthwise convolutions S_k, one layer after another.
        rotated_kernels: Number n of kernels of the rotated convolution.
        expansion: Factor by which the first convolution widens the map.
        sum_layers: Sum the V_k, as in the paper, instead of the o_k.
    """

    def __init__(
        self,
        dim: int,
        *,
        kernels: Sequence[int],
        rotated_kernels: int,
        expansion: int = 1,
        sum_layers: bool = False,
    ) -> None:
        super().__init__()
        wide = expansion * dim
        self.sum_layers = sum_layers
        self.expand = ConvNormRelu(nn.Conv2d(dim, wide, 1, bias=False), wide)
        self.scales = nn.ModuleList(
            ConvNormRelu(nn.Conv2d(wide, wide, size, padding=size // 2, groups=wide, bias=False), wide)
            for size in kernels
        )
        # All layers share the rotated convolution. In the sum of the o_k it would feed nothing after the last
        # one, so that a single layer has none.
        if sum_layers or len(kernels) > 1:
            self.rotated_conv = RotatedConv(wide, rotated_kernels)
        self.project = nn.Conv2d(wide, dim, 1, bias=False)
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, y: Tensor) -> Tensor:
        """Map (B, dim, H, W) to the same shape."""
        v = self.expand(y)
        return y + self.bn(self.project(self.layers_summed(v) if self.sum_layers else self.outputs_summed(v)))

    def outputs_summed(self, v: Tensor) -> Tensor:
        """Sum the o_k."""
        output = total = self.scales[0](v)
        for scale in self.scales[1:]:
            v = self.rotated_conv(v) + output
            output = scale(v)
            total = total + output
        return total

    def layers_summed(self, v: Tensor) -> Tensor:
        """Sum the V_k of equation 17."""
        total = None
        for scale in self.scales:
            v = self.rotated_conv(v) + scale(v)
            total = v if total is None else total + v
        assert total is not None, "there is at least one kernel size"
        return total
