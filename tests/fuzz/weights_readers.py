"""Weights, training checkpoints and tokenizers."""

import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from .formats import instructions, json_bytes, json_inputs
from .mutations import edits, trees
from .reader import Inputs, Reader, reader


def _safetensors(header: Any, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _safetensors_inputs(content: bytes) -> Inputs:
    length = struct.unpack_from("<Q", content)[0]
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header["__metadata__"]
    [(key, text)] = metadata.items()
    description = json.loads(text)
    few = {"__metadata__": metadata, **dict(list(header.items())[1:4])}

    def described(value: Any) -> bytes:
        return _safetensors({**header, "__metadata__": {key: json.dumps(value)}}, body)

    options = st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from((0, -1, 1, 10**4, 10**9, 10**18, 1e9,
            "x", [], [1] * 1000, [10**9] * 2, {}, None, True, float("nan")))
            for name in ("image_size", "vocab_size", "drop_path", "kernels", "rotated_kernels", "expansion", "fidelity")
        },
    )  # fmt: skip
    return (
        trees(description).map(described)
        | options.map(lambda odd: described({**description, "options": {**description["options"], **odd}}))
        | trees(header).map(lambda value: _safetensors(value, body))
        | trees(few).map(lambda value: _safetensors(value, body))
        | edits(content[: 8 + length], (b"[" * 5000, b'"shape":[99999999999]', b"-1")).map(
            lambda start: start + body
        )
        | edits(content)
    )


@reader
def safetensors(folder: Path) -> Reader:
    """Our weights: the network that they describe is built and filled."""
    from harness.data.text import encode, train_wordpiece
    from harness.models import create_model
    from harness.training.checkpoint import save_checkpoint
    from harness.weights import open_network

    tokenizer = train_wordpiece(["the ship"], 100)
    options = {"image_size": 32, "vocab_size": tokenizer.get_vocab_size(), "kernels": [1]}
    described = {
        "model": "mafn",
        "preset": "mini",
        "options": options,
        "max_tokens": 5,
        "tokenizer": tokenizer.to_str(),
    }
    torch.manual_seed(0)
    save_checkpoint(create_model("mafn", preset="mini", **options), folder / "seed", described)

    content = (folder / "seed").read_bytes()

    def read(path: Path) -> None:
        opened = open_network(path)
        if opened.tokenizer is not None:
            encode(opened.tokenizer, "the ship", opened.max_tokens)

    return Reader("safetensors", "model.safetensors", content, _safetensors_inputs(content), read)


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def _torch_inputs(seed: Any) -> Inputs:
    """Checkpoints of changed values; with an edited pickle, zip or other member; in the old format; bombs."""
    content, old = _saved(seed), _saved(seed, _use_new_zipfile_serialization=False)
    members = _members(content)
    program = next(name for name in members if name.endswith("data.pkl"))
    calls = tuple(
        b"c" + call.replace(" ", "\n").encode() + b"\n" + argument + b"R"
        for call in (
            "collections OrderedDict", "collections Counter", "torch Tensor", "_codecs encode", "builtins bytearray",
            "builtins set", "torch Size", "torch device", "torch.nn.parameter Parameter",
            "torch._utils _rebuild_parameter",
            "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_sparse_tensor", "argparse Namespace", "os system",
            "torch._utils _rebuild_meta_tensor_no_storage", "torch.storage TypedStorage",
            "torch._utils _rebuild_nested_tensor",
        )
        for argument in (b")", b"(J\xff\xff\xff\x7ft", b"(L99999999999L\nt", b"(NNt", b"((I1\nI2\ntt",
        b"(Vabc\nVrot13\nt")
    )  # fmt: skip
    traps = (
        *calls,
        b"(",
        b"]",
        b"}",
        b"2",
        b"0",
        b"R",
        b"b",
        b"Q",
        b"\x8a\x08" + b"\xff" * 8,
        b"X\xff\xff\xff\xff",
        b"N",
    )
    odd_tensors = st.sampled_from((
        lambda: torch.empty(2, 3, device="meta"), lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.zeros(1).expand(10**9), lambda: torch.zeros(1).expand(2**20, 2**20), lambda: torch.zeros(0),
        lambda: torch.ones(3, dtype=torch.complex64), lambda: torch.quantize_per_tensor(torch.ones(3), 0.1,
        0, torch.qint8),
        lambda: torch.tensor(float("nan")), lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        lambda: torch.nn.Parameter(torch.ones(2)), lambda: torch.ones(2, dtype=torch.float8_e4m3fn),
        lambda: torch.ones(2).bool(),
    ))  # fmt: skip

    def with_tensor(make: Callable[[], torch.Tensor]) -> bytes:
        value = pickle.loads(pickle.dumps(seed))
        network = value["model"]
        network[next(iter(network))] = make()
        return _saved(value)

    bombs = [
        _zip(members, zipfile.ZIP_DEFLATED),
        _zip({**members, program: b"\x80\x02" + b"0" * 2**28 + b"."}, zipfile.ZIP_DEFLATED),
        _zip({**members, program.replace("data.pkl", "data/0"): bytes(2**29)}, zipfile.ZIP_DEFLATED),
    ]
    replaced = edits(members[program], traps).map(lambda edited: _zip({**members, program: edited}))
    lost = st.sampled_from(sorted(members)).flatmap(
        lambda name: st.binary(max_size=9).map(lambda short: _zip({**members, name: short}))
    )
    programs = instructions().map(lambda edited: _zip({**members, program: edited}))
    return (
        trees(_plain(seed)).map(_saved)
        | odd_tensors.map(with_tensor)
        | replaced
        | programs
        | lost
        | edits(content)
        | edits(old, traps)
        | st.sampled_from(bombs)
    )


def _plain(value: Any) -> Any:
    """Dicts in place of OrderedDicts."""
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@reader
def pth(folder: Path) -> Reader:
    """A released checkpoint: read, and filled into a network of its shape."""
    from torch import nn

    from harness.training.checkpoint import fill_network
    from harness.weights.reading import read_state_dict

    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    seed = {
        "model": dict(network.state_dict()),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
    }

    def read(path: Path) -> None:
        tensors = read_state_dict(path)
        fill_network(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), tensors, path)

    return Reader("pth", "released.pth", _saved(seed), _torch_inputs(seed), read)


@reader
def resume(folder: Path) -> Reader:
    """A checkpoint of a training that goes on; a damaged one is put aside."""
    from harness.training.resume import Checkpoints

    checkpoints = Checkpoints(folder / "training", {"code": "ab"})
    seed = {
        "version": 1,
        "fingerprint": {"code": "ab"},
        "step": 10,
        "best_step": None,
        "model": {"weight": torch.ones(3)},
    }

    def read(path: Path) -> None:
        for other in path.parent.iterdir():
            if other != path:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        told: list[str] = []
        if (latest := checkpoints.latest(told.append)) is not None:
            checkpoints.load(latest)

    return Reader("resume", "training/step-000000010.pt", _saved(seed), _torch_inputs(seed), read)


@reader
def tokenizer(folder: Path) -> Reader:
    from harness.data.text import encode, load_tokenizer, train_wordpiece

    seed = json.loads(train_wordpiece(["the ship"], 100).to_str())

    def read(path: Path) -> None:
        found = load_tokenizer(path)
        for sentence in ("the ship", "", "ä船 " * 200, "x" * 500):
            encode(found, sentence, 20)
        found.get_vocab_size()

    return Reader("tokenizer", "tokenizer.json", json_bytes(seed), json_inputs(seed), read)
