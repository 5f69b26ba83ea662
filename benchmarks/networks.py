"""Forward pass, train step and memory of the networks at Swin-B, 480 pixels, two images.

Times are in units of (operations of the *released* network / this machine's matrix-product rate), the rate measured in
the same process, so that 1.0 would be the released network's operations at the speed of a large matrix product.
`released` are the figures of the public code in the same unit, on two cores.

    python -m benchmarks networks            all, about a quarter of an hour on two cores and 10 GB
    python -m benchmarks networks mafn       one
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from baselines.official import RELEASED
from benchmarks.page import Figures
from harness.complexity import complexity
from harness.models import create_model
from harness.training.losses import segmentation_loss
from harness.training.memory import return_freed_tensors
from harness.training.numerics import enable_checkpointing
from harness.training.optimizer import make_optimizer
from harness.training.recipe import find_recipe

BATCH, SIDE, WORDS = 2, 480, 20
REPEATS = 3
# Forward, train step (both in the unit above) and GB of the public code.
RELEASED_FIGURES = {"lavt": (1.05, 4.1, 6.8), "rmsin": (1.1, 4.8, 7.9), "mafn": (1.22, 4.7, 13.6)}


def run(names: list[str]) -> Figures:
    yield f"Swin-B, {BATCH} images of {SIDE} x {SIDE} pixels, float32, median of {REPEATS}."
    yield "", "GFLOP an image", "forward", "train step", "peak GB", "forward, s", "step, s", "GFLOP/s"
    for name in names or list(RELEASED_FIGURES):
        forward, step, less = (_child(name, what) for what in ("forward", "step", "recompute"))
        released = (RELEASED[name].gflop, *RELEASED_FIGURES[name])
        yield f"{name} released", *(f"{value:g}" for value in released), "", "", ""
        flops = complexity(name, preset="swin-b", image_size=SIDE, options={}).flops
        for label, trained in ((name, step), (f"{name}, `activation_checkpointing`", less)):
            work = f"{flops / 1e9:.1f}", f"{forward['units']:.2f}", f"{trained['units']:.2f}"
            seconds = f"{forward['seconds']:.1f}", f"{trained['seconds']:.1f}"
            rates = f"{forward['rate'] / 1e9:.0f}, {trained['rate'] / 1e9:.0f}"
            yield label, *work, f"{trained['peak'] / 1e9:.1f}", *seconds, rates


def _child(name: str, what: str) -> dict[str, float]:
    """Measure in a process of its own, whose peak memory is then that of one thing."""
    command = [sys.executable, "-m", "benchmarks.networks", name, what]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return found


def measure(name: str, what: str) -> dict[str, float]:
    """Seconds, units, peak bytes and the machine's rate.

    Args:
        name: the network.
        what: "forward" as in evaluation; "step" as in training; "recompute", a step with activation checkpointing.
    """
    rate = _matrix_product_rate()
    torch.manual_seed(0)
    model = create_model(name, preset="swin-b", image_size=SIDE)
    image = torch.randn(BATCH, 3, SIDE, SIDE)
    text = torch.randint(1000, 30000, (BATCH, WORDS)), torch.ones(BATCH, WORDS, dtype=torch.long)
    mask = (torch.rand(BATCH, SIDE, SIDE) < 0.05).byte()
    recipe = find_recipe("common", name)

    if what == "forward":
        model.eval()
        with torch.inference_mode():
            seconds = _median(lambda: model(image, *text))
    else:
        return_freed_tensors(model, torch.device("cpu"))
        if what == "recompute":
            enable_checkpointing(model, name)
        optimizer = make_optimizer(model, recipe, 1e-5, pretrained=True)

        def step() -> None:
            loss = segmentation_loss(model(image, *text), mask, recipe)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        model.train()
        seconds = _median(step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rate = statistics.mean([rate, _matrix_product_rate()])
    unit = BATCH * RELEASED[name].gflop * 1e9 / rate
    return {"seconds": seconds, "units": seconds / unit, "peak": peak, "rate": rate}


def _matrix_product_rate() -> float:
    """Floating-point operations a second of a large float32 matrix product."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    return 2 * 2048**3 / _median(lambda: torch.mm(a, b), repeats=7)


def _median(function: Callable[[], object], repeats: int = REPEATS) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
