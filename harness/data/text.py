"""Sentences to token ids: BERT's uncased WordPiece, downloaded or trained on the train split."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from harness.config import Params, Text
from harness.errors import HarnessError

PROBE = "a \U0010fffd"  # a letter, and one that no vocabulary has: [CLS], [SEP] and [UNK] are all asked for
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
    return load_pretrained_tokenizer(text.tokenizer)


def load_pretrained_tokenizer(source: str) -> Tokenizer:
    """Load a tokenizer from the hub or a folder, as transformers names them.

    Raises:
        HarnessError: it cannot be had; says where to put its files.
    """
    from huggingface_hub import HfApi
    from transformers import AutoTokenizer

    cached, refusal = Path(source).is_dir(), None
    if not cached:
        try:  # once: transformers would repeat a request that fails for half a minute
            HfApi().model_info(source, timeout=10)
        except Exception as error:  # the hub's client raises its own errors, httpx's, OSError and ValueError
            cached, refusal = True, error
    try:
        backend: Tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=cached).backend_tokenizer
        return backend
    except Exception as error:  # transformers raises OSError, ValueError or the hub's own errors
        reason = " ".join(str(refusal or error).split("\n")[0].split())
        raise HarnessError(
            f"tokenizer {source!r} cannot be loaded ({reason}). Without the internet: put tokenizer.json or vocab.txt "
            "of bert-base-uncased into a folder and name that folder (text.tokenizer in params.yaml)"
        ) from None


def train_wordpiece(sentences: Iterable[str], vocab_size: int) -> Tokenizer:
    """Make an uncased WordPiece tokenizer with BERT's normalisation and special tokens.

    The vocabulary is the special tokens, every character (alone and as a continuation), then whole words by falling
    frequency, ties by the alphabet. It depends on the sentences alone; the trainer of the library breaks ties by a
    hash that differs from process to process.

    Raises:
        HarnessError: `vocab_size` is too small for the special tokens and the characters.
    """
    normalizer, pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for sentence in sentences
        for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(sentence))
    )
    characters = sorted(set("".join(counts)))
    pieces = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    if len(pieces) > vocab_size:
        raise HarnessError(
            f"text.vocab_size {vocab_size} is too small: the characters alone take {len(pieces)}"
        )
    words = sorted(counts.keys() - set(characters), key=lambda word: (-counts[word], word))
    vocabulary = {piece: index for index, piece in enumerate([*pieces, *words][:vocab_size])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Load the tokenizer that `harness prepare` saved, without truncation or padding of its own.

    Raises:
        HarnessError: missing or damaged.
    """
    if not path.is_file():
        raise HarnessError(f"{path} does not exist; `harness prepare` writes it")
    return read_tokenizer(path.read_bytes(), str(path))


def read_tokenizer(content: bytes | str, where: str) -> Tokenizer:
    """A tokenizer from its JSON, without truncation or padding of its own.

    Raises:
        HarnessError: it is none; names `where` it comes from.
    """
    try:
        tokenizer = (
            Tokenizer.from_buffer(content) if isinstance(content, bytes) else Tokenizer.from_str(content)
        )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode(PROBE)
    except (KeyboardInterrupt, SystemExit):
        raise
    except (
        BaseException
    ) as error:  # the library raises bare Exception, and its Rust code panics, which is none
        raise HarnessError(
            f"{where} is not a tokenizer ({error}); write it again with `harness prepare`"
        ) from None
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
