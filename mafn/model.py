"""MAFN: multimodal-aware fusion network for referring remote sensing image segmentation.

Shi and Zhang (IEEE GRSL). `fidelity="released"` is what the public code computes: RMSIN's graph with adaptive noise in
every Swin block, correlation-aware fusion at the end of a stage and multi-scale refinement in the decoder. Each of the
three can be left out, which gives the rows of the paper's Table II; without all three the graph is RMSIN's.

`fidelity="paper"` follows the paper's equations where the code departs from them:

    decoder input         F_e, equations 11 to 13; the code decodes the normalised multimodal map
    cross-scale           none; the code has RMSIN's interaction, which the paper does not mention
    noise                 inside the window attention, small, equations 2 to 5
    visual branch         convolutions, channel mean, one sigmoid, equation 6
    channel intensifying  ReLU; the code has a leaky one
    decoder level         MSRC on both maps side by side, then the joining convolution, equation 14
    MSRC                  sums the V_k of equation 17, expands the channels, rotates n kernels

The paper states neither the factor of the expansion nor n; both default to 2 there, the smallest that fit the words,
and can be set.
"""

from collections.abc import Sequence
from functools import partial

from baselines.backbone import LanguageAwareSwin
from baselines.config import network_config
from baselines.cross_scale import CrossScaleInteraction
from baselines.decoder import TopDownDecoder
from baselines.rmsin import VisualLanguageUpdate, rotated_refinement
from baselines.segmenter import ReferringSegmenter
from baselines.swin import WindowAttention
from baselines.visual_branch import VisualBranch
from mafn.adaptive_noise import AdaptiveNoise
from mafn.correlation_fusion import RELEASED_SLOPE, CorrelationUpdate
from mafn.noisy_window_attention import NoisyWindowAttention
from mafn.refinement import MultiScaleRefinement
from mafn.visual_integration import VisualIntegration

FIDELITIES = ("released", "paper")


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
    rotated_kernels: int | None = None,
    expansion: int | None = None,
) -> ReferringSegmenter:
    """Build MAFN or one of its ablations, untrained.

    Args:
        preset: `mini` or `swin-b`.
        image_size: Side, or (height, width), in pixels; None takes the preset's. `released` is bound to it.
        vocab_size: Rows of the word embedding; needed by `mini`.
        drop_path: Largest stochastic depth rate; None takes the preset's.
        kernels: Sizes of the refinement's depthwise convolutions (Table III); unused without `msrc`.
        adaptive_noise: Attention to noisy keys; else plain Swin blocks.
        correlation_fusion: Correlation-aware fusion; else RMSIN's sum of the gated branches.
        msrc: Multi-scale refinement in the decoder; else RMSIN's rotated convolution.
        fidelity: "released", the network of the public code, or "paper", see this module's docstring.
        rotated_kernels: Number n of kernels of each rotated convolution; None: 1 as released, 2 for the paper.
        expansion: Factor by which MSRC widens its map; None: 1 as released, 2 for the paper.

    Raises:
        ValueError: An option that the network cannot have.
    """
    if fidelity not in FIDELITIES:
        raise ValueError(f"unknown fidelity {fidelity!r}; known are {', '.join(map(repr, FIDELITIES))}")
    paper = fidelity == "paper"
    unstated = 2 if paper else 1
    rotated_kernels = unstated if rotated_kernels is None else rotated_kernels
    expansion = unstated if expansion is None else expansion
    kernels = tuple(kernels)
    if not kernels or any(size < 1 or size % 2 == 0 for size in kernels):
        raise ValueError(f"kernels must be odd sizes, one or more, got {kernels}")
    if rotated_kernels < 1 or expansion < 1:
        raise ValueError(
            f"rotated_kernels and expansion are at least 1, got {rotated_kernels} and {expansion}"
        )
    config = network_config(preset, image_size=image_size, vocab_size=vocab_size, drop_path=drop_path)

    visual_branch = VisualIntegration if paper else VisualBranch
    fusion = partial(
        CorrelationUpdate, visual_branch=visual_branch, negative_slope=0.0 if paper else RELEASED_SLOPE
    )
    backbone = LanguageAwareSwin(
        config,
        update=fusion if correlation_fusion else partial(VisualLanguageUpdate, visual_branch=visual_branch),
        window_attention=NoisyWindowAttention if paper and adaptive_noise else WindowAttention,
        token_attention=(
            partial(AdaptiveNoise, heads=config.noise_heads) if adaptive_noise and not paper else None
        ),
        cross_scale=None if paper else CrossScaleInteraction(config),
        decode_updated=paper,
    )
    refinement = partial(
        MultiScaleRefinement,
        kernels=kernels,
        rotated_kernels=rotated_kernels,
        expansion=expansion,
        sum_layers=paper,
    )
    classifier = TopDownDecoder(
        config.dims,
        config.decoder_dim,
        refine=refinement if msrc else partial(rotated_refinement, kernels=rotated_kernels),
        refine_first=paper,
    )
    return ReferringSegmenter(config, backbone=backbone, classifier=classifier, any_size=paper)
