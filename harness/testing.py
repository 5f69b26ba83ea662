"""Conformance checks for networks and data sets, ours and other packages': call them from a test.

    from harness.testing import check_dataset, check_model

    def test_mynet():
        check_model("mynet")

    def test_mytiles(tmp_path):
        check_dataset("mytiles", write_a_small_set(tmp_path))

Each raises AssertionError with everything that it found wrong, in words. They need no pytest.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.config import SPLITS
from harness.data import Expression, Finding
from harness.data.inspection import inspect
from harness.data.source import find_format
from harness.errors import HarnessError
from harness.models import create_model, require_logits
from harness.registry import DATASETS, MODELS
from harness.training.checkpoint import load_checkpoint, save_checkpoint

LENGTH = 12  # of a sentence, in tokens
ROUNDING = 1e-8  # of logits of the order of 1, in float64
NO_GRADIENT = 1e-12

Inputs = tuple[Tensor, Tensor, Tensor]  # image, input_ids, attention_mask


def check_model(
    name: str,
    *,
    preset: str = "mini",
    image_size: int = 64,
    vocab_size: int = 60,
    zero_gradients: Collection[str] = (),
    **options: Any,
) -> None:
    """Check that a registered network keeps to what training, evaluation and report count on.

    On random weights and inputs, in float64 on the CPU; seconds for a small network.

    forward             (B, 3, S, S), (B, L) and (B, L) give finite logits (B, 2, S, S), in train and in eval mode;
                        in eval mode no buffer changes
    gradients           every parameter that is trained gets one that is finite and not zero
    batch independence  in eval mode a sample's logits do not depend on the others in its batch
    padding             nor on the words behind attention_mask, nor on how many there are
    sentence            but they do depend on the sentence, and on the image
    weights file        saved and loaded into another network of this name, the weights give the same logits
    meta device         it can be built on torch's "meta" device, with the same shapes: a weights file is compared with
                        that before memory is taken
    determinism         the same seed gives the same weights, and the same inputs the same logits; another seed gives
                        other weights

    Args:
        name: as it is registered under rrsis_harness.models.
        preset: as `create_model` takes it.
        image_size: S, pixels.
        vocab_size: rows of the word embedding.
        zero_gradients: patterns (re.search) for the names of parameters whose gradient is zero for a reason, such as a
            bias before a norm. One of these with a gradient is a finding, too.
        **options: the factory's own.

    Raises:
        AssertionError: lists each check that fails, and how.
        HarnessError: the network is not registered or cannot be built.
    """

    def build(seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return create_model(name, preset=preset, image_size=image_size, vocab_size=vocab_size, **options)

    def scattered() -> nn.Module:
        return scatter_weights(build().double())

    inputs = random_inputs(4, image_size, vocab_size)
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "forward": lambda: _forward(scattered(), inputs, name),
        "gradients": lambda: _gradients(scattered(), inputs, zero_gradients),
        "batch independence": lambda: _batch_independence(scattered().eval(), inputs),
        "padding": lambda: _padding(scattered().eval(), inputs, vocab_size),
        "sentence": lambda: _dependence(scattered().eval(), inputs),
        "weights file": lambda: _weights_file(scattered(), build(1).double(), inputs),
        "meta device": lambda: _meta_device(build),
        "determinism": lambda: _determinism(build, inputs),
    }
    build()  # where it cannot be built at all, that is the one thing to say
    found = []
    with torch.random.fork_rng(devices=[]):
        for check, run in checks.items():
            try:
                found += [f"{check}: {problem}" for problem in run()]
            except Exception as error:
                found.append(f"{check}: {type(error).__name__}: {error}")
    _report(MODELS.describe(name), found)


def check_dataset(name: str, root: Path | str) -> None:
    """Check that a registered layout keeps to what preparation, pairing of results and fetching count on.

    reading      `root` is read twice, to the same expressions in the same order, of the types that `Expression` states
    splits       train, val and test each have expressions
    pairing      the pair of ref_id and sentence occurs once; an image file has one image_id, in one split, and a
                 category_id one name
    files        every image and mask is under `root`, is there, can be decoded, and both have one size
    findings     none: the set given here is sound
    tables       exist; `place`, where there is one, puts each table, image and mask back where it is

    Args:
        name: as it is registered under rrsis_harness.datasets.
        root: a small sound set in that layout.

    Raises:
        AssertionError: lists each check that fails, and how.
        HarnessError: the layout is not registered.
    """
    root = Path(root)
    layout = find_format(name)
    try:
        items, again = list(layout.read(root)), list(layout.read(root))
    except HarnessError as error:
        raise AssertionError(f"{DATASETS.describe(name)}:\n  reading: {error}") from None
    expressions = [item for item in items if isinstance(item, Expression)]
    found = [f"findings: {item.kind}: {item.message}" for item in items if isinstance(item, Finding)]
    if items != again:
        found.append("reading: a second reading gave other expressions, or another order")
    splits = Counter(expression.split for expression in expressions)
    found += [f"splits: {split} has no expression" for split in SPLITS if not splits[split]]
    found += _pairing(expressions)
    found += _files(root, expressions)
    found += [f"tables: {table} is not in {root}" for table in layout.tables if not (root / table).is_file()]
    if layout.place is not None:
        files = {path for item in expressions for path in (item.image, item.mask) if isinstance(path, Path)}
        inside = [path.relative_to(root).as_posix() for path in sorted(files) if path.is_relative_to(root)]
        found += [
            f"tables: place({path!r}) is {layout.place(path)!r}"
            for path in [*layout.tables, *inside]
            if layout.place(path) != path
        ]
    _report(DATASETS.describe(name), found)


def scatter_weights(model: nn.Module) -> nn.Module:
    """Give a network weights far from their start, the same each time, so that no branch is negligible.

    Initialisation often makes a branch zero; then it has no gradient, and a mistake in it does not show.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            u = 2 * torch.rand(parameter.shape, generator=generator, dtype=torch.double) - 1
            if parameter.ndim > 1:
                parameter.copy_(u * (3 / parameter[0].numel()) ** 0.5)
            else:
                parameter.copy_(1 + 0.1 * u if key.endswith("weight") else 0.3 * u)
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator, dtype=torch.double))
    return model


