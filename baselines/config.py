"""Sizes of the networks: one frozen record that every class takes its numbers from, and presets by name."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the BERT text encoder."""

    vocab_size: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    max_positions: int
    dropout: float = 0.1


@dataclass(frozen=True)
class CrossScaleConfig:
    """Heads of RMSIN's cross-scale attention; its width follows from the backbone's."""

    heads: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True)
class NetworkConfig:
    """Every size of a network.

    Lists with one entry a stage run from the finest grid (a quarter of the image) to the coarsest (a 32nd).
    `image_size` is (height, width) in pixels.
    """

    image_size: tuple[int, int]
    embed_dim: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    mlp_ratio: int
    drop_path: float
    decoder_dim: int
    text: TextConfig
    cross_scale: CrossScaleConfig
    noise_heads: int = 8
    patch_size: int = 4

    def __post_init__(self) -> None:
        if len(self.depths) != 4 or len(self.heads) != 4:
            raise ValueError(f"four stages are needed, got depths {self.depths} and heads {self.heads}")
        stride = self.patch_size * 8
        if any(side <= 0 or side % stride for side in self.image_size):
            raise ValueError(f"image_size must be a multiple of {stride}, got {self.image_size}")
        if self.embed_dim % 4:
            raise ValueError(f"embed_dim must be a multiple of 4, got {self.embed_dim}")
        for dim, heads in zip(self.dims, self.heads, strict=True):
            if dim % heads:
                raise ValueError(f"a stage of {dim} channels cannot have {heads} attention heads")
        if self.embed_dim % self.noise_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not a multiple of noise_heads {self.noise_heads}"
            )
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must lie in [0, 1), got {self.drop_path}")
        if self.text.vocab_size <= 0:
            raise ValueError(f"vocab_size must be positive, got {self.text.vocab_size}")

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dim * 2**stage for stage in range(4))

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each stage's grid for images of `image_size`."""
        height, width = self.image_size
        strides = [self.patch_size * 2**stage for stage in range(4)]
        return tuple((height // stride, width // stride) for stride in strides)

    @property
    def cross_scale_dim(self) -> int:
        """Width of the cross-scale interaction: a quarter of all stages' channels together."""
        return sum(self.dims) // 4


PRESETS: dict[str, NetworkConfig] = {
    # The released networks: Swin-B (ImageNet-22k, window 12) and BERT-base-uncased at 480 pixels.
    "swin-b": NetworkConfig(
        image_size=(480, 480),
        embed_dim=128,
        depths=(2, 2, 18, 2),
        heads=(4, 8, 16, 32),
        window=12,
        mlp_ratio=4,
        drop_path=0.3,
        decoder_dim=512,
        text=TextConfig(
            vocab_size=30522, hidden=768, layers=12, heads=12, intermediate=3072, max_positions=512
        ),
        cross_scale=CrossScaleConfig(heads=8, key_dim=32, value_dim=64),
    ),
    # Trained from scratch within minutes on two CPU cores. The vocabulary is trained with the data set,
    # so its size has no default: `network_config` refuses this preset without one.
    "mini": NetworkConfig(
        image_size=(96, 96),
        embed_dim=24,
        depths=(1, 1, 2, 1),
        heads=(1, 2, 4, 8),
        window=6,
        mlp_ratio=2,
        drop_path=0.0,
        decoder_dim=48,
        text=TextConfig(
            vocab_size=1, hidden=96, layers=1, heads=4, intermediate=384, max_positions=64, dropout=0.0
        ),
        cross_scale=CrossScaleConfig(heads=4, key_dim=8, value_dim=16),
    ),
}


def network_config(
    preset: str,
    *,
    image_size: int | tuple[int, int] | None = None,
    vocab_size: int | None = None,
    drop_path: float | None = None,
) -> NetworkConfig:
    """Return the named preset with some sizes replaced.

    Args:
        preset: A key of `PRESETS`.
        image_size: Side, or (height, width), in pixels, a multiple of 32; None keeps the preset's.
        vocab_size: Rows of the text encoder's word embedding; the preset `mini` has no default.
        drop_path: Largest stochastic depth rate; None keeps the preset's.

    Raises:
        ValueError: An unknown preset, a missing vocabulary, or a size that the networks cannot have.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known are {', '.join(PRESETS)}")
    config = PRESETS[preset]
    if vocab_size is None and preset == "mini":
        raise ValueError("the preset 'mini' needs vocab_size: its vocabulary is trained with the data set")
    if vocab_size is not None:
        config = replace(config, text=replace(config.text, vocab_size=vocab_size))
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        config = replace(config, image_size=(height, width))
    if drop_path is not None:
        config = replace(config, drop_path=drop_path)
    return config


def require_released(fidelity: str) -> None:
    """Refuse every fidelity but the released code's, of which alone LAVT and RMSIN have a description.

    Raises:
        ValueError: `fidelity` is not "released".
    """
    if fidelity != "released":
        raise ValueError(
            f"unknown fidelity {fidelity!r}; known is 'released' (what the public code computes); mafn has 'paper', too"
        )
