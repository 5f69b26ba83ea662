import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from harness.config import Pretrained, Training
from harness.errors import HarnessError
from harness.planning.counting import LiveMemory, TrainedNetwork, count_training
from harness.training.recipe import COMMON

LAVT = TrainedNetwork(
    model="lavt",
    preset="mini",
    image_size=64,
    options={"vocab_size": 100},
    tokens=20,
    micro_batch=8,
    recipe=replace(COMMON, batch_size=8),
    training=Training(pretrained=None),
)


@pytest.fixture(scope="module")
def plain():
    return count_training(LAVT)


def test_live_memory_counts_each_storage_once_and_forgets_the_freed():
    kept = torch.empty(1000)
    with LiveMemory([kept]) as live:
        first = kept + 1
        view = first.view(10, 100)
        second = first * 2
        assert live.now == 2 * 4000
        del first, second
        assert live.now == 4000, "the view holds the first"
        del view
    assert (live.now, live.peak) == (0, 2 * 4000)


def test_weights_are_those_of_a_file_and_adam_has_two_numbers_for_each(plain, tmp_path):
    network = LAVT.build()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    size = (tmp_path / "weights.safetensors").stat().st_size
    assert 0 <= size - plain.weights < 0.05 * size, "names and shapes are all that a file has besides"
    assert plain.parameters == plain.trained == sum(one.numel() for one in network.parameters())
    buffers = sum(one.nbytes for one in network.buffers())
    assert plain.static == 12 * plain.parameters + buffers, "numbers and two moments of four bytes each"


def test_frozen_layers_have_neither_gradients_nor_moments(plain):
    frozen = count_training(replace(LAVT, training=Training(pretrained=Pretrained())))
    assert frozen.parameters == plain.parameters
    assert frozen.trained < plain.trained
    assert plain.static - frozen.static == 8 * (plain.trained - frozen.trained)


def test_accumulation_keeps_the_gradients_beside_the_activations(plain):
    accumulated = count_training(replace(LAVT, recipe=replace(COMMON, batch_size=16)))
    assert accumulated.static == plain.static + 4 * plain.trained
    assert accumulated.flops == plain.flops


def test_recomputing_takes_less_memory_and_one_more_forward_pass(plain):
    training = Training(pretrained=None, activation_checkpointing=True)
    recomputed = count_training(replace(LAVT, training=training))
    assert recomputed.transient < 0.8 * plain.transient
    assert (plain.passes, recomputed.passes) == (3, 4)


def test_activations_grow_with_the_micro_batch(plain):
    halved = count_training(replace(LAVT, micro_batch=4, recipe=replace(COMMON, batch_size=4)))
    assert 1.6 < plain.transient / halved.transient < 2.01


def test_a_network_that_cannot_be_built_is_named():
    with pytest.raises(HarnessError, match="has no option 'depth'"):
        count_training(replace(LAVT, options={"vocab_size": 100, "depth": 3}))


STEPS = """
import json, sys, torch
from dataclasses import replace
from harness.config import Training
from harness.memory import peak_memory
from harness.planning.counting import TrainedNetwork, count_training
from harness.training.losses import segmentation_loss
from harness.training.optimizer import make_optimizer
from harness.training.recipe import COMMON

batch = 48
trained = TrainedNetwork("mafn", "mini", 96, {"vocab_size": 400}, 20, batch, replace(COMMON, batch_size=batch),
                         Training(pretrained=None))
counts = count_training(trained)
network = trained.build().train()
optimizer = make_optimizer(network, COMMON, 1e-5, pretrained=False)
words = torch.zeros(batch, 20, dtype=torch.long)
mask = torch.zeros(batch, 96, 96, dtype=torch.uint8)

def step(size):
    logits = network(torch.rand(size, 3, 96, 96), words[:size], torch.ones_like(words[:size]))
    segmentation_loss(logits, mask[:size], COMMON).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

step(8)
before = int(open("/proc/self/statm").read().split()[1]) * 4096
step(batch)
print(json.dumps([counts.transient, peak_memory(torch.device("cpu")) - before]))
"""


@pytest.mark.big
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_count_is_what_a_process_takes():
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    counted, measured = json.loads(done.stdout)
    assert 0.75 < counted / measured < 1.35, (counted, measured)
