"""The readers, each with the valid file that its inputs begin as, and the traps of its format."""

import io
import json
import pickle
import pickletools
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from hypothesis import strategies as st

from .mutations import SIZES, edits, trees

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))
from sample_tables import PROJECT, sample_table
from toy import toy_params

Inputs = st.SearchStrategy[bytes]


@dataclass(frozen=True)
class Reader:
    """A reader of files."""

    name: str
    file: str  # relative to its folder
    inputs: Inputs
    read: Callable[[Path], object]


READERS: dict[str, Callable[[Path], Reader]] = {}


def reader(make: Callable[[Path], Reader]) -> Callable[[Path], Reader]:
    """Add a maker of a reader, under the name of the function."""
    READERS[make.__name__] = make
    return make


def make_reader(name: str, folder: Path) -> Reader:
    """The reader, with the files that it needs besides its input in `folder`."""
    return READERS[name](folder)


# -- Data sets -------------------------------------------------------------------------------------------------------


def _records() -> tuple[list[Any], dict[str, Any]]:
    refs = [
        {
            "image_id": number,
            "ref_id": 10 + number,
            "ann_id": 100 + number,
            "split": split,
            "file_name": f"{number:05}.jpg",
            "category_id": 1,
            "sent_ids": [number],
            "sentences": [
                {"raw": "The ship", "sent": "the ship", "sent_id": number, "tokens": ["the", "ship"]}
            ],
        }
        for number, split in enumerate(("train", "val", "test"))
    ]
    instances = {
        "info": {"description": "drawn"},
        "images": [{"id": n, "file_name": f"{n:05}.jpg", "height": 9, "width": 9} for n in range(3)],
        "annotations": [
            {"id": 100 + n, "image_id": n, "categories_id": 1, "bbox": [0, 0, 4, 4], "area": 9, "iscrowd": 0,
             "segmentation": [{"size": [9, 9], "counts": "W13500Oa0"}]}
            for n in range(3)
        ],
        "categories": [{"id": 1, "name": "ship", "supercategory": ""}],
    }  # fmt: skip
    return refs, instances


def _read_dataset(root: Path) -> None:
    from harness.data import Expression
    from harness.data.inspection import inspect_mask
    from harness.data.refer import read_rrsisd

    for found in read_rrsisd(root):
        if isinstance(found, Expression):
            inspect_mask(found.mask)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _json_inputs(seed: Any) -> Inputs:
    """JSON of changed values; of changed bytes; with traps for its parser."""
    traps = (
        b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b"1e999", b"NaN", b"-Infinity", b'"\\ud800"', b"\xff", b"\x00", b"null",
        b"\xef\xbb\xbf", b'"a":1,"a":2,', b"-", b"1" + b"0" * 400,
    )  # fmt: skip
    return trees(seed).map(_json) | edits(_json(seed), traps) | trees(seed).map(_json).flatmap(edits)


@reader
def instances(folder: Path) -> Reader:
    refs, content = _records()
    (folder / "rrsisd").mkdir()
    (folder / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps(refs))
    return Reader(
        "instances",
        "rrsisd/instances.json",
        _json_inputs(content),
        lambda path: _read_dataset(path.parents[1]),
    )


@st.composite
def _instructions(draw: Any) -> bytes:
    """A pickle of any instructions, with arguments that may lie."""
    parts = [draw(st.sampled_from((b"", b"\x80\x04", b"\x80\x02")))]
    for opcode in draw(st.lists(st.sampled_from(pickletools.opcodes), max_size=20)):
        parts.append(opcode.code.encode("latin-1"))
        if opcode.arg is None:
            continue
        if opcode.arg.n > 0:
            parts.append((draw(st.sampled_from(SIZES)) % 256**opcode.arg.n).to_bytes(opcode.arg.n, "little"))
        elif opcode.arg.n == pickletools.UP_TO_NEWLINE:
            word = draw(
                st.sampled_from((b"os", b"1", b"-1", b"'a'", b"9" * 5000, b"1e999", b"nan", b"\\ud800", b""))
            )
            parts.append(word + b"\n")
        else:
            width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(
                opcode.arg.n, 4
            )
            claimed = draw(st.sampled_from((0, 1, 3, *SIZES))) % 256**width
            parts.append(claimed.to_bytes(width, "little") + draw(st.binary(max_size=8)))
    return b"".join([*parts, draw(st.sampled_from((b".", b"")))])


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=4)


