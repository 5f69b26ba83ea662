"""The few layers that every part of the family is made of."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer with the backbone's initialisation: truncated normal 0.02, bias 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Recomputable(nn.Module):
    """A module that can be run again in the backward pass, so that its inner activations need not be kept.

    It holds no batch norm: running it twice would move the running statistics twice.
    """

    recompute = False

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`; with `recompute`, in training, keep the inputs alone."""
        if self.recompute and self.training and torch.is_grad_enabled():
            return checkpoint(super().__call__, *inputs, use_reentrant=False)
        return super().__call__(*inputs)


class Mlp(nn.Module):
    """Linear, GELU, linear over the last dimension."""

    def __init__(self, dim: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., dim) to (..., outputs)."""
        return self.fc2(self.act(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth: in training a whole sample's branch is dropped with probability `rate`.

    Huang et al., Deep networks with stochastic depth (2016).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero a random part of the samples of (B, ...) and scale the others, so that the mean stays."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * (mask / keep)


class Gate(nn.Module):
    """tanh(W2 relu(W1 r)): how much of each channel of a branch may pass, in -1..1 (LAVT, language gate)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = linear(dim, dim, bias=False)
        self.fc2 = linear(dim, dim, bias=False)

    def forward(self, r: Tensor) -> Tensor:
        """Map (..., C) to gates of the same shape."""
        return torch.tanh(self.fc2(torch.relu(self.fc1(r))))
