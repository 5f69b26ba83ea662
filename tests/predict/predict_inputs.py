"""What the tests of predictions share."""

from dataclasses import dataclass

import torch
from torch import nn

RUN = "mafn-k13-s0"
SENTENCE = "the red ship left of the harbor"


@dataclass(frozen=True)
class Result:
    """Of a command."""

    code: int
    out: str
    err: str


def shift(network: nn.Module, by: float) -> None:
    """Raise the logit of the object everywhere."""
    with torch.no_grad():
        network.classifier.head.bias[1] += by
