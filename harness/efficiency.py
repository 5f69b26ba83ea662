"""What a network costs: parameters and operations, counted; time and memory, measured while it is evaluated.

`harness evaluate` leaves it as efficiency.json in the run's folder. Times differ from run to run and machine to
machine, so they are in no table and no metric, and no gate looks at them.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.complexity import WORDS, complexity
from harness.config import Params
from harness.errors import HarnessError
from harness.memory import peak_memory
from harness.provenance import device_name
from harness.training.distributed import Ranks

SCHEMA_VERSION = 1


@dataclass
class Stopwatch:
    """Seconds of an evaluation in this process."""

    evaluation: float = (
        0.0  # reading and resizing images, the network, scoring in every protocol, run lengths
    )
    network: float = 0.0  # of these, the network's forward passes

    @contextmanager
    def timing(self, model: nn.Module, device: torch.device) -> Iterator[None]:
        """Time the block as an evaluation of `model`; on a GPU each forward pass is waited for."""
        started = 0.0

        def now() -> float:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return time.perf_counter()

        def before(*_: Any) -> None:
            nonlocal started
            started = now()

        def after(*_: Any) -> None:
            self.network += now() - started

        hooks = [model.register_forward_pre_hook(before), model.register_forward_hook(after)]
        began = now()
        try:
            yield
        finally:
            self.evaluation += now() - began
            for hook in hooks:
                hook.remove()


def measured_efficiency(
    params: Params,
    name: str,
    model: nn.Module,
    built: tuple[str, Mapping[str, Any]],
    split: str,
    expressions: int,
    watch: Stopwatch,
    ranks: Ranks,
) -> dict[str, Any]:
    """What efficiency.json holds; all processes of the evaluation call this.

    Args:
        params: the profile.
        name: of the run.
        model: the network, as it was evaluated.
        built: what it was made from: its registered name and the options of its factory, vocab_size among them.
        split: that was timed.
        expressions: of that split, over all processes.
        watch: this process's times.
        ranks: the processes that shared the split.
    """
    peak = max(ranks.gather(peak_memory(ranks.device)))  # before anything else is loaded
    evaluation = max(ranks.gather(watch.evaluation))
    network = max(ranks.gather(watch.network))
    flops, gap = _operations(params, *built) if ranks.is_main else (None, None)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops": flops,  # of one forward pass; a multiplication and an addition are two
        "flops_gap": gap,  # why they are not known
        "image_size": params.image_size,
        "words": WORDS,  # of the sentence that the operations are counted for
        "split": split,
        "expressions": expressions,
        "seconds": round(evaluation, 3),
        "network_seconds": round(network, 3),  # of these, the forward passes; of the slowest process
        "images_per_second": round(expressions / evaluation, 2),
        "network_images_per_second": round(expressions / network, 2),
        "protocols": list(params.evaluation.protocols),
        "peak_memory": peak,  # bytes, of the process that took the most
        "peak_memory_of": "tensors on the GPU" if ranks.device.type == "cuda" else "the process",
        "device": device_name(),
        "processes": ranks.world,
        "threads": torch.get_num_threads(),
        "workers": params.training.workers,
        "batch_size": params.evaluation.batch_size,
        "precision": _precision(ranks.device),
    }


def _operations(params: Params, registered: str, options: Mapping[str, Any]) -> tuple[int | None, str | None]:
    try:
        counted = complexity(
            registered, preset=params.preset, image_size=params.image_size, options=dict(options)
        )
    except HarnessError as error:
        return None, str(error)
    return counted.flops, None


def _precision(device: torch.device) -> str:
    """In which the network computes; evaluation has no autocast, and torch lets convolutions use TF32 on a GPU."""
    tf32 = device.type == "cuda" and torch.backends.cudnn.allow_tf32
    return "float32, convolutions in TF32" if tf32 else "float32"