@reader
def refs(folder: Path) -> Reader:
    seed, others = _records()
    (folder / "rrsisd").mkdir()
    (folder / "rrsisd" / "instances.json").write_bytes(_json(others))
    traps = (b"(", b"]", b"]r\xff\xff\xff\x7f", b"\x8d" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"2", b"cos\nsystem\n", b"R", b"\x8a\xff", b"\x8b\xff\xff\xff\x7f", b"Q", b"0", b"a", b"e", b"u", b"}", b"\x94")  # fmt: skip
    inputs = (
        trees(seed).map(_pickled)
        | st.sampled_from(range(5)).flatmap(
            lambda protocol: edits(pickle.dumps(seed, protocol=protocol), traps)
        )
        | _instructions()
    )
    return Reader("refs", "rrsisd/refs(unc).p", inputs, lambda path: _read_dataset(path.parents[1]))


@reader
def masks(folder: Path) -> Reader:
    """Run lengths as tables and Parquet files hold them, decoded wherever that is done."""
    from harness.data import Rle
    from harness.data.inspection import inspect_mask
    from harness.report.overlays import decode

    def read(path: Path) -> None:
        height, width, counts = json.loads(path.read_bytes())
        facts = inspect_mask(Rle(height, width, counts))
        try:
            area = int(decode(counts, height, width).sum())
        except ValueError:
            assert facts.rle is None
        else:
            assert facts.area == area

    side = st.integers(1, 12) | st.sampled_from((1, 9, 480, 65535))
    groups = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30)
    counts = groups | edits(b"W13500Oa0", (b"o", b"0", b"ooooo_", b"P" * 13)).map(
        lambda b: b.decode("latin-1")
    )
    inputs = st.tuples(st.just(9) | side, st.just(9) | side, counts).map(_json)
    return Reader("masks", "mask.json", inputs, read)


# -- Settings --------------------------------------------------------------------------------------------------------

YAML_TRAPS = tuple(
    trap.encode()
    for trap in (
        "\nbomb: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"b{n}: &{n} [{','.join(['*' + (str(n - 1) if n else 'a')] * 9)}]\n" for n in range(9)
        ),
        "[" * 2000, "{a: " * 2000, "- " * 2000, "? " * 2000, "!!python/object:os.system x", "!!python/name:os.system",
        "!!timestamp 2024-99-99", "2024-13-45", "!!int x", "!!int ''", "!!float x", "!!binary x", "!!bool x", "!!set [1]",
        "!!omap [1]", "!!pairs 1", "<<: [1]", "<<: {a: 1}", "? [a]\n: b", "? {a: 1}\n: b", "&a [*a]", "&a {x: *a}", "*unknown",
        "0x", "0x" + "f" * 5000, "0b", "0o8", "1:99:99", "9" * 5000, "1e999", ".nan", "-.inf", "\ud7ff", "\t", "%YAML 9.9\n---\n", "---\n", "...\n",
        "|9\n", ">-\n", "'", '"', '"\\ud800"', '"\\x"', "!<", "&", "#", "\x85", "\u2028", "\ufeff", "!", "!!null x", "{*a: 1}", "=",
    )
)  # fmt: skip


def _yaml(value: Any) -> bytes:
    try:
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return b"{"


def _yaml_inputs(content: bytes) -> Inputs:
    seed = yaml.safe_load(content)
    bombs = st.sampled_from(
        ("sha256", "dataset", "root", "rows", "options", "table1", "seed", "text", "n", "stages")
    )
    nested = st.tuples(bombs, st.integers(1, 12)).map(lambda pair: _bomb(content, *pair))
    return trees(seed).map(_yaml) | edits(content, YAML_TRAPS) | nested


