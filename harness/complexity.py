"""Size and work of a network, counted without running it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.errors import HarnessError
from harness.models import create_model

WORDS = 20  # tokens of a sentence


@dataclass(frozen=True)
class Complexity:
    """What one forward pass in eval mode takes."""

    parameters: int
    flops: int  # of one image; a multiplication and an addition are two, as in torch's FlopCounterMode


def complexity(name: str, *, preset: str, image_size: int, options: dict[str, Any]) -> Complexity:
    """Count the parameters of a network and the floating-point operations of one image.

    Nothing is computed: tensors of torch's "meta" device have shapes and no values.

    Args:
        name: one of `list_models()`.
        preset: sizes of the network.
        image_size: side in pixels.
        options: the factory's own.

    Raises:
        HarnessError: `create_model` cannot build it, or it looks at values.
    """
    from transformers import PreTrainedModel

    with torch.device("meta"):
        model = create_model(name, preset=preset, image_size=image_size, **options).eval()
        image = torch.empty(1, 3, image_size, image_size)
        words = torch.zeros(1, WORDS, dtype=torch.long)
    if isinstance(encoder := getattr(model, "text_encoder", None), PreTrainedModel):
        model.text_encoder = Unmasked(encoder)
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model(image, words, torch.ones_like(words))
    except Exception as error:  # of any kind, in a network of another package
        raise HarnessError(
            f"the operations of model {name!r} cannot be counted without values: {error or type(error).__name__}"
        ) from error
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops())


def shown_gflop(flops: int) -> str:
    """GFLOP for a table: 622.5, 0.15, 0.0081."""
    gflop = flops / 1e9
    return f"{gflop:,.1f}" if gflop >= 1 else f"{gflop:.2g}"


class Unmasked(nn.Module):
    """A BERT that is given no mask: transformers would look at its values, and meta tensors have none."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        """What the encoder returns for word pieces without padding."""
        return self.encoder(input_ids)
