"""The language-aware backbone: a Swin transformer that reads the sentence at the end of every stage."""

from collections.abc import Callable
from itertools import islice

from torch import Tensor, nn

from baselines.config import NetworkConfig
from baselines.pwam import PixelWordAttention
from baselines.swin import PatchEmbedding, PatchMerging, SwinBlocks, WindowAttention


class LanguageAwareStage(nn.Module):
    """Swin blocks, pixel-word attention, the update of x by what it brings, and the way to the next stage.

    The last stage has no successor, so it has no patch merging. Where the decoder sees the multimodal map it
    has no `update` either: in the released code that exists, feeds nothing and never gets a gradient.
    """

    def __init__(
        self,
        blocks: SwinBlocks,
        fusion: PixelWordAttention,
        update: nn.Module | None,
        downsample: PatchMerging | None,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.fusion = fusion
        self.update = update
        self.downsample = downsample

    def forward(self, x: Tensor, words: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the multimodal map r and the updated x, both (B, H, W, C)."""
        x = self.blocks(x)
        r = self.fusion(x, words, attention_mask)
        return r, x if self.update is None else self.update(x, r)


class LanguageAwareSwin(nn.Module):
    """Image and words to four feature maps.

    Args:
        config: All sizes.
        update: Builds, from a stage's channels, the module that maps (x, r) to the updated x.
        window_attention: Builds the attention of every block.
        token_attention: Builds what follows the window attention in every block, or None.
        cross_scale: Maps the list of four features to another of the same shapes, or None.
        decode_updated: The decoder sees each stage's updated x; else, as released, the normalised multimodal map r.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        update: Callable[[int], nn.Module],
        window_attention: Callable[..., WindowAttention] = WindowAttention,
        token_attention: Callable[[int], nn.Module] | None = None,
        cross_scale: nn.Module | None = None,
        decode_updated: bool = False,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(config.patch_size, config.embed_dim)
        last = max(sum(config.depths) - 1, 1)
        rates = iter([config.drop_path * block / last for block in range(sum(config.depths))])
        self.layers = nn.ModuleList(
            LanguageAwareStage(
                SwinBlocks(
                    dim,
                    heads,
                    config.window,
                    mlp_ratio=config.mlp_ratio,
                    drop_paths=list(islice(rates, depth)),
                    window_attention=window_attention,
                    token_attention=token_attention,
                ),
                PixelWordAttention(dim, config.text.hidden),
                update(dim) if stage < 3 or decode_updated else None,
                PatchMerging(dim) if stage < 3 else None,
            )
            for stage, (dim, heads, depth) in enumerate(
                zip(config.dims, config.heads, config.depths, strict=True)
            )
        )
        norms = (nn.LayerNorm(dim) for dim in config.dims)
        self.norms = None if decode_updated else nn.ModuleList(norms)
        self.cross_scale = cross_scale

    def forward(self, image: Tensor, words: Tensor, attention_mask: Tensor) -> list[Tensor]:
        """Return the decoder's inputs c1 to c4.

        Args:
            image: (B, 3, S, S), normalised.
            words: Text features (B, L, D).
            attention_mask: (B, L), 1 for words and 0 for padding.

        Returns:
            Maps (B, C_i, H_i, W_i), channels-last in memory, from the finest to the coarsest.
        """
        x = self.patch_embed(image)
        features = []
        for index, stage in enumerate(self.layers):
            assert isinstance(stage, LanguageAwareStage)
            r, x = stage(x, words, attention_mask)
            feature = x if self.norms is None else self.norms[index](r)
            features.append(feature.permute(0, 3, 1, 2))
            if stage.downsample is not None:
                x = stage.downsample(x)
        return features if self.cross_scale is None else self.cross_scale(features)
