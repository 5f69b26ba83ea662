"""A network from its weights file alone: one that this harness trained or converted, or a released checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, ValidationError
from tokenizers import Tokenizer
from torch import Tensor, nn

from harness.data.text import read_tokenizer
from harness.errors import HarnessError
from harness.models import create_model
from harness.training.checkpoint import misfits, read_checkpoint
from harness.weights.official import family, fill, read_options
from harness.weights.reading import read_state_dict

RELEASED_PRESET = "swin-b"
RELEASED_SIDE = 480  # pixels
RELEASED_TOKENS = 20  # of a sentence, [CLS] and [SEP] included
LONGEST_SENTENCE = 512  # tokens that BERT has positions for


class _Description(BaseModel):
    """What is used of a file's description of its network; it may come from anybody."""

    model: str
    preset: str
    options: dict[str, Any]  # the models' own: `create_model` looks at them
    max_tokens: Annotated[int, Field(ge=3, le=LONGEST_SENTENCE)] = RELEASED_TOKENS
    tokenizer: str | None = None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A trained network, in eval mode on the CPU, and what it takes."""

    network: nn.Module  # network(image, input_ids, attention_mask) -> logits (B, 2, S, S)
    model: str  # its registered name
    preset: str
    options: dict[str, Any]  # as `create_model` takes them
    image_size: int  # S, pixels
    tokenizer: Tokenizer | None  # None: the file has none, it is BERT's (bert-base-uncased)
    max_tokens: int
    description: dict[str, Any]  # what else the file says: run, dataset, step, val_oIoU, source ...
    dropped: tuple[str, ...]  # official names of tensors that the released network never uses


def open_network(path: Path | str, model: str | None = None) -> Network:
    """Build the network that a weights file holds, and fill it strictly.

    Args:
        path: what `harness train` or `harness weights convert` wrote (.safetensors), or a released checkpoint of LAVT,
            RMSIN or MAFN (.pth). Sizes and ablation of a released one are read off its tensors.
        model: the registered name; None: what the file holds.

    Raises:
        HarnessError: the file is missing, damaged, or holds another model than `model`; a tensor is unknown, missing
            or of another shape.
    """
    path = Path(path)
    if path.suffix == ".safetensors" and path.is_file():
        state, description = read_checkpoint(path)
        if description is not None:
            return _ours(path, model, state, description)
    return _released(path, model)


def _ours(path: Path, model: str | None, state: dict[str, Tensor], description: dict[str, Any]) -> Network:
    missing = [key for key in ("model", "preset", "options") if key not in description]
    if missing:
        raise HarnessError(
            f"{path} does not say what network it holds (no {missing[0]!r} in its description): an earlier version "
            "wrote it; train the run again"
        )
    try:
        said = _Description.model_validate(description)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HarnessError(
            f"{path} has a damaged description of its network ({where}: {first['msg']}); train the run again"
        ) from None
    held, preset, options = said.model, said.preset, said.options
    if model is not None and model != held:
        raise HarnessError(f"{path} holds {held}, not {model}: pass --model {held}")
    try:
        with torch.device("meta"):  # sizes in the description may be anything: compare before memory is taken
            outline = create_model(held, preset=preset, **options)
    except Exception as error:  # whatever the factory of a model stumbles over
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HarnessError(f"{path} describes a network that cannot be built: {reason:.300}") from None
    if problems := misfits(outline, state):
        raise HarnessError(f"{path} holds other tensors than the network that it describes:\n  {problems}")
    tokenizer = read_tokenizer(said.tokenizer, str(path)) if said.tokenizer is not None else None
    if tokenizer is not None and isinstance(words := options.get("vocab_size"), int):
        largest = max([*tokenizer.get_vocab().values(), *tokenizer.encode("").ids], default=0)
        if largest >= words:
            raise HarnessError(
                f"{path} has a tokenizer with the id {largest}, its network has {words:,} word pieces; train the run "
                "again"
            )
    network = create_model(held, preset=preset, **options)
    network.load_state_dict(state)
    return Network(
        network.eval(),
        held,
        preset,
        options,
        options.get("image_size") or RELEASED_SIDE,
        tokenizer,
        said.max_tokens,
        description,
        said.dropped,
    )


def _released(path: Path, model: str | None) -> Network:
    tensors = read_state_dict(path)
    held = family(tensors, str(path), model)
    options = read_options(held, tensors, str(path))
    network = create_model(held, preset=RELEASED_PRESET, **options)
    dropped = fill(network, tensors, str(path))
    return Network(
        network.eval(),
        held,
        RELEASED_PRESET,
        options,
        options.get("image_size", RELEASED_SIDE),
        None,
        RELEASED_TOKENS,
        {"source": path.name},
        tuple(dropped),
    )
