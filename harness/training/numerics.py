"""How a network computes in training: precision, determinism, memory layout, recomputation."""

import os
from collections.abc import Callable

import torch
from torch import nn

from harness.config import Training
from harness.errors import HarnessError

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def set_numerics(options: Training) -> None:
    """Set torch's global switches for the precision and determinism of a profile; before anything runs on a GPU."""
    set_tf32(options.precision == "tf32")
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may add in any order
    torch.use_deterministic_algorithms(options.deterministic)
    # Not: cuDNN tries all kernels for every new shape. With it MAFN at full size showed no step within a minute.
    torch.backends.cudnn.benchmark = False


def set_tf32(allowed: bool) -> None:
    """Let float32 matrix products and convolutions use TF32 on a GPU, or not: torch lets convolutions by default."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def autocast(options: Training, device: torch.device) -> torch.autocast:
    """The context of a forward pass: 16-bit where the profile asks for it."""
    half = HALF.get(options.precision)
    return torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None)


def make_scaler(options: Training, device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss so that small gradients survive in fp16; does nothing in the other precisions."""
    return torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")


def prepare_network(model: nn.Module, name: str, options: Training) -> None:
    """Have a network recompute activations, or lay out its convolutions channels-last, as the profile says.

    Raises:
        HarnessError: the network cannot.
    """
    if options.activation_checkpointing:
        enable_checkpointing(model, name)
    if options.channels_last:
        to_channels_last(model)


def enable_checkpointing(model: nn.Module, name: str) -> None:
    """Have a network recompute activations in the backward pass.

    Raises:
        HarnessError: it cannot.
    """
    switch: Callable[[], None] | None = getattr(model, "set_grad_checkpointing", None)
    if switch is None:
        raise HarnessError(
            f"training.activation_checkpointing is true, but model {name!r} has no set_grad_checkpointing(); set it "
            "to false"
        )
    switch()


def to_channels_last(model: nn.Module) -> None:
    """Lay out the weights of all two-dimensional convolutions channels-last.

    `model.to(memory_format=...)` would do that, but refuses the five-dimensional weights of the rotated convolution.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
