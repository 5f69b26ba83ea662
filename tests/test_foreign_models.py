"""Networks of other packages: what the harness asks of them, and how it says what is wrong."""

import re
import sys

import pytest
import torch
from toy import toy_params

from harness.config import Pretrained
from harness.errors import HarnessError
from harness.models import create_model, try_network
from harness.testing import check_model
from harness.training.checkpoint import checkpoint_file
from harness.training.fingerprint import unwatched
from harness.training.loop import train
from harness.training.optimizer import make_optimizer
from harness.training.recipe import COMMON, Recipe, find_recipe
from harness.weights import load_pretrained

SOURCE = '''
import os
import torch
from torch import nn
from harness.training.recipe import Recipe

NUMBER = 3
RECIPE = Recipe(1e-3, 4, 4, 1.0, 0.0, black_boxes=False, seed=None)

class Net(nn.Module):
    """Pixels beside the mean of the words; `flaw` names what is wrong with it."""

    def __init__(self, vocab_size, flaw=None):
        super().__init__()
        self.flaw = flaw
        self.text_encoder = nn.Embedding(vocab_size, 3)
        self.pixels = nn.Conv2d(3, 2, 1)
        self.norm = nn.BatchNorm2d(3, affine=False, track_running_stats=flaw != "batch")
        if flaw == "unused":
            self.unused = nn.Parameter(torch.ones(3))
        if flaw == "not stored":
            self.register_buffer("scale", torch.rand(1) + 1, persistent=False)
        if flaw == "own seed":
            self.pixels.bias.data += int.from_bytes(os.urandom(2)) / 2**16

    def forward(self, image, input_ids, attention_mask):
        if self.flaw == "size" and image.shape[-1] % 40:
            raise RuntimeError("sides must be multiples of 40")
        words = self.text_encoder(input_ids)
        mask = attention_mask[..., None].to(words.dtype)
        if self.flaw == "padding":
            mask = torch.ones_like(mask)
        sentence = (words * mask).sum(1) / mask.sum(1)
        if self.flaw == "deaf":
            sentence = 0 * sentence + self.text_encoder.weight.mean(0)
        logits = self.pixels(torch.tanh(self.norm(image) + sentence[:, :, None, None]))
        if self.flaw == "not stored":
            logits = logits * self.scale
        if self.flaw == "random":
            logits = logits + torch.rand_like(logits)
        if self.flaw == "nan":
            logits = logits / 0
        return {"shape": logits[:, 1], "dtype": logits.argmax(1, keepdim=True).repeat(1, 2, 1, 1),
                "dict": {"logits": logits}}.get(self.flaw, logits)

def net(preset="mini", image_size=None, vocab_size=60, flaw=None):
    return Net(vocab_size, flaw)

def no_module(preset, image_size, vocab_size):
    return Net(vocab_size).forward

def no_sizes(vocab_size):
    return Net(vocab_size)

class OwnStart(Net):
    def load_pretrained(self, sources):
        self.started_from = sources.bert

def own_start(preset="mini", image_size=None, vocab_size=60):
    return OwnStart(vocab_size)
'''
MODELS = ("net", "no_module", "no_sizes", "own_start", "NUMBER")


