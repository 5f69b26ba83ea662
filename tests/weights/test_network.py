"""A network from its weights file alone."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.config import Params
from harness.data.text import encode, load_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.training.checkpoint import METADATA_KEY, build_network, describe_network, save_checkpoint
from harness.weights import open_network

RUN = "mafn-k13-s0"


@pytest.fixture(scope="module")
def weights(prepared: Params, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    model = build_network(prepared, prepared.runs[RUN])
    save_checkpoint(model, path, describe_network(prepared, RUN) | {"step": 7})
    return path


def test_a_trained_network_is_built_from_its_file(weights: Path, prepared: Params) -> None:
    opened = open_network(weights)
    assert (opened.model, opened.preset, opened.image_size) == ("mafn", "mini", prepared.image_size)
    assert opened.options["kernels"] == [1, 3]
    assert opened.description["step"] == 7
    torch.manual_seed(0)
    expected = build_network(prepared, prepared.runs[RUN]).state_dict()
    found = opened.network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not opened.network.training


def test_its_tokenizer_comes_along(weights: Path, prepared: Params) -> None:
    opened = open_network(weights)
    sentence = "the red ship left of the harbor"
    ids, mask = encode(load_tokenizer(tokenizer_file(prepared)), sentence, prepared.text.max_tokens)
    assert opened.tokenizer is not None
    found, found_mask = encode(opened.tokenizer, sentence, opened.max_tokens)
    assert found.tolist() == ids.tolist()
    assert found_mask.tolist() == mask.tolist()


def changed(weights: Path, folder: Path, **changes) -> Path:
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    description = json.loads(header["__metadata__"][METADATA_KEY])
    description = {name: value for name, value in (description | changes).items() if value is not None}
    path = folder / "changed.safetensors"
    save_file(load_file(weights), path, {METADATA_KEY: json.dumps(description)})
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": None}, "does not say what network it holds"),
        ({"options": [1]}, "damaged description"),
        (
            {"options": {"image_size": 64, "vocab_size": 10**12}},
            "other tensors than the network that it describes",
        ),
        ({"options": {"image_size": 64, "nonsense": 1}}, "no option 'nonsense'"),
        ({"model": "nosuch"}, "unknown model 'nosuch'"),
        ({"tokenizer": "{}"}, "is not a tokenizer"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    weights: Path, tmp_path: Path, changes, words: str
) -> None:
    path = changed(weights, tmp_path, **changes)
    with pytest.raises(HarnessError, match=words) as error:
        open_network(path)
    assert "--params" not in str(error.value)


def test_another_model_than_asked_for(weights: Path) -> None:
    with pytest.raises(HarnessError, match="holds mafn, not lavt: pass --model mafn"):
        open_network(weights, "lavt")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("no tensors in here, only a sentence")
    with pytest.raises(HarnessError, match=r"text\.safetensors is not a checkpoint"):
        open_network(path)
    with pytest.raises(HarnessError, match="does not exist"):
        open_network(tmp_path / "nosuch.pth")


@pytest.mark.parametrize(
    "changes",
    [
        {"max_tokens": -1},
        {"max_tokens": 10**12},
        {"max_tokens": "many"},
        {"dropped": 5},
        {"tokenizer": 5},
        {"preset": "nosuch"},
        {"options": {"image_size": -32, "vocab_size": 100}},
        {"options": {"image_size": [10**9, 10**9], "vocab_size": 100}},
        {"options": {"image_size": 64, "vocab_size": 1.5}},
        {"options": {"image_size": 64, "vocab_size": 100, "kernels": 5}},
        {"options": {"image_size": 64, "vocab_size": 100, "fidelity": []}},
    ],
)
def test_a_description_of_what_cannot_be_names_the_file(weights: Path, tmp_path: Path, changes) -> None:
    with pytest.raises(
        HarnessError, match=r"changed\.safetensors (has a damaged|describes a network|holds other)"
    ):
        open_network(changed(weights, tmp_path, **changes))


def test_a_tokenizer_of_more_words_than_the_network_is_refused(weights: Path, tmp_path: Path) -> None:
    content = json.loads(open_network(weights).tokenizer.to_str())
    content["model"]["vocab"]["[CLS]"] = 10**6
    with pytest.raises(HarnessError, match="a tokenizer with the id 1000000, its network has"):
        open_network(changed(weights, tmp_path, tokenizer=json.dumps(content)))
