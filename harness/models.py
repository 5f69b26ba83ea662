"""Networks by name: the harness's one door to `baselines`, `mafn` and whatever other packages register."""

import inspect
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, suggestion
from harness.registry import MODELS

if TYPE_CHECKING:
    from torch import nn


def list_models() -> list[str]:
    """Return the names that `create_model` knows, sorted."""
    return MODELS.names()


def create_model(
    name: str, *, preset: str = "mini", image_size: int | tuple[int, int] | None = None, **options: Any
) -> "nn.Module":
    """Build an untrained network, initialised from torch's global random state (`torch.manual_seed`).

    `model(image, input_ids, attention_mask)` returns logits (B, 2, H, W), class 1 the referred object, for a
    normalised float image (B, 3, H, W), word pieces (B, L) and their mask (B, L), 1 for words and 0 for padding.

    Args:
        name: One of `list_models()`.
        preset: `mini` (from scratch, 96 pixels) or `swin-b` (the released sizes, 480 pixels).
        image_size: Side, or (height, width), in pixels, a multiple of 32; None takes the preset's.
        **options: The factory's own. All take vocab_size (needed by `mini`), drop_path and fidelity; `mafn` also
            kernels, adaptive_noise, correlation_fusion and msrc.

    Raises:
        HarnessError: An unknown model or option, or a value that the network cannot have.
    """
    factory = MODELS.load(name)
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [] if takes_any else [option for option in options if option not in parameters]
    if unknown:
        known = list(parameters)
        raise HarnessError(
            f"model {name!r} has no option {unknown[0]!r}.{suggestion(unknown[0], known)} "
            f"Its options: {', '.join(known)}"
        )
    try:
        return factory(preset=preset, image_size=image_size, **options)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"model {name!r}: {error}") from error
