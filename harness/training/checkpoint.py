"""Weights of a run on disk: safetensors, loaded strictly."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.config import Params, Run
from harness.data.text import load_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.files import atomic_write

METADATA_KEY = "rrsis_harness.checkpoint"
SCHEMA_VERSION = 1


def checkpoint_file(params: Params, run: str) -> Path:
    """The weights that a run keeps: the best by oIoU on val."""
    return params.run_dir(run) / "weights" / "model.safetensors"


def last_file(params: Params, run: str) -> Path:
    """The weights after a run's last step."""
    return checkpoint_file(params, run).with_name("last.safetensors")


def build_network(params: Params, run: Run) -> nn.Module:
    """The untrained network of a run, initialised from torch's global generator."""
    from harness.models import create_model

    variant = params.variants[run.variant]
    vocab_size = load_tokenizer(tokenizer_file(params)).get_vocab_size()
    return create_model(
        variant.model,
        preset=params.preset,
        image_size=params.image_size,
        vocab_size=vocab_size,
        **variant.options,
    )


def describe_network(params: Params, name: str) -> dict[str, Any]:
    """What a weights file says of its network, so that it can be used wherever it is taken: `open_network`.

    Returns:
        model, preset and options as `create_model` takes them, the tokenizer as JSON, the length of a sentence in
        tokens, and the data set and run that it comes from.
    """
    run = params.runs[name]
    variant = params.variants[run.variant]
    tokenizer = load_tokenizer(tokenizer_file(params))
    sizes = {"image_size": params.image_size, "vocab_size": tokenizer.get_vocab_size()}
    return {
        "run": name,
        "dataset": params.data.dataset,
        "model": variant.model,
        "preset": params.preset,
        "options": {**sizes, **variant.options},
        "max_tokens": params.text.max_tokens,
        "tokenizer": tokenizer.to_str(),
    }


def save_checkpoint(model: nn.Module, path: Path, description: dict[str, Any]) -> None:
    """Write the weights with a description (run, epoch, validation figures) in the file's metadata."""
    save_tensors(model.state_dict(), path, description)


def save_tensors(state: Mapping[str, Tensor], path: Path, description: dict[str, Any]) -> None:
    """Write a state dict in the form that `load_checkpoint` reads."""
    metadata = {METADATA_KEY: json.dumps({"version": SCHEMA_VERSION, **description})}
    with atomic_write(path) as temporary:
        try:
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, metadata)
        except SafetensorError as error:
            # The library wraps the system's errors, a full disk among them, and leaves the number in the text.
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(temporary)) from error
            raise


def load_checkpoint(model: nn.Module, path: Path) -> dict[str, Any]:
    """Fill `model` in place and return the checkpoint's description.

    Raises:
        HarnessError: missing, damaged, or of another network; lists what does not fit.
    """
    state, description = read_checkpoint(path)
    if description is None:
        raise HarnessError(f"{path} is not a checkpoint of this harness; train the run again")
    fill_network(model, state, path)
    return description


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors of a safetensors file by name, and their description; None where it has none of this harness.

    Raises:
        HarnessError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
        description = None if text is None else json.loads(text)
        if not isinstance(description, dict | None):
            raise ValueError(f"its description is {text!r:.60}")
        return load_file(path), description
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness train` writes it") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise HarnessError(
            f"{path} is not a checkpoint of this harness ({error!r}); train the run again"
        ) from None


def fill_network(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict strictly.

    Raises:
        HarnessError: of another network; lists what does not fit. `model` is then unchanged.
    """
    if problems := misfits(model, state):
        raise HarnessError(
            f"{path} holds another network than params.yaml describes; train the run again:\n  {problems}"
        )
    model.load_state_dict(state)


def misfits(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """The first tensors that are not the network's own, a line each; "" where all are."""
    own = model.state_dict()
    wrong = [
        f"{name}: {list(state[name].shape) if name in state else 'missing'} in the file, "
        f"{list(own[name].shape) if name in own else 'none'} in the network"
        for name in sorted(own.keys() | state.keys())
        if name not in own or name not in state or own[name].shape != state[name].shape
    ]
    return "\n  ".join(wrong[:10] + ([f"... {len(wrong) - 10} more"] if len(wrong) > 10 else []))
