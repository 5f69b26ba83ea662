"""Adaptive noise: after the window attention every token attends to two keys of its own.

MAFN, equations 2 to 5, as the released code computes them. A token y asks the keys y + dk and y * s, where s is
the softmax over channels of an MLP of y, and takes from the values y + dv and y. dk and dv are learnt "noise".

With two keys the softmax is a sigmoid of the difference of their logits, and the difference of the keys is one
projection, (y * (1 - s) + dk) W_k, from which the key bias has gone. The values differ by the constant dv W_v.
So the attention is, per token and head h,

    g_h = sigmoid(q_h . ((y * (1 - s) + dk) W_k)_h / sqrt(C / heads))
    out = W_o (W_v y + b_v + [g_h (W_v dv)_h over heads]) + b_o

and nowhere is a sequence of keys built.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.layers import Mlp, linear


class AdaptiveNoise(nn.Module):
    """y + attention of y to its two noisy keys.

    Args:
        dim: Channels C.
        heads: Attention heads; C is a multiple of them.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.discriminator = Mlp(dim, dim, dim)
        # One projection and one bias for query, key and value, as in torch's attention: the key's part of the
        # bias cancels, and apart it would be a parameter that no gradient reaches.
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = linear(dim, dim)
        # The released tensors have two rows and only use the first.
        self.key_noise = nn.Parameter(torch.randn(2, dim))
        self.value_noise = nn.Parameter(torch.randn(2, dim))

    def forward(self, y: Tensor) -> Tensor:
        """Map tokens (..., C) to the same shape."""
        C = y.shape[-1]
        query_weight, key_weight, value_weight = self.in_proj_weight.chunk(3)
        query_bias, _, value_bias = self.in_proj_bias.chunk(3)

        share = self.discriminator(y).softmax(dim=-1)
        q = F.linear(y, query_weight, query_bias)
        k_difference = F.linear(torch.addcmul(y + self.key_noise[0], y, share, value=-1), key_weight)
        logits = (q * k_difference).unflatten(-1, (self.heads, -1)).sum(dim=-1)
        g = torch.sigmoid(logits * (C // self.heads) ** -0.5)

        # What a head's noise adds to the output where its g is 1: (C, heads).
        noise = F.linear(self.value_noise[0], value_weight).view(self.heads, -1)
        noise = torch.einsum("chd,hd->ch", self.out_proj.weight.view(C, self.heads, -1), noise)
        if y.numel() // C > C:
            # With more tokens than channels, multiplying the two projections first is less work.
            weight = self.out_proj.weight @ value_weight
            bias = self.out_proj.weight @ value_bias + self.out_proj.bias
            out = F.linear(y, weight, bias)
        else:
            out = self.out_proj(F.linear(y, value_weight, value_bias))
        return y + out + F.linear(g, noise)