def _bomb(content: bytes, key: str, levels: int) -> bytes:
    """`content` with an anchor that stands for nine more, `levels` times over, as the value of a key."""
    lines = ["zero: &z0 [lol, lol]"]
    lines += [f"level{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 9)}]" for n in range(1, levels + 1)]
    return (
        "\n".join(lines).encode()
        + b"\n"
        + content.replace(f"{key}:".encode(), f"{key}: *z{levels} #".encode())
    )


@reader
def params(folder: Path) -> Reader:
    """params.yaml, and what a message and the provenance make of its values."""
    from harness.config import load_params

    content = (PROJECT / "params.yaml").read_bytes()
    return Reader(
        "params", "params.yaml", _yaml_inputs(content), lambda path: load_params(path).model_dump_json()
    )


@reader
def published(folder: Path) -> Reader:
    from harness.published import read_published

    content = (PROJECT / "reports" / "published.yaml").read_bytes()
    return Reader("published", "published.yaml", _yaml_inputs(content), read_published)


@reader
def manifest(folder: Path) -> Reader:
    from harness.data.verify import MANIFESTS, read_manifest

    content = next(iter(sorted(MANIFESTS.glob("*.yaml")))).read_bytes()
    return Reader("manifest", "manifest.yaml", _yaml_inputs(content), lambda path: read_manifest(str(path)))


@reader
def pipeline(folder: Path) -> Reader:
    """dvc.yaml as the report reads it: what is wrong becomes a sentence."""
    from harness.report.pipeline import read_pipeline

    settings = toy_params(folder)
    content = (PROJECT / "dvc.yaml").read_bytes()
    return Reader("pipeline", "dvc.yaml", _yaml_inputs(content), lambda path: read_pipeline(settings))


# -- Tables ----------------------------------------------------------------------------------------------------------


def _parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@st.composite
def _tables(draw: Any, seed: pa.Table) -> pa.Table:
    """`seed` with columns replaced, removed, repeated, or of another type, and other metadata."""
    table = seed
    rows = len(table)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, table.num_columns - 1))
        name = table.column_names[place]
        values = draw(
            st.sampled_from((
                pa.nulls(rows), pa.array([None] * rows, pa.int64()), pa.array([2**63 - 1] * rows), pa.array([-(2**63)] * rows),
                pa.array([2**64 - 1] * rows, pa.uint64()), pa.array([1e308] * rows), pa.array([float("nan")] * rows),
                pa.array(["x"] * rows), pa.array(["\x00"] * rows), pa.array([b"\xff"] * rows, pa.binary()),
                pa.array([[1, 2]] * rows), pa.array([{"a": 1}] * rows), pa.array(["x"] * rows).dictionary_encode(),
                pa.array([True] * rows), pa.array([10**18] * rows, pa.timestamp("us")), pa.array([10**17] * rows, pa.duration("s")),
                pa.array(["x" * 10_000] * rows), pa.array([[]] * rows, pa.list_(pa.int64())), pa.array([0.5] * rows, pa.float16()),
                pa.array([-1] * rows), pa.array([0] * rows, pa.int8()), pa.array([b"W13500Oa0"] * rows, pa.large_binary()),
            ))
        )  # fmt: skip
        match draw(st.sampled_from(("replace", "remove", "repeat", "metadata", "rows"))):
            case "replace" if len(table) == rows:
                table = table.set_column(place, name, values)
            case "remove" if table.num_columns > 1:
                table = table.remove_column(place)
            case "repeat":
                table = table.append_column(name, table.column(place))
            case "metadata":
                known = table.schema.metadata or {}
                odd = st.sampled_from(
                    (
                        b"",
                        b"{}",
                        b"[1]",
                        b"null",
                        b"[" * 5000,
                        b'{"version":2}',
                        b'{"version":1}',
                        b"9" * 5000,
                    )
                )
                table = table.replace_schema_metadata(
                    {key: draw(odd | edits(value)) for key, value in known.items()}
                )
            case "rows":
                table = table.slice(0, draw(st.integers(0, 2)))
    return table


