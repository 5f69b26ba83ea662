"""Networks by name: the harness's one door to `baselines`, `mafn` and whatever other packages register."""

import inspect
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, suggestion
from harness.registry import MODELS

if TYPE_CHECKING:
    from torch import Tensor, nn

REQUIRED = ("preset", "image_size", "vocab_size")  # keywords of every factory


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
        HarnessError: An unknown model or option, or a value that the network cannot have; a factory that does not
            keep to `REQUIRED`, or returns no module.
    """
    from torch import nn

    factory = MODELS.load(name)
    if not callable(factory):
        raise HarnessError(f"{MODELS.describe(name)} is no function but {_kind(factory)}; name its factory")
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    if lacking := [] if takes_any else [option for option in REQUIRED if option not in parameters]:
        raise HarnessError(
            f"{MODELS.describe(name)}: its factory takes no {', '.join(lacking)}; every factory has to take the "
            f"keywords {', '.join(REQUIRED)}, also where it has no use for one"
        )
    unknown = [] if takes_any else [option for option in options if option not in parameters]
    if unknown:
        known = list(parameters)
        raise HarnessError(
            f"model {name!r} has no option {unknown[0]!r}.{suggestion(unknown[0], known)} "
            f"Its options: {', '.join(known)}"
        )
    try:
        model = factory(preset=preset, image_size=image_size, **options)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"model {name!r}: {error}") from error
    if not isinstance(model, nn.Module):
        raise HarnessError(
            f"{MODELS.describe(name)}: its factory returned {_kind(model)}; a torch.nn.Module is needed"
        )
    return model


def require_logits(logits: object, image: "Tensor", name: str) -> None:
    """Check what a network returned for a batch of images (B, 3, H, W).

    Raises:
        HarnessError: it is no tensor of logits (B, 2, H, W) of a floating-point type; names the package.
    """
    from torch import Tensor

    batch, _, height, width = image.shape
    wanted = f"logits of shape {(batch, 2, height, width)}"
    if not isinstance(logits, Tensor):
        found = _kind(logits)
    elif tuple(logits.shape) != (batch, 2, height, width):
        found = f"a tensor of shape {tuple(logits.shape)}"
    elif not logits.is_floating_point():
        found = f"a tensor of {str(logits.dtype).removeprefix('torch.')}"
        wanted = "floating-point logits, before any argmax"
    else:
        return
    raise HarnessError(
        f"{MODELS.describe(name)} returned {found} for images of shape {tuple(image.shape)}; {wanted} are needed: "
        f"docs/add_a_model.md"
    )


def try_network(
    model: "nn.Module", name: str, image_size: int, input_ids: "Tensor", attention_mask: "Tensor"
) -> None:
    """Run a new network once, in eval mode and without gradients, on grey images.

    Args:
        model: its weights and buffers stay as they are.
        name: its registered name.
        image_size: side of the images in pixels.
        input_ids: sentences (B, L), on the model's device.
        attention_mask: of them.

    Raises:
        HarnessError: it fails on them, or returns something else than logits; names the package and the sizes.
    """
    import torch

    image = torch.zeros(len(input_ids), 3, image_size, image_size, device=input_ids.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(image, input_ids, attention_mask)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise HarnessError(
            f"{MODELS.describe(name)} fails on images of {image_size} x {image_size} pixels and sentences of "
            f"{input_ids.shape[1]} tokens ({type(error).__name__}: {error}). Change image_size or text.max_tokens in "
            f"params.yaml if it cannot take these, else mend it: harness.testing.check_model({name!r}) shows where"
        ) from error
    finally:
        model.train(was_training)
    require_logits(logits, image, name)


def _kind(value: object) -> str:
    """ "a list", for messages."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
