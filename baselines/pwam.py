"""Pixel-word attention: every position of the image reads the sentence.

Yang et al., LAVT: language-aware vision transformer for referring image segmentation (2022), equations 1 to 5.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import Recomputable

# Added to the logits of padding words.
PADDING_PENALTY = -1e4


def instance_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalise each sample and channel of (B, N, C) over its N positions, without affine parameters.

    Of half-precision maps it returns float32, as autocast has it for norms: eps is small beside their rounding.
    """
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps)


class PixelWordAttention(Recomputable):
    """One-head attention from pixels to words, multiplied into the visual map.

    The linear layers are the paper's 1x1 convolutions and start as convolutions do.
    """

    def __init__(self, dim: int, text_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(text_dim, dim)
        self.value = nn.Linear(text_dim, dim)
        self.language = nn.Linear(dim, dim)
        self.visual = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, x: Tensor, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the multimodal map r.

        Args:
            x: Visual map (B, H, W, C).
            words: Text features (B, L, D).
            attention_mask: (B, L), 1 for words and 0 for padding.

        Returns:
            (B, H, W, C).
        """
        pixels = x.flatten(1, 2)
        q = instance_norm(self.query(pixels))
        # The weights of a position's words sum to one, so the projection of the attended value may be
        # applied to the L words instead of the H*W positions.
        v = self.language(self.value(words))
        mask = (1 - attention_mask.to(q.dtype))[:, None, None] * PADDING_PENALTY
        q, k, v = q[:, None], self.key(words)[:, None], v[:, None]
        language = instance_norm(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).squeeze(1))
        multimodal = F.gelu(self.visual(pixels)) * language
        return F.gelu(self.output(multimodal)).view_as(x)