def _table_inputs(table: pa.Table, write: Callable[..., bytes]) -> Inputs:
    """Files of changed tables, and with changed bytes, most of them in the footer."""
    styles = [write(table, **options) for options in ({}, {"compression": "zstd"}, {"compression": "none"})]
    footers = st.sampled_from(styles).flatmap(lambda content: _footer(content))
    return _tables(table).map(write) | st.sampled_from(styles).flatmap(edits) | footers


@st.composite
def _footer(draw: Any, content: bytes) -> bytes:
    """A Parquet file whose footer, and nothing else, is edited; its length stays true half the time."""
    length = int.from_bytes(content[-8:-4], "little")
    start = max(0, len(content) - 8 - length)
    edited = draw(edits(content[start:-8]))
    stated = len(edited) if draw(st.booleans()) else draw(st.sampled_from(SIZES)) % 2**32
    return content[:start] + edited + stated.to_bytes(4, "little") + content[-4:]


def _long(rows: int, text: str, table: pa.Table) -> bytes:
    """A small file that claims a large table: one row many times over."""
    whole = pa.table(
        {
            name: pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([text]))
            if pa.types.is_string(kind) and text
            else pa.repeat(table[name][0], rows)
            for name, kind in zip(table.column_names, table.schema.types, strict=True)
        }
    ).replace_schema_metadata(table.schema.metadata)
    return _parquet(whole, compression="zstd")


def _sample_rows() -> pa.Table:
    from harness.samples import SCHEMA

    return pa.Table.from_pandas(sample_table(6), schema=SCHEMA, preserve_index=False).replace_schema_metadata(
        SCHEMA.metadata
    )


@reader
def samples(folder: Path) -> Reader:
    from harness.samples import is_last, is_shuffled, read_samples

    def read(path: Path) -> None:
        read_samples(path)
        is_shuffled(path), is_last(path)

    table = _sample_rows()
    bombs = [
        _long(20_000_000, "", table.select(["ref_id", "sentence"])),
        _long(100_000, "x" * 100_000, table),
    ]
    return Reader(
        "samples", "test.resized.parquet", _table_inputs(table, _parquet) | st.sampled_from(bombs), read
    )


@reader
def predictions(folder: Path) -> Reader:
    """predictions.parquet as the report and the gate read it; what is wrong becomes a sentence."""
    from harness.report.overlays import decode
    from harness.report.predictions import _read
    from harness.samples import write_samples

    write_samples(sample_table(6), folder / "test.resized.parquet")
    table = pa.table(
        {
            "ref_id": pa.array([1000 + n for n in range(6)]),
            "sentence": [f"The ship number {n}" for n in range(6)],
            "prediction": ["W13500Oa0"] * 6,
            "height": pa.array([9] * 6, pa.int32()),
            "width": pa.array([9] * 6, pa.int32()),
        }
    )

    def read(path: Path) -> None:
        for counts, height, width in _read("MAFN", "mafn-full-s0", path.parent).masks.values():
            try:
                decode(counts, height, width)
            except ValueError:
                continue

    return Reader("predictions", "predictions.parquet", _table_inputs(table, _parquet), read)


@reader
def features(folder: Path) -> Reader:
    import numpy as np

    from harness.stage_maps import FeatureMaps, StageMap, read_feature_maps, write_feature_maps

    maps = tuple(
        StageMap("mafn-full", "mafn-full-s0", 1, "The ship", stage, 8, np.ones((4, 4), np.float32))
        for stage in (1, 2, 3, 4)
    )
    write_feature_maps(FeatureMaps("test", ((1, "The ship"),), "All.", maps, ("none",)), folder / "seed")
    table = pq.read_table(folder / "seed")
    return Reader("features", "features.parquet", _table_inputs(table, _parquet), read_feature_maps)


