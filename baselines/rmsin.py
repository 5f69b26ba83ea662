"""RMSIN: rotated multi-scale interaction network for referring remote sensing image segmentation.

Liu et al. (CVPR 2024). LAVT with a visual branch beside the language, a cross-scale interaction before the
decoder and rotated convolutions in it.
"""

from collections.abc import Callable

from torch import Tensor, nn

from baselines.backbone import LanguageAwareSwin
from baselines.config import network_config, require_released
from baselines.cross_scale import CrossScaleInteraction
from baselines.decoder import ConvNormRelu, TopDownDecoder
from baselines.layers import Gate
from baselines.rotated_conv import RotatedConv
from baselines.segmenter import ReferringSegmenter
from baselines.visual_branch import VisualBranch


class VisualLanguageUpdate(nn.Module):
    """x + Gate_l(r) * r + Gate_v(v) * v, where v is the visual branch of x.

    Args:
        dim: Channels.
        visual_branch: Builds that branch from its channels.
    """

    def __init__(self, dim: int, visual_branch: Callable[[int], nn.Module] = VisualBranch) -> None:
        super().__init__()
        self.visual_branch = visual_branch(dim)
        self.language_gate = Gate(dim)
        self.visual_gate = Gate(dim)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Update the map x (B, H, W, C) by the multimodal map r of the same shape."""
        v = self.visual_branch(x)
        return x + self.language_gate(r) * r + self.visual_gate(v) * v


def rotated_refinement(dim: int, *, kernels: int = 1) -> nn.Module:
    """Return relu(BN(ARC(y))) with n rotated kernels; one, as released."""
    return ConvNormRelu(RotatedConv(dim, kernels), dim)


def rmsin(
    *,
    preset: str = "mini",
    image_size: int | tuple[int, int] | None = None,
    vocab_size: int | None = None,
    drop_path: float | None = None,
    fidelity: str = "released",
) -> ReferringSegmenter:
    """Build RMSIN, untrained, for images of one size.

    Args:
        preset: `mini` or `swin-b`.
        image_size: Side, or (height, width), in pixels; None takes the preset's.
        vocab_size: Rows of the word embedding; needed by `mini`.
        drop_path: Largest stochastic depth rate; None takes the preset's.
        fidelity: "released", the network of the public code.

    Raises:
        ValueError: An option that the network cannot have.
    """
    require_released(fidelity)
    config = network_config(preset, image_size=image_size, vocab_size=vocab_size, drop_path=drop_path)
    backbone = LanguageAwareSwin(
        config, update=VisualLanguageUpdate, cross_scale=CrossScaleInteraction(config)
    )
    classifier = TopDownDecoder(config.dims, config.decoder_dim, refine=rotated_refinement)
    return ReferringSegmenter(config, backbone=backbone, classifier=classifier)
