"""LAVT: language-aware vision transformer for referring image segmentation.

Yang et al. (CVPR 2022). Pixel-word attention at the end of every Swin stage, gated into the map that the next
stage starts from, and a plain top-down decoder.
"""

from torch import Tensor, nn

from baselines.backbone import LanguageAwareSwin
from baselines.config import network_config, require_released
from baselines.decoder import ConvNormRelu, TopDownDecoder, conv3x3
from baselines.layers import Gate
from baselines.segmenter import ReferringSegmenter


class LanguageUpdate(nn.Module):
    """x + Gate(r) * r."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.language_gate = Gate(dim)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Update the map x (B, H, W, C) by the multimodal map r of the same shape."""
        return x + self.language_gate(r) * r


def plain_refinement(dim: int) -> nn.Module:
    """Return relu(BN(conv3x3(y)))."""
    return ConvNormRelu(conv3x3(dim, dim), dim)


def lavt(
    *,
    preset: str = "mini",
    image_size: int | tuple[int, int] | None = None,
    vocab_size: int | None = None,
    drop_path: float | None = None,
    fidelity: str = "released",
) -> ReferringSegmenter:
    """Build LAVT, untrained. It takes images of any size that is a multiple of 32.

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
    backbone = LanguageAwareSwin(config, update=LanguageUpdate)
    classifier = TopDownDecoder(config.dims, config.decoder_dim, refine=plain_refinement)
    return ReferringSegmenter(config, backbone=backbone, classifier=classifier, any_size=True)