def _arrow(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    compression = options.get("compression", "none").replace("none", "")
    with pa.ipc.new_file(
        buffer, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression or None)
    ) as file:
        file.write_table(table)
    return buffer.getvalue()


@reader
def split(folder: Path) -> Reader:
    """A prepared split, opened as training opens it, with all of its samples."""
    from PIL import Image

    from harness.data.dataset import ExpressionDataset
    from harness.data.prepare import SCHEMA, SCHEMA_KEY, SCHEMA_VERSION, read_defects
    from harness.data.text import train_wordpiece

    image = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(image, "PNG")
    row = {
        "image_id": 1, "ref_id": 2, "ann_id": 3, "sent_id": 4, "split": "test", "cluster_id": 1, "category_id": 1,
        "category": "ship", "sentence": "The ship", "file_name": "1.png", "image": image.getvalue(), "height": 9, "width": 9,
        "mask_counts": "W13500Oa0",
    }  # fmt: skip
    described = {"version": SCHEMA_VERSION, "dataset": "drawn", "defects": {}}
    table = pa.Table.from_pylist(
        [row] * 3, SCHEMA.with_metadata({SCHEMA_KEY: json.dumps(described).encode()})
    )
    tokenizer = folder / "tokenizer.json"
    train_wordpiece(["The ship"], 100).save(str(tokenizer))

    def read(path: Path) -> None:
        read_defects(path)
        dataset = ExpressionDataset(path, tokenizer, image_size=32, max_tokens=5)
        for index in range(len(dataset)):
            dataset[index]

    return Reader("split", "test.arrow", _table_inputs(table, _arrow), read)


@reader
def csv(folder: Path) -> Reader:
    from harness.comparing.csv_tables import read_csv

    content = sample_table(6).to_csv(index=False).encode()
    traps = (b'"', b",", b"\n", b"\r", b"\x00", b"\xff", b"nan", b"inf", b"1e400", b"9" * 5000, b"-1", b"1.5", b"," * 3000, b"\xef\xbb\xbf", b"0x10", b"1_0", b" ", b"'", b"9" * 19, b"ref_id,", b"\n\n\n")  # fmt: skip
    return Reader("csv", "a.csv", edits(content, traps), read_csv)


# -- Weights ---------------------------------------------------------------------------------------------------------


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
            name: st.sampled_from((0, -1, 1, 10**4, 10**9, 10**18, 1e9, "x", [], [1] * 1000, [10**9] * 2, {}, None, True, float("nan")))
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

    def read(path: Path) -> None:
        opened = open_network(path)
        if opened.tokenizer is not None:
            encode(opened.tokenizer, "the ship", opened.max_tokens)

    return Reader(
        "safetensors", "model.safetensors", _safetensors_inputs((folder / "seed").read_bytes()), read
    )


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
            "builtins set", "torch Size", "torch device", "torch.nn.parameter Parameter", "torch._utils _rebuild_parameter",
            "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_sparse_tensor", "argparse Namespace", "os system",
            "torch._utils _rebuild_meta_tensor_no_storage", "torch.storage TypedStorage", "torch._utils _rebuild_nested_tensor",
        )
        for argument in (b")", b"(J\xff\xff\xff\x7ft", b"(L99999999999L\nt", b"(NNt", b"((I1\nI2\ntt", b"(Vabc\nVrot13\nt")
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
        lambda: torch.empty(2, 3, device="meta"), lambda: torch.eye(3).to_sparse(), lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.zeros(1).expand(10**9), lambda: torch.zeros(1).expand(2**20, 2**20), lambda: torch.zeros(0),
        lambda: torch.ones(3, dtype=torch.complex64), lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        lambda: torch.tensor(float("nan")), lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        lambda: torch.nn.Parameter(torch.ones(2)), lambda: torch.ones(2, dtype=torch.float8_e4m3fn), lambda: torch.ones(2).bool(),
    ))  # fmt: skip

    def with_tensor(make: Callable[[], torch.Tensor]) -> bytes:
        value = pickle.loads(pickle.dumps(seed))
        network = value["model"]
        network[next(iter(network))] = make()
        return _saved(value)

    bombs = [
        _zip({name: part for name, part in members.items()}, zipfile.ZIP_DEFLATED),
        _zip({**members, program: b"\x80\x02" + b"0" * 2**28 + b"."}, zipfile.ZIP_DEFLATED),
        _zip({**members, program.replace("data.pkl", "data/0"): bytes(2**29)}, zipfile.ZIP_DEFLATED),
    ]
    replaced = edits(members[program], traps).map(lambda edited: _zip({**members, program: edited}))
    lost = st.sampled_from(sorted(members)).flatmap(
        lambda name: st.binary(max_size=9).map(lambda short: _zip({**members, name: short}))
    )
    instructions = _instructions().map(lambda edited: _zip({**members, program: edited}))
    return (
        trees(_plain(seed)).map(_saved)
        | odd_tensors.map(with_tensor)
        | replaced
        | instructions
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
    names = {
        "backbone.fusion.image_lang_att.weight": torch.ones(2, 2),
        "classifier.mscb4.msdc.dwconvs.0.0.weight": torch.ones(3, 3),
    }
    seed = {
        "model": dict(network.state_dict()),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
    }

    def read(path: Path) -> None:
        tensors = read_state_dict(path)
        fill_network(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), tensors, path)

    return Reader("pth", "released.pth", _torch_inputs(seed), read)


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

    return Reader("resume", "training/step-000000010.pt", _torch_inputs(seed), read)


