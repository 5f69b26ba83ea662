"""Per-sample tables, predictions and feature maps in Parquet; prepared splits in Arrow; CSV."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from sample_tables import sample_table

from .mutations import COUNTS, SIZES, edits
from .reader import Inputs, Reader, reader


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
                pa.nulls(rows), pa.array([None] * rows, pa.int64()), pa.array([2**63 - 1] * rows),
                pa.array([-(2**63)] * rows),
                pa.array([2**64 - 1] * rows, pa.uint64()), pa.array([1e308] * rows), pa.array([float("nan")] * rows),
                pa.array(["x"] * rows), pa.array(["\x00"] * rows), pa.array([b"\xff"] * rows, pa.binary()),
                pa.array([[1, 2]] * rows), pa.array([{"a": 1}] * rows), pa.array(["x"] * rows).dictionary_encode(),
                pa.array([True] * rows), pa.array([10**18] * rows, pa.timestamp("us")),
                pa.array([10**17] * rows, pa.duration("s")),
                pa.array(["x" * 10_000] * rows), pa.array([[]] * rows, pa.list_(pa.int64())),
                pa.array([0.5] * rows, pa.float16()),
                pa.array([-1] * rows), pa.array([0] * rows, pa.int8()), pa.array([COUNTS.encode()] * rows,
                pa.large_binary()),
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
        "samples",
        "test.resized.parquet",
        _parquet(table),
        _table_inputs(table, _parquet) | st.sampled_from(bombs),
        read,
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
            "prediction": [COUNTS] * 6,
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

    return Reader("predictions", "predictions.parquet", _parquet(table), _table_inputs(table, _parquet), read)


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
    return Reader(
        "features", "features.parquet", _parquet(table), _table_inputs(table, _parquet), read_feature_maps
    )


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
        "category": "ship", "sentence": "The ship", "file_name": "1.png", "image": image.getvalue(),
        "height": 9, "width": 9,
        "mask_counts": COUNTS,
    }  # fmt: skip
    described = {"version": SCHEMA_VERSION, "dataset": "drawn", "defects": {}}
    table = pa.Table.from_pylist(
        [row] * 3, SCHEMA.with_metadata({SCHEMA_KEY: json.dumps(described).encode()})
    )
    tokenizer = train_wordpiece(["The ship"], 100)

    def read(path: Path) -> None:
        read_defects(path)
        dataset = ExpressionDataset(path, tokenizer, image_size=32, max_tokens=5)
        for index in range(len(dataset)):
            dataset[index]

    return Reader("split", "test.arrow", _arrow(table), _table_inputs(table, _arrow), read)


@reader
def csv(folder: Path) -> Reader:
    from harness.comparing.csv_tables import read_csv

    content = sample_table(6).to_csv(index=False).encode()
    traps = (
        b'"', b",", b"\n", b"\r", b"\x00", b"\xff", b"nan", b"inf", b"1e400", b"9" * 5000, b"-1", b"1.5",
        b"," * 3000, b"\xef\xbb\xbf", b"0x10", b"1_0", b" ", b"'", b"9" * 19, b"ref_id,", b"\n\n\n",
    )  # fmt: skip
    return Reader("csv", "a.csv", content, edits(content, traps), read_csv)
