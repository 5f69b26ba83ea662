"""A released checkpoint: weights of LAVT's size under the official names, and BERT's vocabulary in a folder."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from predict_inputs import SENTENCE
from toy import PROJECT
from transformers import BertTokenizerFast

from harness.data.dataset import normalize
from harness.data.resize import resize_image
from harness.data.text import encode, load_pretrained_tokenizer
from harness.models import create_model
from harness.scoring import native_prediction
from harness.weights import load_official


def official_state() -> dict[str, torch.Tensor]:
    """Random weights that keep the size of what goes through them."""
    torch.manual_seed(0)
    shapes = json.loads((PROJECT / "tests/golden/lavt_state_dict.json").read_text())
    state = {}
    for key, shape in shapes.items():
        tensor = torch.randn(shape)
        if len(shape) > 1:
            state[key] = tensor / np.prod(shape[1:]) ** 0.5
        else:
            state[key] = 0.1 * tensor + float(key.endswith(("weight", "running_var")))
    return state


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A tokenizer of BERT's size with a few words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SENTENCE.split()]
    words = list(dict.fromkeys(words))
    words += [f"[unused{index}]" for index in range(30_522 - len(words))]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"), do_lower_case=True).save_pretrained(
        tmp_path / "bert"
    )
    return tmp_path / "bert"


@pytest.mark.big
def test_a_released_checkpoint_predicts(harness, bert: Path, image: Path, tmp_path: Path) -> None:
    state = official_state()
    network = create_model("lavt", preset="swin-b").eval()
    load_official(network, state)
    ids, attended = (
        torch.from_numpy(part)[None] for part in encode(load_pretrained_tokenizer(str(bert)), SENTENCE, 20)
    )
    with torch.no_grad():
        pixels = resize_image(Image.open(image), 480)[None]
        logits = network(normalize(pixels), ids, attended)[0]
    middle = float((logits[0] - logits[1]).median())  # so that the mask is half full
    logits[1] += middle
    state["classifier.conv1_1.bias"][1] += middle
    expected = native_prediction(logits, 100, 150)
    assert 0 < expected.sum() < expected.size
    del network
    weights = tmp_path / "model_best_lavt.pth"
    torch.save({"model": state, "epoch": 39, "args": argparse.Namespace(lr=3e-5)}, weights)
    del state

    call = ["predict", "--weights", weights, "--text", SENTENCE, image]
    result = harness(*call, "--tokenizer", bert, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    record = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    mask = np.asarray(Image.open(tmp_path / "out" / record["files"]["mask"])) > 0
    assert (mask != expected).mean() < 0.01  # the bias is rounded in another place
    assert (record["model"], record["weights"]["run"], record["truncated"]) == ("lavt", None, False)
