"""Memory of a training process on a CPU."""

import ctypes
import sys

import torch
from torch import nn

M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE_BLOCK = 1 << 20
LARGE_NETWORK = 50_000_000  # parameters


def return_freed_tensors(model: nn.Module, device: torch.device) -> None:
    """Have glibc give large freed blocks back to the system at once, where a large network trains on a CPU.

    By default it keeps them in its heap, where weights, gradients and activations of different lifetimes leave holes:
    two gigabytes of them at Swin-B. In return each tensor's pages are mapped anew, which costs small networks more
    than it brings. Does nothing elsewhere.
    """
    large = sum(parameter.numel() for parameter in model.parameters()) >= LARGE_NETWORK
    if large and device.type == "cpu" and sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
