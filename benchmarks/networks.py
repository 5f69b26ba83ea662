"""Forward pass and train step of the embedded profile's networks, against the machine's matrix-product rate."""

import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.config import load_params
from harness.models import create_model
from harness.training.recipe import find_recipe, make_optimizer, segmentation_loss

BATCH = 16
VOCABULARY = 400


def run() -> None:
    rate = _matrix_product_rate()
    print(
        f"matrix products (1024 x 1024, float32): {rate / 1e9:.0f} GFLOP/s on {torch.get_num_threads()} threads"
    )
    print(f"batch {BATCH} at 96 pixels; unit = operations / that rate")
    print(f"{'network':13} {'parameters':>11} {'MFLOP/image':>12} {'forward':>8} {'train step':>11}")
    params = load_params()
    for name, variant in params.variants.items():
        torch.manual_seed(0)
        model = create_model(
            variant.model,
            preset=params.preset,
            image_size=params.image_size,
            vocab_size=VOCABULARY,
            **variant.options,
        )
        image = torch.randn(BATCH, 3, params.image_size, params.image_size)
        text = torch.randint(5, VOCABULARY, (BATCH, 20)), torch.ones(BATCH, 20, dtype=torch.int64)
        mask = (torch.rand(BATCH, params.image_size, params.image_size) < 0.05).byte()
        recipe = find_recipe("common", variant.model)
        optimizer = make_optimizer(model, recipe, 1e-4, pretrained=False)

        model.eval()
        with torch.inference_mode():
            with FlopCounterMode(display=False) as counter:
                model(image, *text)
            forward = _median(lambda model=model, image=image, text=text: model(image, *text))
        operations = counter.get_total_flops()

        def step(model=model, image=image, text=text, mask=mask, recipe=recipe, optimizer=optimizer) -> None:
            loss = segmentation_loss(model(image, *text), mask, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        model.train()
        unit = operations / rate
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{name:13} {parameters:11,} {operations / BATCH / 1e6:12.1f} {forward / unit:8.2f} "
            f"{_median(step) / unit:11.2f}",
            flush=True,
        )


def _matrix_product_rate() -> float:
    """Floating-point operations a second."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / _median(lambda: a @ b, repeats=20)


def _median(function: Callable[[], object], repeats: int = 7) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
