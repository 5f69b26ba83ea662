"""Data sets in RRSIS-D's layout, and the masks in them."""

import json
import pickle
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from .formats import instructions, json_bytes, json_inputs
from .mutations import COUNTS, edits, trees
from .reader import Reader, reader


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
             "segmentation": [{"size": [9, 9], "counts": COUNTS}]}
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


@reader
def instances(folder: Path) -> Reader:
    refs, content = _records()
    (folder / "rrsisd").mkdir()
    (folder / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps(refs))
    return Reader(
        "instances",
        "rrsisd/instances.json",
        json_bytes(content),
        json_inputs(content),
        lambda path: _read_dataset(path.parents[1]),
    )


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=4)


@reader
def refs(folder: Path) -> Reader:
    seed, others = _records()
    (folder / "rrsisd").mkdir()
    (folder / "rrsisd" / "instances.json").write_bytes(json_bytes(others))
    traps = (
        b"(", b"]", b"]r\xff\xff\xff\x7f", b"\x8d" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"2", b"cos\nsystem\n",
        b"R", b"\x8a\xff", b"\x8b\xff\xff\xff\x7f", b"Q", b"0", b"a", b"e", b"u", b"}", b"\x94", b"}" * 200_000,
    )  # fmt: skip
    inputs = (
        trees(seed).map(_pickled)
        | st.sampled_from(range(5)).flatmap(
            lambda protocol: edits(pickle.dumps(seed, protocol=protocol), traps)
        )
        | instructions()
    )
    return Reader(
        "refs", "rrsisd/refs(unc).p", _pickled(seed), inputs, lambda path: _read_dataset(path.parents[1])
    )


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
    counts = groups | edits(COUNTS.encode(), (b"o", b"0", b"ooooo_", b"P" * 13)).map(
        lambda b: b.decode("latin-1")
    )
    inputs = st.tuples(st.just(9) | side, st.just(9) | side, counts).map(json_bytes)
    return Reader("masks", "mask.json", json_bytes([9, 9, COUNTS]), inputs, read)
