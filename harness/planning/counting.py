"""Memory and operations of a training step, counted on tensors that have shapes and no values."""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from harness.complexity import Unmasked
from harness.config import Training
from harness.errors import HarnessError
from harness.models import create_model
from harness.training.losses import LossGroups, segmentation_loss
from harness.training.numerics import prepare_network
from harness.training.optimizer import freeze_bert
from harness.training.recipe import Recipe

RECOMPUTED = 1  # forward passes that activation checkpointing adds to a step, at most


@dataclass(frozen=True)
class Counts:
    """What one training step takes.

    Args:
        parameters: numbers in the network.
        trained: of these, those that the optimizer changes.
        weights: bytes of parameters and buffers that a weights file holds.
        static: bytes that are there in every step: parameters, all buffers, Adam's two moments, and gradients where
            they outlive a micro-batch.
        transient: bytes at most, at any moment of a micro-batch, of all other tensors: activations, gradients on the
            way, results in between.
        flops: operations of one image's forward pass.
        passes: of a training step, in forward passes: the backward pass counts as two.
    """

    parameters: int
    trained: int
    weights: int
    static: int
    transient: int
    flops: int
    passes: int

    @property
    def memory(self) -> int:
        """Bytes of all tensors at the worst moment."""
        return self.static + self.transient

    @property
    def checkpoint(self) -> int:
        """Bytes of a checkpoint that training goes on from."""
        return self.weights + 8 * self.trained


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and how it is trained: all that memory and operations depend on.

    Args:
        model: its registered name.
        preset: sizes of the network.
        image_size: side in pixels.
        options: of the factory, vocab_size among them.
        tokens: of a sentence.
        micro_batch: samples at once.
        recipe: batch size, loss, trained layers of BERT.
        training: precision, pre-trained or not, activation checkpointing.
    """

    model: str
    preset: str
    image_size: int
    options: Mapping[str, Any]
    tokens: int
    micro_batch: int
    recipe: Recipe
    training: Training

    def build(self) -> nn.Module:
        """The untrained network, as its training prepares it."""
        network = create_model(
            self.model, preset=self.preset, image_size=self.image_size, **dict(self.options)
        )
        prepare_network(network, self.model, self.training)
        return network


def count_training(trained_network: TrainedNetwork) -> Counts:
    """Count one training step on torch's "meta" device; takes seconds and no memory.

    Everything is counted in float32, also where `training.precision` has 16 bits, in which activations take less.

    Raises:
        HarnessError: the network cannot be built, or looks at values.
    """
    micro_batch, side = trained_network.micro_batch, trained_network.image_size
    recipe, training = trained_network.recipe, trained_network.training
    with torch.device("meta"):
        network = trained_network.build().train()
        image = torch.empty(micro_batch, 3, side, side)
        words = torch.zeros(micro_batch, trained_network.tokens, dtype=torch.long)
        mask = torch.zeros(micro_batch, side, side, dtype=torch.uint8)
        groups = LossGroups(torch.ones(micro_batch, dtype=torch.float64), 1)
    if training.pretrained is not None:
        freeze_bert(network, recipe.bert_layers)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kept = [*network.parameters(), *network.buffers()]
    weights = _bytes(list(network.state_dict().values()))
    if recipe.batch_size > micro_batch:  # gradients of a micro-batch lie beside the activations of the next
        for parameter in trained:
            parameter.grad = torch.empty_like(parameter)
        kept += [parameter.grad for parameter in trained if parameter.grad is not None]
    if isinstance(encoder := getattr(network, "text_encoder", None), nn.Module):
        network.text_encoder = Unmasked(encoder)
    live = LiveMemory(kept)
    try:
        with live:
            with FlopCounterMode(display=False) as counter:
                logits = network(image, words, torch.ones_like(words))
            loss = segmentation_loss(logits, mask, recipe, groups)
            del logits
            loss.backward()
    except RuntimeError as error:
        raise HarnessError(
            f"a step of model {trained_network.model!r} cannot be counted without values: {error}"
        ) from error
    return Counts(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        trained=sum(parameter.numel() for parameter in trained),
        weights=weights,
        static=_bytes(kept) + 2 * _bytes(trained),
        transient=live.peak,
        flops=counter.get_total_flops() // micro_batch,
        passes=3 + (RECOMPUTED if training.activation_checkpointing else 0),
    )


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all storages that exist while it is on, and the most there were at a time.

    Args:
        kept: tensors whose storages are left out.
    """

    def __init__(self, kept: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._kept = {tensor.untyped_storage()._cdata for tensor in kept}
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count the storages that it made."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        identity, size = storage._cdata, storage.nbytes()
        if identity in self._kept or identity in self._seen:
            return
        self._seen.add(identity)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, identity, size)

    def _release(self, identity: int, size: int) -> None:
        self._seen.discard(identity)
        self.now -= size


def _bytes(tensors: list[Any]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
