"""Sentences to token ids: BERT's uncased WordPiece, downloaded or trained on the train split."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from harness.config import Params, Text
from harness.errors import HarnessError

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # [PAD] is id 0, as in BERT


def tokenizer_file(params: Params) -> Path:
    """The tokenizer that `harness prepare` saves."""
    return params.out / "data" / "tokenizer.json"


def make_tokenizer(text: Text, train_sentences: Iterable[str]) -> Tokenizer:
    """Train a WordPiece vocabulary on the train sentences, or take a pre-trained one from the hub or a folder.

    Raises:
        HarnessError: the pre-trained tokenizer cannot be had; says where to put its files.
    """
    if text.tokenizer == "trained":
        return train_wordpiece(train_sentences, text.vocab_size)
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(text.tokenizer).backend_tokenizer
    except Exception as error:  # transformers raises OSError, ValueError or the hub's own errors
        raise HarnessError(
            f"text.tokenizer {text.tokenizer!r} cannot be loaded ({str(error).splitlines()[0]}). Without the internet: "
            "put tokenizer.json or vocab.txt of bert-base-uncased into a folder and name that folder as text.tokenizer"
        ) from None


def train_wordpiece(sentences: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train an uncased WordPiece tokenizer with BERT's normalisation and special tokens.

    Sentences are sorted first, so that the vocabulary depends on the set of sentences alone.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        show_progress=False,
        continuing_subword_prefix="##",
    )
    tokenizer.train_from_iterator(sorted(sentences), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Load the tokenizer that `harness prepare` saved, without truncation or padding of its own.

    Raises:
        HarnessError: missing or damaged.
    """
    if not path.is_file():
        raise HarnessError(f"{path} does not exist; `harness prepare` writes it")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise HarnessError(
            f"{path} is not a tokenizer ({error}); write it again with `harness prepare`"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: Tokenizer, sentence: str, max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and attention mask of a sentence, both int64 of shape [max_tokens].

    [CLS] and [SEP] are added first and what is longer is cut afterwards, as the released code does: a long sentence
    loses its [SEP].
    """
    ids = tokenizer.encode(sentence).ids[:max_tokens]
    input_ids = np.zeros(max_tokens, dtype=np.int64)
    attention_mask = np.zeros(max_tokens, dtype=np.int64)
    input_ids[: len(ids)] = ids
    attention_mask[: len(ids)] = 1
    return input_ids, attention_mask