@reader
def tokenizer(folder: Path) -> Reader:
    from harness.data.text import encode, load_tokenizer, train_wordpiece

    seed = json.loads(train_wordpiece(["the ship"], 100).to_str())

    def read(path: Path) -> None:
        found = load_tokenizer(path)
        for sentence in ("the ship", "", "ä船 " * 200, "x" * 500):
            encode(found, sentence, 20)
        found.get_vocab_size()

    return Reader("tokenizer", "tokenizer.json", _json_inputs(seed), read)


# -- What the report reads -------------------------------------------------------------------------------------------


@reader
def statistics(folder: Path) -> Reader:
    from sample_tables import evaluated_profile

    from harness.report.inputs import read_statistics
    from harness.statistics.build import build

    made = evaluated_profile(folder, n=12, resamples=2)
    build(made)
    content = json.loads(made.statistics_file.read_text())
    few = {key: value[:2] if isinstance(value, list) else value for key, value in content.items()}
    return Reader("statistics", "statistics.json", _json_inputs(few), read_statistics)


@reader
def records(folder: Path) -> Reader:
    """The small JSON files of a run and of the data; what is wrong with them becomes a sentence."""
    from harness.report.checkpoints import _cells
    from harness.report.efficiency import _read
    from harness.report.inputs import Run, _read_provenance
    from harness.report.parity import read_parity
    from harness.report.provenance import read_source, session_rows

    machine = {"torch": "2.6", "device": "cpu", "python": "3.11"}
    provenance = {
        "run": "mafn-full-s0",
        "sessions": [machine],
        "packages": {"torch": "2.6"},
        "losses": {"val": 0.5},
    }
    source = {
        "dataset": "x",
        "expressions": {"test": 3},
        "fingerprint": {"files": 1, "bytes": 2, "sha256": "ab"},
    }
    summaries = {
        name: {"resized": {"oIoU": 50.0, "mIoU": 40.0}} for name in ("val", "test", "val-last", "test-last")
    }
    seed = {"schema_version": 1, **provenance, **source, **summaries, "parameters": 9, "peak_memory": 9}

    def read(path: Path) -> None:
        found, _ = _read_provenance(path)
        session_rows([Run("mafn-full-s0", "mafn-full", 0, path.parent, found)])
        read_source(path), read_parity(path), _cells(path), _read(Run("", "", 0, path.parent))

    return Reader("records", "efficiency.json", _json_inputs(seed), read)
