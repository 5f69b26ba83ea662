"""MAFN: multimodal-aware fusion network for referring remote sensing image segmentation.

Shi and Zhang (IEEE GRSL), as the released code computes it: RMSIN's graph with adaptive noise in every Swin
block, correlation-aware fusion at the end of a stage and multi-scale refinement in the decoder. Each of the three
can be left out, which gives the rows of the paper's Table II; without all three the graph is RMSIN's.
"""

from collections.abc import Sequence
from functools import partial

from baselines.backbone import LanguageAwareSwin
from baselines.config import network_config, require_released
from baselines.cross_scale import CrossScaleInteraction
from baselines.decoder import TopDownDecoder
from baselines.rmsin import VisualLanguageUpdate, rotated_refinement
from baselines.segmenter import ReferringSegmenter
from mafn.adaptive_noise import AdaptiveNoise
from mafn.correlation_fusion import CorrelationUpdate
from mafn.refinement import MultiScaleRefinement


def mafn(
    *,
    preset: str = "mini",
    image_size: int | tuple[int, int] | None = None,
    vocab_size: int | None = None,
    drop_path: float | None = None,
    kernels: Sequence[int] = (1, 3, 5),
    adaptive_noise: bool = True,
    correlation_fusion: bool = True,
    msrc: bool = True,
    fidelity: str = "released",
) -> ReferringSegmenter:
    """Build MAFN or one of its ablations, untrained, for images of one size.

    Args:
        preset: `mini` or `swin-b`.
        image_size: Side, or (height, width), in pixels; None takes the preset's.
        vocab_size: Rows of the word embedding; needed by `mini`.
        drop_path: Largest stochastic depth rate; None takes the preset's.
        kernels: Sizes of the refinement's depthwise convolutions (Table III); unused without `msrc`.
        adaptive_noise: Two-key attention after every window attention; else plain Swin blocks.
        correlation_fusion: Correlation-aware fusion; else RMSIN's sum of the gated branches.
        msrc: Multi-scale refinement in the decoder; else RMSIN's rotated convolution.
        fidelity: "released", the network of the public code.

    Raises:
        ValueError: An option that the network cannot have.
    """
    require_released(fidelity)
    kernels = tuple(kernels)
    if not kernels or any(size < 1 or size % 2 == 0 for size in kernels):
        raise ValueError(f"kernels must be odd sizes, one or more, got {kernels}")
    config = network_config(preset, image_size=image_size, vocab_size=vocab_size, drop_path=drop_path)
    backbone = LanguageAwareSwin(
        config,
        update=CorrelationUpdate if correlation_fusion else VisualLanguageUpdate,
        token_attention=partial(AdaptiveNoise, heads=config.noise_heads) if adaptive_noise else None,
        cross_scale=CrossScaleInteraction(config),
    )
    refine = (
        partial(MultiScaleRefinement, kernels=kernels, rotated_kernels=config.rotated_kernels)
        if msrc
        else partial(rotated_refinement, kernels=config.rotated_kernels)
    )
    classifier = TopDownDecoder(config.dims, config.decoder_dim, refine=refine)
    return ReferringSegmenter(config, backbone=backbone, classifier=classifier)