@pytest.fixture(autouse=True)
def stranger(tmp_path, monkeypatch):
    """A package "strangers-nets" on the path."""
    folder = tmp_path / "site"
    metadata = folder / "strangers_nets-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers-nets\nVersion: 1.0\n")
    entries = "".join(f"{name.lower()} = strangers_nets:{name}\n" for name in MODELS)
    recipes = "net = strangers_nets:RECIPE\nown_start = strangers_nets:NUMBER\n"
    (metadata / "entry_points.txt").write_text(
        f"[rrsis_harness.models]\n{entries}[rrsis_harness.recipes]\n{recipes}"
    )
    (folder / "strangers_nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "strangers_nets", raising=False)  # another test's
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_sizes", "its factory takes no preset, image_size; every factory has to take"),
        ("no_module", "its factory returned a method; a torch.nn.Module is needed"),
        ("number", "is no function but an int"),
    ],
)
def test_a_factory_that_is_none_is_named_with_its_package(name, message):
    with pytest.raises(HarnessError, match=re.escape(message)) as caught:
        create_model(name, image_size=32, vocab_size=60)
    assert f"model {name!r} of package strangers-nets (strangers_nets:" in str(caught.value)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        (
            "shape",
            "returned a tensor of shape (1, 64, 64) for images of shape (1, 3, 64, 64); logits of shape (1, 2",
        ),
        ("dtype", "returned a tensor of int64 for images"),
        ("dict", "returned a dict for images"),
        (
            "size",
            "fails on images of 64 x 64 pixels and sentences of 20 tokens (RuntimeError: sides must be multiples",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_told_before_the_first_step(flaw, message, prepared, tmp_path):
    params = toy_params(
        tmp_path,
        variants={"net-full": {"model": "net", "options": {"flaw": flaw}}},
        runs={"net-full-s0": {"variant": "net-full", "seed": 0}},
        tables={f"table{n}": {"splits": ["val"], "rows": {}} for n in (1, 2, 3)},
    )
    params.out.mkdir()
    (params.out / "data").symlink_to(prepared.out / "data")
    with pytest.raises(HarnessError, match=re.escape(message)) as caught:
        train(params, "net-full-s0")
    assert "of package strangers-nets" in str(caught.value)
    assert not checkpoint_file(params, "net-full-s0").exists()


def test_trying_a_network_changes_nothing_in_it():
    model = create_model("net").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try_network(model, "net", 64, torch.ones(1, 5, dtype=torch.long), torch.ones(1, 5, dtype=torch.long))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_its_own_recipe_is_its_released_one():
    assert find_recipe("released", "net") == Recipe(1e-3, 4, 4, 1.0, 0.0, black_boxes=False, seed=None)
    assert find_recipe("common", "net") == COMMON
    with pytest.raises(
        HarnessError, match=r"recipe of model 'own_start' of package strangers-nets .* is no harness"
    ):
        find_recipe("released", "own_start")


def test_a_pretrained_start_is_its_own_affair():
    model = create_model("own_start")
    load_pretrained(model, "own_start", Pretrained(bert="some/bert"))
    assert model.started_from == "some/bert"
    with pytest.raises(
        HarnessError, match=r"'net' of package strangers-nets .*no method load_pretrained.*: false"
    ):
        load_pretrained(create_model("net"), "net", Pretrained())
    # A text encoder that is no BERT is trained, whatever the recipe says of BERT's layers.
    make_optimizer(model, COMMON, 1e-3, pretrained=True)
    assert all(parameter.requires_grad for parameter in model.text_encoder.parameters())


@pytest.mark.parametrize(("dependency", "said"), [("site", False), ("elsewhere", True)])
def test_code_that_dvc_does_not_watch_is_named(dependency, said, tmp_path, stranger):
    params = toy_params(
        tmp_path,
        variants={"net-full": {"model": "net"}, "lavt-full": {"model": "lavt"}},
        runs={f"{name}-full-s0": {"variant": f"{name}-full", "seed": 0} for name in ("net", "lavt")},
        tables={f"table{n}": {"splits": ["val"], "rows": {}} for n in (1, 2, 3)},
    )
    (tmp_path / "dvc.yaml").write_text(
        f"stages: {{train: {{do: {{deps: [mafn, {tmp_path / dependency}]}}}}}}"
    )
    found = unwatched(params, "net-full-s0")
    assert (found is not None and f"from {stranger / 'strangers_nets.py'}, on which train" in found) == said
    assert unwatched(params, "lavt-full-s0") is None


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        (
            "shape",
            "forward: HarnessError: model 'net' of package strangers-nets (strangers_nets:net) returned a tensor",
        ),
        ("nan", "forward: logits in train mode are not finite"),
        ("unused", "gradients: unused gets none"),
        ("batch", "batch independence: logits of a sample differ by"),
        ("padding", "padding: other words behind the mask change logits by"),
        ("padding", "padding: five more tokens of padding change logits by"),
        ("deaf", "sentence: other words give the same logits"),
        ("not stored", "weights file: logits differ after loading"),
        ("own seed", "determinism: the same seed gives other weights"),
        ("random", "determinism: in eval mode the same inputs give other logits"),
    ],
)
def test_check_model_finds(flaw, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_model("net", image_size=32, flaw=flaw)


def test_check_model_passes_a_sound_network_and_asks_for_reasons():
    check_model("net", image_size=32)
    with pytest.raises(
        AssertionError, match=r"gradients: pixels\.bias's is not zero, but zero_gradients names it"
    ):
        check_model("net", image_size=32, zero_gradients=["bias"])
