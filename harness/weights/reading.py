"""Reading a state dict from a file that somebody else wrote, without running anything in it."""

import argparse
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from harness.errors import HarnessError, shown

# Where checkpoints keep the network's tensors, the first that is there.
WRAPPERS = ("model", "state_dict")
OPTIMIZER_KEYS = {"state", "param_groups"}
DDP_PREFIX = "module."
FILLER, FILLED = b"bytearray", "it asks for a bytearray, which no network is made of"


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a PyTorch or safetensors file, by name.

    A PyTorch file is opened with `weights_only=True`; of all classes only `argparse.Namespace`, in which the released
    checkpoints keep their command line, may occur in it.

    Raises:
        HarnessError: no such file, damaged, with other classes in it, or without a network's tensors.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise HarnessError(f"{path} {what}; name the file with the weights")
    return network_tensors(_safetensors(path) if path.suffix == ".safetensors" else _pickled(path), str(path))


def network_tensors(checkpoint: Any, where: str) -> dict[str, Tensor]:
    """Return a checkpoint's state dict, without DistributedDataParallel's `module.` before the names.

    Args:
        checkpoint: a state dict, or a dict that holds one as `model` or `state_dict`.
        where: the file's name, for messages.

    Raises:
        HarnessError: there is none in it.
    """
    if not isinstance(checkpoint, Mapping):
        raise HarnessError(f"{where} holds a {type(checkpoint).__name__}, not a network's tensors by name")
    for wrapper in WRAPPERS:
        if isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
            break
    if set(checkpoint) == OPTIMIZER_KEYS:
        raise HarnessError(
            f"{where} holds the state of an optimizer, not a network; the network's weights are in another file, or "
            "under the key 'model' of the whole checkpoint"
        )
    tensors = {
        name: tensor
        for name, tensor in checkpoint.items()
        if isinstance(tensor, Tensor) and isinstance(name, str)
    }
    if not tensors or len(tensors) < len(checkpoint):
        others = [
            (name if isinstance(name, str) else shown(name))[:60]
            for name in checkpoint
            if name not in tensors
        ]
        found = f"its keys are {_first(others)}" if others else "it is empty"
        raise HarnessError(
            f"{where} holds no state dict: {found}, where tensors by name were expected, as they are or under 'model'"
        )
    if odd := [name for name, tensor in tensors.items() if not _is_plain(tensor)]:
        raise HarnessError(
            f"{where} holds tensors that no network here has (sparse, quantized, complex or without "
            f"values): {_first(odd)}"
        )
    if all(name.startswith(DDP_PREFIX) for name in tensors):
        tensors = {name.removeprefix(DDP_PREFIX): tensor for name, tensor in tensors.items()}
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    """Whether its values lie in memory, a number each."""
    return (
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_quantized or tensor.is_nested or tensor.is_complex())
    )


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise HarnessError(f"{path} is no whole safetensors file ({error}); {_again(path)}") from None


def _pickled(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            if zipfile.is_zipfile(path):  # mapped, tensors are read when they are needed
                require_bounded(path)
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            # Of PyTorch before 1.6. From memory: a file would make room for as much as a text in it claims to have.
            content = path.read_bytes()
            if FILLER in content:
                raise ValueError(FILLED)
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if classes := _foreign_classes(path):
            raise HarnessError(
                f"{path} holds objects of {_first(classes)}; loading them could run any code, so the file is refused. "
                "If you trust it, open it yourself with torch.load(..., weights_only=False) and save its state dict "
                "alone: torch.save(checkpoint['model'], ...)"
            ) from None
        raise _damaged(path, error) from None
    except Exception as error:  # a damaged pickle raises whatever its instructions stumble over
        raise _damaged(path, error) from None


def require_bounded(path: Path) -> None:
    """Refuse a checkpoint that would take more memory than its own length: compressed, or one that names any size.

    Tensors are stored as they are. Of what torch calls for a file with `weights_only`, bytearray alone fills as many
    bytes as it is told.

    Raises:
        zipfile.BadZipFile: it is one, or no zip file at all.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
    if size > path.stat().st_size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise zipfile.BadZipFile("its members are compressed, or larger than the file")
    with zipfile.ZipFile(path) as archive:
        if any(FILLER in archive.read(member) for member in members if member.filename.endswith(".pkl")):
            raise zipfile.BadZipFile(FILLED)


def _foreign_classes(path: Path) -> list[str]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # it cannot be read at all, for whatever reason: then it is damaged
        return []


def _damaged(path: Path, error: Exception) -> HarnessError:
    # A KeyError is a byte that is no instruction: 101 tells nobody anything.
    reason = "" if isinstance(error, KeyError) or str(error).isdecimal() else f" ({_line(error)})"
    return HarnessError(f"{path} is no PyTorch checkpoint, or a damaged one{reason}; {_again(path)}")


def _again(path: Path) -> str:
    return f"it has {path.stat().st_size:,} bytes: compare that with the source and download it again"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0][:200]


def _first(names: list[str], count: int = 8) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
