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
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})[METADATA_KEY])
        state = load_file(path)
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness train` writes it") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise HarnessError(
            f"{path} is not a checkpoint of this harness ({error!r}); train the run again"
        ) from None
    own = model.state_dict()
    wrong = [
        f"{name}: {list(state[name].shape) if name in state else 'missing'} in the file, "
        f"{list(own[name].shape) if name in own else 'none'} in the network"
        for name in sorted(own.keys() | state.keys())
        if name not in own or name not in state or own[name].shape != state[name].shape
    ]
    if wrong:
        listed = "\n  ".join(wrong[:10] + ([f"... {len(wrong) - 10} more"] if len(wrong) > 10 else []))
        raise HarnessError(
            f"{path} holds another network than params.yaml describes; train the run again:\n  {listed}"
        )
    model.load_state_dict(state)
    return description