def random_inputs(samples: int, size: int | tuple[int, int], vocab_size: int) -> Inputs:
    """Images in float64, sentences of `LENGTH` tokens and their mask; sample i has i + 3 words."""
    height, width = (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(samples, 3, height, width, generator=generator, dtype=torch.double)
    input_ids = torch.randint(0, vocab_size, (samples, LENGTH), generator=generator)
    attention_mask = (torch.arange(LENGTH) < torch.arange(3, samples + 3)[:, None]).long()
    return image, input_ids, attention_mask


def gradients(model: nn.Module, inputs: Inputs) -> dict[str, Tensor | None]:
    """The gradient of a random target's cross entropy, in train mode, by the name of each trained parameter."""
    image = inputs[0]
    generator = torch.Generator().manual_seed(2)
    target = torch.randint(0, 2, (len(image), *image.shape[2:]), generator=generator)
    nn.functional.cross_entropy(model.train()(*inputs), target).backward()
    return {name: one.grad for name, one in model.named_parameters() if one.requires_grad}


def _forward(model: nn.Module, inputs: Inputs, name: str) -> Iterator[str]:
    for mode in ("train", "eval"):
        before = {key: buffer.clone() for key, buffer in model.named_buffers()}
        with torch.no_grad():
            logits = model.train(mode == "train")(*inputs)
        require_logits(logits, inputs[0], name)
        if not logits.isfinite().all():
            yield f"logits in {mode} mode are not finite"
        changed = [key for key, buffer in model.named_buffers() if not torch.equal(buffer, before[key])]
        if mode == "eval" and changed:
            yield f"in eval mode the buffer {changed[0]} changes"


def _gradients(model: nn.Module, inputs: Inputs, excused: Collection[str]) -> Iterator[str]:
    found = gradients(model, inputs)
    yield from (f"{name} gets none" for name, gradient in found.items() if gradient is None)
    given = {name: gradient for name, gradient in found.items() if gradient is not None}
    yield from (f"{name}'s is not finite" for name, one in given.items() if not one.isfinite().all())
    for name, gradient in given.items():
        zero = bool(gradient.abs().max() < NO_GRADIENT)
        named = any(re.search(pattern, name) for pattern in excused)
        if zero and not named:
            yield f"{name}'s is zero; if that has to be, name it in zero_gradients"
        elif named and not zero:
            yield f"{name}'s is not zero, but zero_gradients names it"


def _batch_independence(model: nn.Module, inputs: Inputs) -> Iterator[str]:
    together = _logits(model, *inputs)
    alone = torch.cat([_logits(model, *(one[i : i + 1] for one in inputs)) for i in range(len(inputs[0]))])
    if (error := _distance(together, alone)) > ROUNDING:
        yield f"logits of a sample differ by {error:.1g} between a batch and alone"


def _padding(model: nn.Module, inputs: Inputs, vocab_size: int) -> Iterator[str]:
    image, input_ids, attention_mask = inputs
    logits = _logits(model, *inputs)
    other = torch.where(attention_mask == 1, input_ids, (input_ids + 7) % vocab_size)
    if (error := _distance(_logits(model, image, other, attention_mask), logits)) > ROUNDING:
        yield f"other words behind the mask change logits by {error:.1g}"
    longer = nn.functional.pad(input_ids, (0, 5)), nn.functional.pad(attention_mask, (0, 5))
    if (error := _distance(_logits(model, image, *longer), logits)) > ROUNDING:
        yield f"five more tokens of padding change logits by {error:.1g}"


def _dependence(model: nn.Module, inputs: Inputs) -> Iterator[str]:
    image, input_ids, attention_mask = inputs
    logits = _logits(model, *inputs)
    if _distance(_logits(model, image, input_ids.roll(1, 0), attention_mask), logits) <= ROUNDING:
        yield "other words give the same logits"
    if _distance(_logits(model, image.roll(1, 0), input_ids, attention_mask), logits) <= ROUNDING:
        yield "another image gives the same logits"


def _weights_file(model: nn.Module, other: nn.Module, inputs: Inputs) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_checkpoint(model, path, {})
        load_checkpoint(other, path)
    if not torch.equal(_logits(model.eval(), *inputs), _logits(other.eval(), *inputs)):
        yield "logits differ after loading: something that counts is no parameter or persistent buffer"


def _meta_device(build: Callable[[], nn.Module]) -> Iterator[str]:
    with torch.device("meta"):
        outline = build().state_dict()
    shapes = {name: tensor.shape for name, tensor in build().state_dict().items()}
    if {name: tensor.shape for name, tensor in outline.items()} != shapes:
        yield "it has other tensors there"


def _determinism(build: Callable[[int], nn.Module], inputs: Inputs) -> Iterator[str]:
    first, again, other = (build(seed) for seed in (5, 5, 6))
    states = first.state_dict(), again.state_dict(), other.state_dict()
    same = all(torch.equal(one, two) for one, two in zip(states[0].values(), states[1].values(), strict=True))
    if not same:
        yield "the same seed gives other weights: draw them from torch's global generator"
    if all(torch.equal(one, two) for one, two in zip(states[0].values(), states[2].values(), strict=True)):
        yield "another seed gives the same weights"
    first.double().eval()
    if not torch.equal(_logits(first, *inputs), _logits(first, *inputs)):
        yield "in eval mode the same inputs give other logits"


def _logits(model: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(*inputs)
    return logits


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _pairing(expressions: list[Expression]) -> Iterator[str]:
    pairs = Counter((expression.ref_id, expression.sentence) for expression in expressions)
    yield from (
        f"pairing: ref_id {ref_id} has the sentence {sentence!r} {times} times"
        for (ref_id, sentence), times in pairs.items()
        if times > 1
    )
    facts: dict[tuple[str, Any], set[tuple[str, Any]]] = {}
    for one in expressions:
        facts.setdefault(("the image", str(one.image)), set()).add(("image_id", one.image_id))
        facts.setdefault(("image_id", one.image_id), set()).add(("the image", str(one.image)))
        facts.setdefault(("image_id", one.image_id), set()).add(("the split", one.split))
        facts.setdefault(("ref_id", one.ref_id), set()).add(("image_id", one.image_id))
        facts.setdefault(("category_id", one.category_id), set()).add(("the category", one.category))
    for (kind, value), known in facts.items():
        kinds = Counter(other for other, _ in known)
        for other in (other for other, times in kinds.items() if times > 1):
            several = ", ".join(sorted(str(one) for what, one in known if what == other))
            yield f"pairing: {kind} {value} stands with more than one of {other}: {several}"


def _files(root: Path, expressions: list[Expression]) -> Iterator[str]:
    inside = root.resolve()
    for expression in expressions:
        for path in (expression.image, expression.mask):
            if isinstance(path, Path) and not path.resolve().is_relative_to(inside):
                yield f"files: {path} is not under {root}"
    inspection = inspect(expressions, workers=1)
    yield from (
        f"files: {path}: {facts.problem}" for path, facts in inspection.images.items() if facts.problem
    )
    for expression, mask in zip(expressions, inspection.masks, strict=True):
        size = inspection.images[expression.image].size
        if mask.rle is None:
            yield f"files: the mask of ref_id {expression.ref_id}: {mask.problem}"
        elif size is not None and size != (mask.rle.height, mask.rle.width):
            yield (
                f"files: the mask of ref_id {expression.ref_id} has {mask.rle.height} x {mask.rle.width} pixels, its "
                f"image {size[0]} x {size[1]}"
            )


def _report(what: str, found: list[str]) -> None:
    if found:
        raise AssertionError("\n  ".join([f"{what}:", *found]))
