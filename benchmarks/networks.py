"""Forward pass, train step and memory of the networks at Swin-B, 480 pixels, two images.

Times are in units of (operations of the *released* network / this machine's matrix-product rate), the rate measured in
the same process, so that 1.0 would be the released network's operations at the speed of a large matrix product.
`released` are the figures of the public code in the same unit, on two cores.

    python -m benchmarks networks            all, about a quarter of an hour on two cores and 14 GB
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
from harness.complexity import complexity
from harness.models import create_model
from harness.training.loop import enable_checkpointing
from harness.training.memory import return_freed_tensors
from harness.training.recipe import find_recipe, make_optimizer, segmentation_loss

BATCH, SIDE, WORDS = 2, 480, 20
REPEATS = 3
# Forward, train step (both in the unit above) and GB of the public code.
RELEASED_FIGURES = {"lavt": (1.05, 4.1, 6.8), "rmsin": (1.1, 4.8, 7.9), "mafn": (1.22, 4.7, 13.6)}


def run(names: list[str]) -> None:
    print(f"Swin-B, {BATCH} images of {SIDE} x {SIDE} pixels, float32, median of {REPEATS}")
    print(
        f"{'network':22}{'GFLOP/image':>12}{'forward':>9}{'train step':>12}{'peak memory':>13}{'GFLOP/s':>9}"
    )
    for name in names or list(RELEASED_FIGURES):
        plain = _child(name, checkpointing=False)
        less = _child(name, checkpointing=True)
        _row(name, plain)
        _row("  recomputing", less)
        forward, step, memory = RELEASED_FIGURES[name]
        print(
            f"{'  released':22}{RELEASED[name].gflop:12.0f}{forward:9.2f}{step:12.2f}{memory:10.1f} GB",
            flush=True,
        )
        print(
            f"  recomputing takes {less['step_seconds'] / plain['step_seconds']:.2f} times the step and "
            f"{less['peak'] / plain['peak']:.2f} times the memory"
        )


def _row(label: str, found: dict[str, float]) -> None:
    print(
        f"{label:22}{found['gflop']:12.1f}{found['forward']:9.2f}{found['step']:12.2f}{found['peak'] / 1e9:10.1f} GB"
        f"{found['rate'] / 1e9:9.0f}",
        flush=True,
    )


def _child(name: str, *, checkpointing: bool) -> dict[str, float]:
    """Measure in a process of its own, whose peak memory is then the network's."""
    command = [sys.executable, "-m", "benchmarks.networks", name, *(["recompute"] if checkpointing else [])]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return found


def measure(name: str, *, checkpointing: bool) -> dict[str, float]:
    """Seconds, units and bytes of one network."""
    rate = _matrix_product_rate()
    torch.manual_seed(0)
    model = create_model(name, preset="swin-b", image_size=SIDE)
    return_freed_tensors(model, torch.device("cpu"))
    if checkpointing:
        enable_checkpointing(model, name)
    image = torch.randn(BATCH, 3, SIDE, SIDE)
    text = torch.randint(1000, 30000, (BATCH, WORDS)), torch.ones(BATCH, WORDS, dtype=torch.long)
    mask = (torch.rand(BATCH, SIDE, SIDE) < 0.05).byte()
    recipe = find_recipe("common", name)
    optimizer = make_optimizer(model, recipe, 1e-5, pretrained=True)

    def forward() -> None:
        with torch.inference_mode():
            model(image, *text)

    def step() -> None:
        loss = segmentation_loss(model(image, *text), mask, recipe)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    model.eval()
    forward_seconds = _median(forward)
    model.train()
    step_seconds = _median(step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rate = statistics.mean([rate, _matrix_product_rate()])
    unit = BATCH * RELEASED[name].gflop * 1e9 / rate
    return {
        "gflop": complexity(name, preset="swin-b", image_size=SIDE, options={}).flops / 1e9,
        "rate": rate,
        "forward": forward_seconds / unit,
        "step": step_seconds / unit,
        "step_seconds": step_seconds,
        "peak": peak,
    }


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
    print(json.dumps(measure(sys.argv[1], checkpointing="recompute" in sys.argv[2:])))
