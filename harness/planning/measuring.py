"""How long a step and an evaluation take on this machine, measured on random tensors."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import psutil
import torch
from torch import nn

from harness.data.dataset import normalize
from harness.data.loader import Batch
from harness.errors import HarnessError
from harness.planning.counting import Counts, TrainedNetwork
from harness.provenance import device_name
from harness.training.distributed import Ranks, pick_device
from harness.training.memory import return_freed_tensors
from harness.training.numerics import autocast, make_scaler, set_numerics
from harness.training.optimizer import make_optimizer
from harness.training.step import accumulate_gradient, gradient_norm

WARM_UP = 2  # steps: the first allocates Adam's moments, and on a GPU libraries choose their kernels
SECONDS = 4.0  # of timed steps for each network, at least two steps
SPARE = 1.5e9  # bytes of a process besides its tensors: the imported libraries and room for the rest


@dataclass(frozen=True)
class Measured:
    """What a network takes here.

    Args:
        step: seconds of a training step, median.
        image: seconds of an evaluation for each image, median; the forward pass alone.
        peak: bytes of tensors on the GPU; None without one.
        device: its name.
    """

    step: float
    image: float
    peak: int | None
    device: str


def measure(trained: TrainedNetwork, counts: Counts, evaluation_batch: int) -> Measured:
    """Take a few training steps and forward passes as `harness train` takes them, on this machine's device.

    Args:
        trained: the network and how it is trained.
        counts: of the same step, to know beforehand that memory does not suffice.
        evaluation_batch: samples of an evaluation's batch.

    Raises:
        HarnessError: the memory does not suffice.
    """
    recipe, training = trained.recipe, trained.training
    device = pick_device(0)
    _require_memory(trained.model, device, counts)
    set_numerics(training)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    torch.manual_seed(0)
    network = trained.build().to(device)
    return_freed_tensors(network, device)
    optimizer = make_optimizer(network, recipe, 1e-6, pretrained=training.pretrained is not None)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    scaler, ranks = make_scaler(training, device), Ranks(0, 1, device)
    called = cast(nn.Module, torch.compile(network)) if training.compile else network
    micro_batches = [
        _random_batch(trained, trained.micro_batch, device)
        for _ in range(recipe.batch_size // trained.micro_batch)
    ]

    def step() -> None:
        accumulate_gradient(
            called, micro_batches, recipe, ranks, seed=(0, 0), autocast=autocast(training, device), scaler=scaler
        )  # fmt: skip
        scaler.unscale_(optimizer)
        gradient_norm(parameters, training.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    batch = _random_batch(trained, evaluation_batch, device)

    def forward() -> None:
        with torch.inference_mode():
            called(normalize(batch["image"]), batch["input_ids"], batch["attention_mask"])

    try:
        network.train()
        seconds = _median(step, device)
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        network.eval()
        image = _median(forward, device) / evaluation_batch
    except torch.OutOfMemoryError as error:
        raise HarnessError(
            f"{trained.model} does not fit on {device_name()} ({str(error).splitlines()[0]}); lower "
            "training.micro_batch or set training.activation_checkpointing"
        ) from None
    return Measured(seconds, image, peak, device_name())


def _require_memory(model: str, device: torch.device, counts: Counts) -> None:
    if device.type == "cuda":
        return  # the card says so itself
    free = psutil.virtual_memory().available
    if counts.memory + SPARE > free:
        raise HarnessError(
            f"measuring {model} takes about {(counts.memory + SPARE) / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB "
            "are free; lower training.micro_batch, or name a card with --gpu for an estimate"
        )


def _random_batch(trained: TrainedNetwork, size: int, device: torch.device) -> Batch:
    side, words = trained.image_size, (size, trained.tokens)
    return Batch(
        index=torch.arange(size),
        image=torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8, device=device),
        mask=(torch.rand(size, side, side, device=device) < 0.05).byte(),
        input_ids=torch.randint(0, int(trained.options["vocab_size"]), words, device=device),
        attention_mask=torch.ones(words, dtype=torch.long, device=device),
    )


def _median(function: Callable[[], None], device: torch.device) -> float:
    """Seconds of a call, after a warm-up."""
    for _ in range(WARM_UP):
        _timed(function, device)
    seconds = [_timed(function, device), _timed(function, device)]
    while sum(seconds) < SECONDS:
        seconds.append(_timed(function, device))
    return statistics.median(seconds)


def _timed(function: Callable[[], None], device: torch.device) -> float:
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
