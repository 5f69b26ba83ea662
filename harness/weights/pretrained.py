"""Pre-trained starts: Swin-B on ImageNet-22k and BERT on its corpus, from their hubs or from files."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from baselines.pretrained import convert_swin
from harness.config import Pretrained
from harness.errors import HarnessError
from harness.registry import MODELS
from harness.weights.official import diagnosis
from harness.weights.reading import read_state_dict

SWIN_PAGES = (
    "https://huggingface.co/timm/swin_base_patch4_window12_384.ms_in22k (model.safetensors)",
    "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth",
)
BERT_PAGE = "https://huggingface.co/bert-base-uncased (config.json, model.safetensors and tokenizer.json)"
FILE_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def load_pretrained(model: nn.Module, name: str, sources: Pretrained) -> None:
    """Fill a network's Swin and BERT in place; what they do not have keeps its initialisation.

    Args:
        model: of the LAVT family; or one with a method `load_pretrained(sources)`, which is called instead.
        name: its registered name.
        sources: of Swin and BERT.

    Raises:
        HarnessError: a source cannot be had or does not fit; says what to download and where to put it. Or the network
            is of another family and has no such method.
    """
    if callable(own := getattr(model, "load_pretrained", None)):
        own(sources)
        return
    if not (hasattr(model, "backbone") and hasattr(model, "text_encoder")):
        raise HarnessError(
            f"{MODELS.describe(name)} has no method load_pretrained(sources), nor a backbone and a text_encoder to "
            "fill. Set training.pretrained: false, or give it one: docs/add_a_model.md"
        )
    load_pretrained_swin(model, sources.swin)
    load_pretrained_bert(model, sources.bert)


def load_pretrained_swin(model: nn.Module, source: str) -> None:
    """Fill the patch embedding, the blocks and the patch mergings of `model`'s backbone.

    Args:
        model: a network of the LAVT family.
        source: a hub repository of timm's (`timm/swin_base_patch4_window12_384.ms_in22k`), or a file: timm's, or the
            original `swin_base_patch4_window12_384_22k.pth`.

    Raises:
        HarnessError: see `load_pretrained`.
    """
    pretrained = read_state_dict(source) if is_path(source) else _swin_from_hub(source)
    try:
        tensors = convert_swin(pretrained, model)
    except ValueError as error:
        backbone = {f"backbone.{name}": tensor for name, tensor in pretrained.items()}
        raise HarnessError(f"pre-trained Swin {source}: {diagnosis(backbone, model) or error}") from None
    model.load_state_dict(tensors, strict=False)


def load_pretrained_bert(model: nn.Module, source: str) -> None:
    """Fill `model.text_encoder`.

    Args:
        model: a network with a BERT as `text_encoder`.
        source: a hub repository (`bert-base-uncased`) or a folder with config.json and model.safetensors.

    Raises:
        HarnessError: see `load_pretrained`.
    """
    state, missing = _bert(source)
    if missing:
        raise HarnessError(
            f"pre-trained BERT {source} lacks {', '.join(sorted(missing))}; it is no whole BERT"
        )
    encoder = model.get_submodule("text_encoder")
    own = encoder.state_dict()
    wrong = [
        f"{name} {tuple(tensor.shape)}, not {tuple(own[name].shape) if name in own else 'in the network'}"
        for name, tensor in state.items()
        if name not in own or own[name].shape != tensor.shape
    ] + [f"{name} is missing" for name in own if name not in state]
    if wrong:
        prefixed = {f"text_encoder.{name}": tensor for name, tensor in state.items()}
        raise HarnessError(
            f"pre-trained BERT {source} does not fit the network: {diagnosis(prefixed, model) or '; '.join(wrong)}"
        )
    encoder.load_state_dict(state)


def is_path(source: str) -> bool:
    """Whether a source is a file or folder rather than a hub repository."""
    path = Path(source)
    return path.exists() or path.is_absolute() or source.startswith(".") or path.suffix in FILE_SUFFIXES


def _swin_from_hub(source: str) -> dict[str, Tensor]:
    from timm.models import load_state_dict_from_hf

    try:
        weights: dict[str, Tensor] = load_state_dict_from_hf(source)
        return weights
    except Exception as error:  # the hub's client raises its own errors, httpx's, OSError and ValueError
        raise HarnessError(
            f"pre-trained Swin {source!r} cannot be had from the hub ({_reason(error)}). Download one of\n"
            + "".join(f"  {page}\n" for page in SWIN_PAGES)
            + "put the file into weights/, say, and name it in params.yaml: "
            "training: {pretrained: {swin: weights/<file>}}"
        ) from None


def _bert(source: str) -> tuple[dict[str, Tensor], Any]:
    """The state dict without pooler, and the names that the source lacks."""
    from transformers import BertModel
    from transformers.utils import logging

    if is_path(source) and not Path(source).is_dir():
        raise HarnessError(
            f"pre-trained BERT {source}: no such folder. Put config.json and model.safetensors of "
            f"bert-base-uncased there: {BERT_PAGE}"
        )
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # that a masked language model's head is left over is no news
    logging.disable_progress_bar()
    try:
        bert, found = BertModel.from_pretrained(source, add_pooling_layer=False, output_loading_info=True)
    except Exception as error:  # as above
        raise HarnessError(
            f"pre-trained BERT {source!r} cannot be loaded ({_reason(error)}). Download bert-base-uncased,\n"
            f"  {BERT_PAGE}\n"
            "put the files into weights/bert-base-uncased, say, and name that folder in params.yaml: "
            "training: {pretrained: {bert: weights/bert-base-uncased}}, and as text.tokenizer"
        ) from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    return bert.state_dict(), found["missing_keys"]


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
