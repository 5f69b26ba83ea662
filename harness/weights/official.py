"""The released checkpoints of LAVT, RMSIN and MAFN in our networks."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baselines.official import convert, load
from harness.errors import HarnessError
from harness.models import create_model
from harness.training.checkpoint import save_tensors
from harness.weights.reading import network_tensors, read_state_dict

TABLE = "relative_position_bias_table"
WORDS = "text_encoder.embeddings.word_embeddings.weight"
CROSS_SCALE_POSITIONS = "backbone.cim.block.0.csa1.m.attention.proj.weight"
SCALE = re.compile(r"^classifier\.mscb4\.msdc\.dwconvs\.(\d+)\.0\.weight$")
# Vocabularies that people took for bert-base-uncased's.
VOCABULARIES = {30522: "bert-base-uncased", 21128: "bert-base-chinese", 28996: "bert-base-cased"}


def load_official(model: nn.Module, weights: Path | str | Mapping[str, Tensor]) -> list[str]:
    """Fill `model` in place from a released checkpoint.

    Args:
        model: of `create_model("lavt" | "rmsin" | "mafn", preset="swin-b", ...)`, with the checkpoint's options.
        weights: the checkpoint's file, or its content.

    Returns:
        Official names of the tensors that were dropped: the released network computes them, or never uses them, without
        any effect on its output.

    Raises:
        HarnessError: the file cannot be read, or a tensor is unknown, missing or of another shape; `model` is then
            unchanged.
    """
    return fill(model, *_tensors(weights))


def fill(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> list[str]:
    """`load_official` for tensors that are read already, from the file `where`."""
    try:
        return load(model, tensors)
    except ValueError as error:
        raise HarnessError(f"{where}: {diagnosis(tensors, model) or error}") from None


@dataclass(frozen=True)
class Converted:
    """What `convert_file` found and wrote."""

    options: dict[str, Any]  # for `create_model`
    tensors: int
    dropped: list[str]


def convert_file(model_name: str, source: Path, target: Path) -> Converted:
    """Write a released checkpoint as one of ours, which `load_checkpoint` reads.

    Sizes and ablation are read off the tensors.

    Args:
        model_name: lavt, rmsin or mafn; must be what the file holds.
        source: the released file.
        target: the safetensors file to write.

    Raises:
        HarnessError: as in `load_official`, or the file holds another model.
    """
    tensors, where = _tensors(source)
    held = family(tensors, where, model_name)
    options = read_options(held, tensors, where)
    with torch.device("meta"):
        model = create_model(model_name, preset="swin-b", **options)
    try:
        converted, dropped = convert(tensors, model)
    except ValueError as error:
        raise HarnessError(f"{where}: {diagnosis(tensors, model) or error}") from None
    state = {
        name: converted[name] if name in converted else torch.zeros(tensor.shape, dtype=tensor.dtype)
        for name, tensor in model.state_dict().items()
    }
    description = {"model": model_name, "preset": "swin-b", "options": options, "source": source.name}
    save_tensors(state, target, description | {"dropped": dropped})
    return Converted(options, len(converted), dropped)


def family(tensors: Mapping[str, Tensor], where: str, asked: str | None) -> str:
    """`held_model`, or an error where it is none, or not the one that is asked for."""
    held = held_model(tensors)
    if held is None:
        raise HarnessError(f"{where}: {_no_family(tensors)}")
    if asked is not None and held != asked:
        raise HarnessError(f"{where} holds {held}, not {asked}: pass --model {held}")
    return held


def held_model(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell by its official names which released network a state dict is of; None for none of them.

    MAFN without its three parts has RMSIN's names.
    """
    if not any(".fusion.image_lang_att." in name for name in tensors):
        return None
    if any(mark in name for name in tensors for mark in (".relation_judger.", ".corr.", "classifier.mscb")):
        return "mafn"
    return "rmsin" if any(name.startswith("backbone.cim.") for name in tensors) else "lavt"


def read_options(model_name: str, tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Read off a released network's tensors the options with which `create_model` builds it."""
    options: dict[str, Any] = {}
    if CROSS_SCALE_POSITIONS in tensors:
        positions = tensors[CROSS_SCALE_POSITIONS].shape[0]
        side = math.isqrt(positions)
        if side * side != positions:
            raise HarnessError(
                f"{where}: its cross-scale attention has {positions} positions, no square; build the network with its "
                "image_size and use load_official in Python"
            )
        options["image_size"] = 32 * side
    if model_name == "mafn":
        scales = {int(match[1]): tensors[name].shape[-1] for name in tensors if (match := SCALE.match(name))}
        if scales:
            options["kernels"] = [scales[scale] for scale in sorted(scales)]
        options["adaptive_noise"] = any(".relation_judger." in name for name in tensors)
        options["correlation_fusion"] = any(".corr." in name for name in tensors)
        options["msrc"] = bool(scales)
    return options


def diagnosis(tensors: Mapping[str, Tensor], model: nn.Module) -> str | None:
    """Name the mistake behind tensors that do not fit, where it is one that people make."""
    own = model.state_dict()
    table = next((name for name in tensors if name.endswith(TABLE)), None)
    wanted = next((tensor for name, tensor in own.items() if name.endswith(TABLE)), None)
    if table is not None and wanted is not None and len(tensors[table]) != len(wanted):
        return (
            f"its Swin has {_window(tensors[table])}, the network {_window(wanted)} ({table}). The released networks "
            "have window 12: take a checkpoint that was trained with it"
        )
    if WORDS in tensors and WORDS in own and len(tensors[WORDS]) != len(own[WORDS]):
        return (
            f"its BERT has {_vocabulary(tensors[WORDS])}, the network {_vocabulary(own[WORDS])} ({WORDS}). With "
            "another vocabulary the ids of the words mean nothing: take a checkpoint that was trained with this one"
        )
    held, built = held_model(tensors), _built_model(own)
    if held is not None and held != built:
        return f"it holds {held}, the network is {built}"
    family = any(name.startswith(("backbone.", "text_encoder.", "classifier.")) for name in tensors)
    return None if family else _no_family(tensors)


def _built_model(own: Mapping[str, Tensor]) -> str:
    """`held_model` for a network's own names."""
    if any(
        mark in name for name in own for mark in (".token_attention.", ".update.fusion.", ".refine.scales.")
    ):
        return "mafn"
    return "rmsin" if any(name.startswith("backbone.cross_scale.") for name in own) else "lavt"


def _no_family(tensors: Mapping[str, Tensor]) -> str:
    first = ", ".join(list(tensors)[:3])
    return (
        f"these are not the tensors of LAVT, RMSIN or MAFN (they begin with {first}); their names begin with "
        "backbone., text_encoder. and classifier. A pre-trained Swin or BERT goes under training.pretrained"
    )


def _window(table: Tensor) -> str:
    rows = len(table)
    side = math.isqrt(rows)
    size = f"window {(side + 1) // 2}" if side * side == rows and side % 2 else "windows of no size"
    return f"{size} (a bias table of {rows} rows)"


def _vocabulary(words: Tensor) -> str:
    rows = len(words)
    return f"a vocabulary of {rows:,} word pieces" + (
        f" ({VOCABULARIES[rows]})" if rows in VOCABULARIES else ""
    )


def _tensors(weights: Path | str | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    if isinstance(weights, Mapping):
        return network_tensors(weights, "the checkpoint"), "the checkpoint"
    return read_state_dict(weights), str(weights)
