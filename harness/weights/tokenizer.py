"""The tokenizer that a network's word embedding was trained with."""

from pathlib import Path

from tokenizers import Tokenizer
from torch import nn

from harness.data.text import load_pretrained_tokenizer
from harness.errors import HarnessError
from harness.weights.network import Network

BERT = "bert-base-uncased"


def network_tokenizer(
    network: Network, weights: Path | str, asked: Tokenizer | str | None = None
) -> Tokenizer:
    """The network's own tokenizer: from its file, or for a file without one what is named, BERT's otherwise.

    Args:
        network: from `open_network`.
        weights: its file, for messages.
        asked: a name on the hub, a folder, or a tokenizer; None: bert-base-uncased.

    Raises:
        HarnessError: it cannot be had, has another vocabulary than the network, or is named for a file that has one.
    """
    if network.tokenizer is not None:
        if asked is not None:
            raise HarnessError(f"{weights} has a tokenizer of its own; name no other")
        return network.tokenizer
    tokenizer = asked if isinstance(asked, Tokenizer) else _load(weights, asked or BERT)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _require_vocabulary(weights, network.network, tokenizer)
    return tokenizer


def _load(weights: Path | str, source: str) -> Tokenizer:
    try:
        return load_pretrained_tokenizer(source)
    except HarnessError as error:
        raise HarnessError(
            f"{weights} holds no tokenizer, so it is BERT's, but the {error}".replace(
                "(text.tokenizer in params.yaml)", "(--tokenizer FOLDER; tokenizer= in Python)"
            )
        ) from None


def _require_vocabulary(weights: Path | str, network: nn.Module, tokenizer: Tokenizer) -> None:
    """Another BERT's tokenizer would give every word another's vector, or one that is not there."""
    named = (module for name, module in network.named_modules() if name.endswith("word_embeddings"))
    known = next((module.num_embeddings for module in named if isinstance(module, nn.Embedding)), None)
    if known is not None and known != tokenizer.get_vocab_size():
        raise HarnessError(
            f"the tokenizer has {tokenizer.get_vocab_size():,} word pieces, the network of {weights} {known:,}; name "
            f"the one that it was trained with (--tokenizer FOLDER; {BERT} has 30,522)"
        )
