"""Options for large machines compute the same function: recomputation, memory layout, bf16, compilation, DDP."""

import os
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from baselines import layers
from harness.models import create_model
from harness.training.numerics import to_channels_last

# The coarsest grid is 3 x 3. On one of 2 x 2, where the kernel of the stride-3 convolution is larger than the map,
# torch 2.14's bf16 gradient of it reads memory that nobody wrote, on a CPU.
VOCABULARY, SIDE, LENGTH = 60, 96, 12
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "lavt": ("lavt", {}),
    "rmsin": ("rmsin", {}),
    "mafn": ("mafn", {}),
    "mafn paper": ("mafn", {"fidelity": "paper"}),
}
# Relative L2 errors against float32 of logits and gradient; bfloat16 rounds by 4e-3.
COMPILED, BF16 = (1e-4, 1e-3), (0.05, 0.15)
FLOAT64 = (1e-10, 1e-9)
# The paper's MAFN is three times as large as the others.
EACH = [pytest.param(name, marks=pytest.mark.big) if name == "mafn paper" else name for name in NETWORKS]


def build(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    model_name, options = NETWORKS[name]
    model = create_model(model_name, vocab_size=VOCABULARY, image_size=SIDE, drop_path=0.2, **options)
    return model.to(dtype)


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(4, 3, SIDE, SIDE, generator=generator).to(dtype)
    ids = torch.randint(0, VOCABULARY, (4, LENGTH), generator=generator)
    mask = (torch.arange(LENGTH) < torch.arange(3, 7)[:, None]).long()
    target = torch.randint(0, 2, (4, SIDE, SIDE), generator=generator)
    return image, ids, mask, target


def trained_once(network: Any, model: nn.Module, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits and gradient of one training step; `network` is `model`, wrapped or not."""
    image, ids, mask, target = batch(dtype)
    torch.manual_seed(5)  # stochastic depth and dropout
    logits = network(image, ids, mask)
    nn.functional.cross_entropy(logits.to(dtype), target).backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    return logits.detach(), gradient


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def assert_close(
    found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], limits: tuple[float, float]
) -> None:
    errors = [error(*pair) for pair in zip(found, expected, strict=True)]
    assert errors[0] < limits[0], errors
    assert errors[1] < limits[1], errors


@pytest.mark.parametrize("what", ["everything", "what is cheap"])
@pytest.mark.parametrize("name", EACH)
def test_recomputing_gives_the_same_gradients_and_statistics(
    name: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, recomputing = build(name, torch.float64), build(name, torch.float64)
    expected = trained_once(plain, plain, torch.float64)
    monkeypatch.setattr(layers, "LARGE_MAP", 0)
    recomputing.set_grad_checkpointing(what == "everything")
    found = trained_once(recomputing, recomputing, torch.float64)
    assert_close(found, expected, FLOAT64)
    statistics = dict(plain.named_buffers())
    assert any(key.endswith("running_mean") for key in statistics)
    for key, buffer in recomputing.named_buffers():
        torch.testing.assert_close(buffer, statistics[key], rtol=0, atol=1e-12)


def test_recomputing_keeps_less(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    for recompute in (False, True):
        model = build("mafn")
        model.set_grad_checkpointing(recompute)
        sizes: dict[int, int] = {}

        def note(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            image, ids, mask, _ = batch()
            logits = model(image, ids, mask)
        weights = {parameter.data_ptr() for parameter in model.parameters()}
        kept.append(sum(size for pointer, size in sizes.items() if pointer not in weights))
        del logits
    assert kept[1] < 0.7 * kept[0]


@pytest.mark.parametrize("name", EACH)
def test_channels_last_changes_nothing_but_the_layout(name: str) -> None:
    plain, laid_out = build(name, torch.float64), build(name, torch.float64)
    to_channels_last(laid_out)
    assert laid_out.classifier.levels[0].join.conv.weight.is_contiguous(memory_format=torch.channels_last)
    found, expected = (trained_once(model, model, torch.float64) for model in (laid_out, plain))
    assert_close(found, expected, FLOAT64)


@pytest.mark.parametrize("name", EACH)
def test_bf16_autocast(name: str) -> None:
    # In eval mode: batch norm over a handful of positions would only magnify the rounding.
    model, lower = build(name).eval(), build(name).eval()

    def autocast(*inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return lower(*inputs)

    found, expected = trained_once(autocast, lower), trained_once(model, model)
    assert_close(found, expected, BF16)
    assert error(found[0], expected[0]) > 1e-4, "it was rounded"
    assert {parameter.dtype for parameter in lower.parameters()} == {torch.float32}


@pytest.mark.big
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_to_one_graph(name: str) -> None:
    assert_compiles(name, backend="aot_eager")


# Generating and compiling C++ for all of MAFN takes eight minutes on two cores, for a small LAVT two.
@pytest.mark.parametrize(
    ("name", "preset"),
    [
        pytest.param("lavt", "mini", marks=pytest.mark.big),
        pytest.param("rmsin", "swin-b", marks=pytest.mark.nightly),
        pytest.param("mafn", "swin-b", marks=pytest.mark.nightly),
    ],
)
def test_compiled_to_machine_code(name: str, preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile on a CPU needs a C++ compiler: apt install g++")
    monkeypatch.setitem(NETWORKS, "it", (name, {"preset": preset}))
    assert_compiles("it", backend="inductor")


def assert_compiles(name: str, *, backend: str) -> None:
    model, other = build(name).eval(), build(name).eval()
    torch._dynamo.reset()
    compiled = torch.compile(other, backend=backend, fullgraph=True)
    assert_close(trained_once(compiled, other), trained_once(model, model), COMPILED)


@pytest.fixture
def process_group() -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    os.environ.update(address)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()
    for name in address:
        del os.environ[name]


# Gradients of 1x1 convolutions have another stride than their weights; DDP says that this may cost time.
@pytest.mark.filterwarnings("ignore:Grad strides do not match")
@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("name", [*EACH, "mafn-k1"])
def test_ddp_finds_no_unused_parameter(name: str) -> None:
    if name == "mafn-k1":
        model = create_model("mafn", vocab_size=VOCABULARY, image_size=SIDE, kernels=(1,))
    else:
        model = build(name)
    # With a parameter that the loss does not reach, the second step raises.
    parallel = nn.parallel.DistributedDataParallel(model, find_unused_parameters=False)
    for _ in range(2):
        trained_once(parallel, model)


# Of what torch.use_deterministic_algorithms refuses in CUDA: poolings, paddings and losses that a network may use.
# Bilinear interpolation is not among them: torch takes another way where determinism is asked for.
REFUSED = (
    *("adaptive_", "fractional_max", "max_unpool", "avg_pool3d", "max_pool3d", "pad1d", "pad2d", "pad3d"),
    *("nll_loss2d", "grid_sampler", "bicubic", "histc", "bincount", "kthvalue", "median", "bag"),
)


class Recorded(TorchDispatchMode):
    """The names of all operations that run, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def refused(names: set[str]) -> set[str]:
    return {name for name in names if any(word in name for word in REFUSED)}


@pytest.mark.parametrize("name", EACH)
def test_no_operation_lacks_a_deterministic_implementation_in_cuda(name: str) -> None:
    model = build(name).train()
    image, ids, mask, _ = batch()
    with Recorded() as recorded:
        model(image, ids, mask).sum().backward()
    assert "convolution_backward" in recorded.names, "the backward pass is seen"
    assert not refused(recorded.names)


def test_adaptive_pooling_is_seen() -> None:
    with Recorded() as recorded:
        nn.functional.adaptive_avg_pool2d(torch.ones(1, 1, 4, 4, requires_grad=True), 2).sum().backward()
    assert "_adaptive_avg_pool2d_backward" in refused(recorded.names)
