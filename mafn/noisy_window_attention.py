"""Adaptive noise as the paper states it: inside the window attention, equations 2 to 5.

The released code puts a second attention behind the window attention instead, see `mafn.adaptive_noise`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import Mlp
from baselines.swin import WindowAttention

NOISE_STD = 0.02  # "the minimal amount of noise"; the released code draws its own with deviation 1


class NoisyWindowAttention(WindowAttention):
    """Window attention in which every token offers two keys and two values.

    Q = F W_q, K = [(dk + F) W_k, (F DA(F)) W_k], V = [(dv + F) W_v, F W_v]. DA is an MLP and a softmax over
    channels; dk and dv are learnt vectors. Both keys of a token have its position's bias.
    """

    def __init__(self, dim: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__(dim, heads, window, shifted=shifted)
        self.discriminator = Mlp(dim, dim, dim)
        self.key_noise = nn.Parameter(torch.randn(dim) * NOISE_STD)
        self.value_noise = nn.Parameter(torch.randn(dim) * NOISE_STD)

    def project(self, x: Tensor, bottom: int, right: int) -> Tensor:
        """Return the query, two keys and two values (B, H + bottom, W + right, 5C) of the padded map."""
        x = F.pad(x, (0, 0, 0, right, 0, bottom))
        _, key_weight, value_weight = self.qkv.weight.chunk(3)
        _, key_bias, _ = self.qkv.bias.chunk(3)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        weighted = F.linear(x * self.discriminator(x).softmax(dim=-1), key_weight, key_bias)
        noisy_key = k + F.linear(self.key_noise, key_weight)
        noisy_value = v + F.linear(self.value_noise, value_weight)
        return torch.cat([q, noisy_key, weighted, noisy_value, v], dim=-1)

    def attend(self, projected: Tensor, mask: Tensor | None) -> Tensor:
        """Attend to both keys of each token of a window: (B, windows, N, 5C) to (B, windows, N, C)."""
        q, noisy_key, weighted, noisy_value, v = projected.chunk(5, dim=-1)
        keys, values = torch.cat([noisy_key, weighted], dim=2), torch.cat([noisy_value, v], dim=2)
        bias = self.position_bias().repeat(1, 1, 2)
        return self.attention(q, keys, values, bias, None if mask is None else mask.repeat(1, 1, 2))
