"""One process or many: torchrun starts them, this joins them.

A process group that computes (nccl on GPUs, gloo on CPUs) and one for control, always gloo: what the processes tell
each other about losses, stops and results are a few numbers, which need not wait for a GPU. One process needs neither,
and all methods then do what one process does alone.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from harness.errors import HarnessError

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The processes of a job, seen from one of them.

    Args:
        rank: which one this is, from 0; 0 writes files and talks to the user.
        world: how many there are.
        device: where this one computes.
        control: the process group for objects and small tensors on the CPU; None where there is one process.
    """

    rank: int
    world: int
    device: torch.device
    control: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum numbers over the processes, in float64; every process gets the same sums."""
        if self.control is None:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.control)
        return cast(list[float], tensor.tolist())

    def gather(self, value: T) -> list[T]:
        """Collect a picklable value of every process, in the order of ranks, in every process."""
        if self.control is None:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.control)
        return values

    def gather_to_main(self, value: T) -> list[T] | None:
        """As `gather`, for process 0 alone; the others get None."""
        if self.control is None:
            return [value]
        values: list[Any] | None = [None] * self.world if self.is_main else None
        dist.gather_object(value, values, dst=0, group=self.control)
        return values

    def from_main(self, value: T | None) -> T:
        """The value that process 0 gives; what the others give is ignored."""
        if self.control is None:
            return cast(T, value)
        values: list[Any] = [value if self.is_main else None]
        dist.broadcast_object_list(values, src=0, group=self.control)
        return cast(T, values[0])

    def on_main(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in process 0 while the others wait; every process gets what it returns.

        Raises:
            HarnessError: process 0 had one; the others leave with its exit code and say nothing.
        """
        outcome: tuple[T | None, HarnessError | None] = (None, None)
        if self.is_main:
            try:
                outcome = function(*arguments), None
            except HarnessError as error:
                outcome = None, error
        value, failure = self.from_main(outcome)
        if failure is not None:
            self.end(failure)
        return cast(T, value)

    def end(self, error: HarnessError) -> NoReturn:
        """End every process with an error that all of them know; process 0 tells it."""
        if self.is_main:
            raise error
        raise SystemExit(error.exit_code)

    def parallel(self, model: nn.Module) -> nn.Module:
        """The module to call in training: gradients are averaged over the processes in its backward pass.

        Weights and buffers become those of process 0. On GPUs batch norm takes its statistics over all processes.
        SyncBatchNorm has no CPU form: there each process takes its own, and process 0's running ones are kept.
        """
        if self.control is None:
            return model
        # Depthwise weights (C, 1, k, k) have gradients with another stride in the dimension of size 1: the same memory.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(
            model, device_ids=[self.device] if on_gpu else None, gradient_as_bucket_view=True
        )

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Let this process tell errors of its own, a damaged sample say; others are told by process 0 alone."""
        try:
            yield
        except HarnessError as error:
            error.rank = self.rank
            raise

    @contextmanager
    def reduced(self, network: nn.Module, last: bool) -> Iterator[None]:
        """Average gradients over the processes only at the last of several micro-batches."""
        apart = isinstance(network, DistributedDataParallel) and not last
        with network.no_sync() if apart else nullcontext():  # type: ignore[operator]
            yield

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process the buffers of process 0, so that all evaluate the same network."""
        if self.control is not None:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def share_tensor(self, tensor: Tensor) -> Tensor:
        """Concatenate a tensor (n, ...) of every process along its first dimension, in the order of ranks."""
        if self.control is None:
            return tensor
        here = tensor.cpu()
        parts = [torch.empty_like(here) for _ in range(self.world)]
        dist.all_gather(parts, here, group=self.control)
        return torch.cat(parts).to(tensor.device)


@contextmanager
def joined(timeout: float) -> Iterator[Ranks]:
    """Join the processes that torchrun started; alone, where it did not.

    Args:
        timeout: seconds that a process waits for the others in any step before it gives up.

    Raises:
        HarnessError: the others cannot be reached, or one was lost while the block ran.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = pick_device(int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield Ranks(0, 1, device)
        return
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    wait = timedelta(seconds=timeout)
    try:
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", timeout=wait, device_id=device if on_gpu else None
        )
        control = dist.new_group(backend="gloo" if on_gpu else None, timeout=wait)
        yield Ranks(rank, world, device, cast(dist.ProcessGroup, control))
    except (dist.DistError, RuntimeError) as error:
        if not _is_loss_of_peer(error):
            raise
        lost = HarnessError(
            f"process {rank} of {world} lost the others ({_first_line(error)}): one of them ended, its host did, or "
            "the network. Run the same command again; a training goes on from its last checkpoint"
        )
        lost.rank = rank
        raise lost from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def pick_device(local_rank: int = 0) -> torch.device:
    """This process's GPU where there are GPUs.

    Raises:
        HarnessError: there are more processes on this machine than GPUs.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        return torch.device("cpu")
    if local_rank >= count:
        raise HarnessError(
            f"process {local_rank} of this machine has no GPU of its own: there are {count}; start {count} processes"
        )
    return torch.device("cuda", local_rank)


_LOST = ("connection", "timed out", "timeout", "peer", "socket", "aborted", "remote process", "broken pipe")


def _is_loss_of_peer(error: BaseException) -> bool:
    """Whether an error of torch.distributed says that another process is gone; backward raises plain RuntimeErrors."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in _LOST)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200].rstrip(". ")
