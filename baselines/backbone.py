"""The language-aware backbone: a Swin transformer that reads the sentence at the end of every stage."""

from collections.abc import Callable
from itertools import islice

from torch import Tensor, nn

from baselines.config import NetworkConfig
from baselines.pwam import PixelWordAttention
from baselines.swin import PatchEmbedding, PatchMerging, SwinBlocks


class LanguageAwareStage(nn.Module):
    """Swin blocks, pixel-word attention, and the update of x that the next stage starts from.

    The last stage has no successor, so it has neither `update` nor patch merging: in the released code they
    exist there, feed nothing and never get a gradient.
    """

    def __init__(
        self, blocks: SwinBlocks, fusion: PixelWordAttention, update: nn.Module | None, dim: int
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.fusion = fusion
        self.update = update
        self.downsample = None if update is None else PatchMerging(dim)

    def forward(self, x: Tensor, words: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the multimodal map r (B, H, W, C), and the next stage's x (B, H/2, W/2, 2C) (last stage: x)."""
        x = self.blocks(x)
        r = self.fusion(x, words, attention_mask)
        if self.update is not None and self.downsample is not None:
            x = self.downsample(self.update(x, r))
        return r, x


class LanguageAwareSwin(nn.Module):
    """Image and words to four feature maps.

    Args:
        config: All sizes.
        update: Builds, from a stage's channels, the module that maps (x, r) to the updated x.
        token_attention: Builds what follows the window attention in every block, or None.
        cross_scale: Maps the list of four features to another of the same shapes, or None.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        update: Callable[[int], nn.Module],
        token_attention: Callable[[int], nn.Module] | None = None,
        cross_scale: nn.Module | None = None,
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
                    token_attention=token_attention,
                ),
                PixelWordAttention(dim, config.text.hidden),
                update(dim) if stage < 3 else None,
                dim,
            )
            for stage, (dim, heads, depth) in enumerate(
                zip(config.dims, config.heads, config.depths, strict=True)
            )
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in config.dims)
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
        for stage, norm in zip(self.layers, self.norms, strict=True):
            r, x = stage(x, words, attention_mask)
            # The decoder sees the multimodal branch r, not the updated x.
            features.append(norm(r).permute(0, 3, 1, 2))
        return features if self.cross_scale is None else self.cross_scale(features)
