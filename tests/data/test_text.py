import json
import subprocess
import sys

import pytest
from tokenizers import Tokenizer
from transformers import BertTokenizerFast

from harness.config import Text
from harness.data.text import encode, load_tokenizer, make_tokenizer, read_tokenizer, train_wordpiece
from harness.errors import HarnessError

SENTENCES = [
    "The red ship on the left of the harbor",
    "A small vehicle",
    "The largest gray airplane",
    "a red vehicle",
]


def test_a_trained_tokenizer_is_uncased_and_has_bert_special_tokens():
    tokenizer = train_wordpiece(SENTENCES, 200)
    ids, mask = encode(tokenizer, "The RED ship", 20)
    assert tokenizer.token_to_id("[PAD]") == 0
    assert tokenizer.decode(ids.tolist(), skip_special_tokens=False).split()[:5] == [
        "[CLS]",
        "the",
        "red",
        "ship",
        "[SEP]",
    ]
    assert mask.sum() == 5
    assert ids[5:].tolist() == [0] * 15
    assert (ids[:5] == encode(tokenizer, "the red ship", 20)[0][:5]).all()


def test_the_vocabulary_depends_on_the_set_of_sentences_alone():
    first = train_wordpiece(SENTENCES, 120).to_str()
    assert train_wordpiece(reversed(SENTENCES), 120).to_str() == first
    code = f"from harness.data.text import *; print(train_wordpiece({SENTENCES!r}, 120).to_str())"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == first


def test_a_full_vocabulary_spells_rare_words():
    characters = len(set("".join(SENTENCES).lower().replace(" ", "")))
    tokenizer = train_wordpiece(SENTENCES, 5 + 2 * characters + 1)  # room for the commonest word alone
    assert tokenizer.encode("the ship").tokens == ["[CLS]", "the", "s", "##h", "##i", "##p", "[SEP]"]
    with pytest.raises(HarnessError, match="too small"):
        train_wordpiece(SENTENCES, 20)


def test_a_long_sentence_loses_its_end_token():
    tokenizer = train_wordpiece(SENTENCES, 200)
    ids, mask = encode(tokenizer, "the " * 30, 20)
    assert tokenizer.token_to_id("[SEP]") not in ids
    assert mask.all()


def test_a_pretrained_tokenizer_from_a_folder_agrees_with_transformers(tmp_path):
    """A vocab.txt as BERT ships it; ids as transformers gives them, then cut."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "red",
        "ship",
        "harbor",
        "##s",
        "of",
        "left",
    ]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    expected = BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"), do_lower_case=True)
    expected.save_pretrained(tmp_path / "bert")
    tokenizer = make_tokenizer(Text(tokenizer=str(tmp_path / "bert")), [])
    for sentence in ("The red ships", "the left of the Harbor", "unknown words"):
        ids, mask = encode(tokenizer, sentence, 20)
        assert ids[: mask.sum()].tolist() == expected(sentence)["input_ids"]


def test_a_pretrained_tokenizer_that_is_not_there_says_where_to_put_it(tmp_path):
    with pytest.raises(HarnessError, match=r"text\.tokenizer"):
        make_tokenizer(Text(tokenizer=str(tmp_path / "nowhere")), [])


def test_a_saved_tokenizer_is_loaded_or_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(HarnessError, match="harness prepare"):
        load_tokenizer(path)
    path.write_text("{}")
    with pytest.raises(HarnessError, match="not a tokenizer"):
        load_tokenizer(path)
    trained = train_wordpiece(SENTENCES, 200)
    trained.enable_truncation(4)
    trained.save(str(path))
    assert isinstance(load_tokenizer(path), Tokenizer)
    assert encode(load_tokenizer(path), "the red ship on the left", 20)[1].sum() == 8


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["post_processor"].update(special_tokens={}),
        lambda content: content["model"].update(unk_token="nosuch"),
        lambda content: content["model"].update(vocab={}),
    ],
    ids=["no special tokens", "no unknown", "no words"],
)
def test_a_tokenizer_that_stumbles_over_a_sentence_is_refused(change):
    """In Rust: a panic, which is no Exception in Python."""
    content = json.loads(train_wordpiece(["the ship"], 100).to_str())
    change(content)
    with pytest.raises(HarnessError, match=r"tokenizer\.json is not a tokenizer"):
        read_tokenizer(json.dumps(content), "tokenizer.json")
