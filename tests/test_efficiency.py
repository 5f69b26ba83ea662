import json
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from toy import toy_params

from harness.complexity import complexity
from harness.data.text import load_tokenizer, tokenizer_file
from harness.efficiency import Stopwatch, measured_efficiency
from harness.evaluation import evaluate_run
from harness.memory import peak_memory
from harness.training.checkpoint import build_network, checkpoint_file, save_checkpoint
from harness.training.distributed import Ranks

CPU = torch.device("cpu")
RUN = "mafn-full-s0"


@pytest.fixture
def profile(prepared, tmp_path):
    params = toy_params(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/data").symlink_to(prepared.out / "data")
    torch.manual_seed(0)
    model = build_network(params, params.runs[RUN])
    save_checkpoint(model, checkpoint_file(params, RUN), {"run": RUN, "step": 1})
    return params


def test_an_evaluation_leaves_what_it_took(profile):
    before = time.perf_counter()
    evaluate_run(profile, RUN)
    took = time.perf_counter() - before
    folder = profile.run_dir(RUN)
    found = json.loads((folder / "efficiency.json").read_text())
    vocabulary = load_tokenizer(tokenizer_file(profile)).get_vocab_size()
    counted = complexity("mafn", preset="mini", image_size=64, options={"vocab_size": vocabulary})
    assert (found["parameters"], found["flops"]) == (counted.parameters, counted.flops)
    assert found["flops_gap"] is None
    assert found["expressions"] == 8, "the whole test split"
    assert 0 < found["network_seconds"] <= found["seconds"] < took
    assert found["images_per_second"] == pytest.approx(8 / found["seconds"], rel=0.01)
    assert found["network_images_per_second"] == pytest.approx(8 / found["network_seconds"], rel=0.01)
    assert 50e6 < found["peak_memory"] <= peak_memory(CPU)
    assert (found["batch_size"], found["threads"], found["precision"]) == (
        5,
        torch.get_num_threads(),
        "float32",
    )
    metrics = (folder / "metrics.json").read_text()
    assert "seconds" not in metrics, "times differ from run to run and are no metric"


def test_the_stopwatch_tells_the_network_from_the_rest(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("harness.efficiency.time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class Slow(nn.Module):
        def forward(self, x):
            clock[0] += 2
            return x

    model, watch = Slow(), Stopwatch()
    with watch.timing(model, CPU):
        for _ in range(3):
            model(torch.zeros(1))
            clock[0] += 5
    assert (watch.network, watch.evaluation) == (6, 21)
    model(torch.zeros(1))
    assert watch.network == 6, "a forward pass after the block does not count"


def test_operations_that_cannot_be_counted_are_said_to_be_unknown(profile, monkeypatch):
    from harness.errors import HarnessError

    def refuse(*_, **__):
        raise HarnessError("it looks at values")

    monkeypatch.setattr("harness.efficiency.complexity", refuse)
    model = build_network(profile, profile.runs[RUN])
    found = measured_efficiency(
        profile, RUN, model, ("lavt", {}), "test", 8, Stopwatch(2.0, 1.0), Ranks(0, 1, CPU)
    )
    assert (found["flops"], found["flops_gap"]) == (None, "it looks at values")
    assert (found["images_per_second"], found["network_images_per_second"]) == (4.0, 8.0)
