"""TinyFCN: a fully convolutional network whose stages are modulated by the sentence.

Four residual stages see the image and the coordinates of its pixels; after each, the sentence scales and shifts every
channel (Perez et al., *FiLM: Visual reasoning with a general conditioning layer*, AAAI 2018). A top-down path adds the
stages up (Lin et al., *Feature pyramid networks for object detection*, CVPR 2017). Written for this example; no weights
were published.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SentenceEncoder(nn.Module):
    """Word embeddings, convolutions over neighbouring words, mean and maximum over the words."""

    def __init__(self, vocab_size: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, dim, 3, padding=1) for _ in range(2))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return (B, 2 D) for word pieces (B, L) and their mask (B, L)."""
        words = attention_mask[:, None].to(self.embedding.weight.dtype)  # [B, 1, L]
        x = self.embedding(input_ids).mT  # [B, D, L]
        for convolution in self.convolutions:
            x = x + F.relu(convolution(x * words))  # padding is zero, as beyond the sentence's ends
        mean = (x * words).sum(2) / words.sum(2).clamp(min=1)
        return torch.cat((mean, x.masked_fill(words == 0, -1e4).amax(2)), 1)


class ResidualStage(nn.Module):
    """Halve the grid, one residual block, then FiLM."""

    def __init__(self, in_dim: int, dim: int, text_dim: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_dim, dim, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(4, dim)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(4, dim)
        self.film = nn.Linear(text_dim, 2 * dim)

    def forward(self, x: Tensor, sentence: Tensor) -> Tensor:
        """Return (B, C', H / 2, W / 2) for maps (B, C, H, W) and sentences (B, T)."""
        x = F.relu(self.norm1(self.down(x)))
        scale, shift = self.film(sentence)[..., None, None].chunk(2, 1)
        return F.relu(x + (1 + scale) * self.norm2(self.conv(x)) + shift)


class TinyFCN(nn.Module):
    """The network.

    Args:
        vocab_size: rows of the word embedding.
        dims: channels of the stages, from the finest to the coarsest.
        text_dim: of a word.
    """

    def __init__(self, vocab_size: int, dims: tuple[int, int, int, int], text_dim: int) -> None:
        super().__init__()
        self.sentence_encoder = SentenceEncoder(vocab_size, text_dim)
        self.stem = nn.Conv2d(3 + 2, dims[0], 3, stride=2, padding=1)
        self.stages = nn.ModuleList(
            ResidualStage(in_dim, dim, 2 * text_dim)
            for in_dim, dim in zip((dims[0], *dims[:3]), dims, strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(dim, dims[0], 1) for dim in dims)
        self.head = nn.Conv2d(dims[0], 2, 3, padding=1)

    def stage_maps(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the four stages' maps (B, C_i, H_i, W_i), at a 4th to a 32nd of the image's size."""
        height, width = image.shape[-2:]
        y = torch.linspace(-1, 1, height, dtype=image.dtype, device=image.device)[:, None].expand(
            height, width
        )
        x = torch.linspace(-1, 1, width, dtype=image.dtype, device=image.device).expand(height, width)
        place = torch.stack((y, x)).expand(len(image), 2, height, width)  # "in the upper left" needs it
        sentence = self.sentence_encoder(input_ids, attention_mask)
        maps = [F.relu(self.stem(torch.cat((image, place), 1)))]
        for stage in self.stages:
            maps.append(stage(maps[-1], sentence))
        return tuple(maps[1:])

    def forward(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits (B, 2, H, W) for (B, 3, H, W), (B, L) and (B, L); class 1 is the referred object."""
        *finer, top = [
            lateral(x)
            for lateral, x in zip(
                self.laterals, self.stage_maps(image, input_ids, attention_mask), strict=True
            )
        ]
        for lateral in reversed(finer):
            top = lateral + F.interpolate(top, size=lateral.shape[-2:], mode="bilinear")
        return F.interpolate(self.head(F.relu(top)), size=image.shape[-2:], mode="bilinear")

    def no_weight_decay(self) -> frozenset[str]:
        """Return the names of the parameters that the optimiser does not decay: biases and norms."""
        return frozenset(name for name, parameter in self.named_parameters() if parameter.ndim == 1)


SIZES: dict[str, tuple[tuple[int, int, int, int], int]] = {  # channels of the stages, of a word
    "mini": ((24, 48, 72, 96), 64),
    "swin-b": ((96, 192, 288, 384), 256),
}


def tinyfcn(
    *, preset: str = "mini", image_size: int | tuple[int, int] | None = None, vocab_size: int = 30522
) -> TinyFCN:
    """Build TinyFCN, untrained.

    Args:
        preset: `mini`, or `swin-b` for the wider one that trains beside networks of that size.
        image_size: not needed: it takes images of any size from 32 pixels on.
        vocab_size: rows of the word embedding; BERT's without one.

    Raises:
        ValueError: an unknown preset.
    """
    if preset not in SIZES:
        raise ValueError(f"unknown preset {preset!r}; known are {', '.join(SIZES)}")
    dims, text_dim = SIZES[preset]
    return TinyFCN(vocab_size, dims, text_dim)
