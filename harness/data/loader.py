"""Batches of a prepared split on their way to the network: the order, worker processes, the copy to the device.

What is in a batch depends on seed, epoch and batch number alone, not on how many processes made it or when: order and
black boxes are drawn from generators of their own, and torch's global generator is left as it is.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, default_collate

from harness.data.dataset import ExpressionDataset
from harness.errors import HarnessError

PREFETCHED = 2  # batches that each worker holds ready in shared memory; 16 samples of 480 pixels are 15 MB


class Batch(TypedDict):
    """B expressions: each tensor of `Sample` with a leading dimension."""

    index: Tensor  # int64 (B,), rows of the split; stays on the CPU
    image: Tensor  # uint8 (B, 3, S, S)
    mask: Tensor  # uint8 (B, S, S)
    input_ids: Tensor  # int64 (B, L)
    attention_mask: Tensor  # int64 (B, L)


def rows_of_steps(
    length: int,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    rank: int = 0,
    world: int = 1,
    micro_batch: int | None = None,
) -> list[list[int]]:
    """The rows of one epoch that one of several processes takes, a list for each of its micro-batches.

    The epoch is one permutation of all rows, which depends on seed and epoch alone, cut into batches; what is left over
    is dropped, as released. A process takes a contiguous part of each batch, micro-batch after micro-batch.

    Args:
        length: rows of the split.
        batch_size: samples a step, over all processes: a multiple of world * micro_batch.
        seed: of the run.
        epoch: which epoch, from 0.
        first_step: how many steps of the epoch to leave out, to go on in the middle of it.
        rank: which process.
        world: number of processes.
        micro_batch: samples that a process takes at once; None: its whole share.
    """
    share = batch_size // world
    micro_batch = micro_batch or share
    if share * world != batch_size or share % micro_batch:
        raise ValueError(f"{batch_size} samples do not divide into {world} x micro-batches of {micro_batch}")
    steps = length // batch_size
    if not 0 <= first_step <= steps:
        raise ValueError(f"step {first_step} is not within an epoch of {steps}")
    order = np.random.default_rng([seed, 2, epoch]).permutation(length)[: steps * batch_size]
    shares = order.reshape(steps, world, share)[first_step:, rank]
    return shares.reshape(-1, micro_batch).tolist()


def batches(
    dataset: ExpressionDataset,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    first_step: int = 0,
    rank: int = 0,
    world: int = 1,
    micro_batch: int | None = None,
    workers: int,
    device: torch.device,
) -> Iterator[list[Batch]]:
    """Yield one process's micro-batches of each step of an epoch; see `rows_of_steps`.

    Args:
        dataset: the split; its black boxes are those of `epoch`.
        batch_size: samples a step, over all processes.
        seed: of the order.
        epoch: which epoch, from 0.
        first_step: how many steps of the epoch to leave out.
        rank: which process.
        world: number of processes.
        micro_batch: samples that a process takes at once.
        workers: processes that decode; 0: this one.
        device: where the batches go.

    Raises:
        HarnessError: a sample cannot be decoded, or a worker process ended.
    """
    rows = rows_of_steps(
        len(dataset),
        batch_size,
        seed=seed,
        epoch=epoch,
        first_step=first_step,
        rank=rank,
        world=world,
        micro_batch=micro_batch,
    )
    delivered = _deliver(_Batches(dataset, epoch), rows, workers, device)
    accumulated = batch_size // world // (micro_batch or batch_size // world)
    while step := list(islice(delivered, accumulated)):
        yield step


def batches_in_order(
    dataset: ExpressionDataset,
    batch_size: int,
    *,
    rank: int = 0,
    world: int = 1,
    workers: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Yield the whole split in its order, or one process's share: every world-th batch, beginning with `rank`.

    The last batch of the split may be smaller. See `batches`.
    """
    rows = list(BatchSampler(range(len(dataset)), batch_size, drop_last=False))[rank::world]
    return _deliver(_Batches(dataset, dataset.epoch), rows, workers, device)


class _Batches(Dataset["Batch | HarnessError"]):
    """A list of rows -> their batch, or what is wrong with one of them.

    An error is returned, not raised: torch would put a worker's traceback in place of its message.
    """

    def __init__(self, dataset: ExpressionDataset, epoch: int) -> None:
        self.dataset, self.epoch = dataset, epoch

    def __getitem__(self, rows: list[int]) -> Batch | HarnessError:
        self.dataset.set_epoch(self.epoch)
        try:
            return cast(Batch, default_collate([self.dataset[row] for row in rows]))
        except HarnessError as error:
            return error


def _deliver(
    dataset: _Batches, rows: Iterable[list[int]], workers: int, device: torch.device
) -> Iterator[Batch]:
    loader: DataLoader[Batch | HarnessError] = DataLoader(
        dataset,
        batch_size=None,  # `rows` yields whole batches
        sampler=cast(Any, rows),
        num_workers=workers,  # torch gives each of them one thread
        prefetch_factor=PREFETCHED if workers else None,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # it draws the workers' seeds, which nothing uses, and would take the global one
    )
    try:
        yield from _on_device(_sound(loader), device)
    except (RuntimeError, EOFError, OSError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[-1].rstrip(". ")
        ended = any(
            words in problem for words in ("exited unexpectedly", "killed by signal", "No space left")
        )
        lost = not isinstance(error, RuntimeError)  # a batch that came just before its worker ended
        if not (workers and (ended or lost)):
            raise
        raise HarnessError(
            f"a loader process failed ({problem}); most often memory or shared memory (/dev/shm) is short: lower "
            "training.workers"
        ) from None


def _sound(loader: "DataLoader[Batch | HarnessError]") -> Iterator[Batch]:
    """The loader's batches; raise the errors among them."""
    for batch in _started(loader):
        if isinstance(batch, HarnessError):
            raise batch
        yield batch


def _started(loader: "DataLoader[Batch | HarnessError]") -> Iterator[Batch | HarnessError]:
    """Start the workers, and keep their deaths from interrupting.

    torch puts a handler on SIGCHLD that raises wherever the main thread happens to be, in the middle of a step or of
    another error's message. Its iterator looks after the workers as well, whenever it waits for a batch.
    """
    if threading.current_thread() is not threading.main_thread():
        return iter(loader)  # torch sets no handler there
    before = signal.getsignal(signal.SIGCHLD)
    started = iter(loader)
    signal.signal(signal.SIGCHLD, before)
    return started


def _on_device(loaded: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches on `device`, one ahead, so that CUDA copies a batch while it computes on the one before."""
    copies = torch.cuda.Stream(device) if device.type == "cuda" else None
    ahead: tuple[Batch, torch.cuda.Event | None] | None = None
    for batch in loaded:
        with torch.cuda.stream(copies):  # None: does nothing
            moved = {
                name: tensor if name == "index" else tensor.to(device, non_blocking=True)
                for name, tensor in cast(dict[str, Tensor], batch).items()
            }
            event = copies.record_event() if copies is not None else None
        if ahead is not None:
            yield _arrived(*ahead)
        ahead = cast(Batch, moved), event
    if ahead is not None:
        yield _arrived(*ahead)


def _arrived(batch: Batch, copied: "torch.cuda.Event | None") -> Batch:
    """A batch that the current stream may use."""
    if copied is not None:
        stream = torch.cuda.current_stream(batch["image"].device)
        stream.wait_event(copied)
        for tensor in cast(dict[str, Tensor], batch).values():
            if tensor.is_cuda:
                tensor.record_stream(stream)  # no later copy gets its memory before `stream` is done with it
    return batch
