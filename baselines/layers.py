"""The few layers that every part of the family is made of."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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


# Elements of a map from which on computing it again is worth the time: below, calls cost more than arithmetic.
LARGE_MAP = 1 << 19


class Recomputable(nn.Module):
    """A module that can be run again in the backward pass, so that its inner activations need not be kept.

    Attributes:
        cheap: It is recomputed in every training step on large maps, as its activations take much memory and
            little time.
        recompute: It is recomputed now; `ReferringSegmenter.set_grad_checkpointing` switches it.
    """

    cheap = False
    recompute = False

    def __call__(self, *inputs: Any) -> Any:
        """Run `forward`, keeping the inputs alone if it is to be recomputed."""
        wanted = self.recompute or (self.cheap and inputs[0].numel() >= LARGE_MAP)
        if wanted and self.training and torch.is_grad_enabled():
            return checkpoint(
                super().__call__,
                *inputs,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), unmoved_statistics(self)),
            )
        return super().__call__(*inputs)


@contextmanager
def unmoved_statistics(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norms alone, which the first run has moved already."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    batches = [None if n.num_batches_tracked is None else n.num_batches_tracked.clone() for n in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, batches, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.copy_(count)


class Mlp(nn.Module):
    """Linear, GELU, linear over the last dimension."""

    def __init__(self, dim: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., dim) to (..., outputs)."""
        hidden = self.fc1(x)
        if hidden.numel() >= LARGE_MAP and self.training and torch.is_grad_enabled():
            # GELU's output, the widest map of a block, is computed again rather than kept; the second layer is not.
            return checkpoint(self.activate, hidden, use_reentrant=False, preserve_rng_state=False)
        return self.activate(hidden)

    def activate(self, hidden: Tensor) -> Tensor:
        """Map (..., hidden) to (..., outputs)."""
        return self.fc2(self.act(hidden))


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
