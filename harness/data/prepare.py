"""Preparation: a data set in any layout becomes one Arrow file a split, and the sentences' tokenizer."""

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.config import SPLITS, Params
from harness.data import Expression
from harness.data.source import read_expressions, require_unchanged
from harness.data.text import make_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.files import atomic_write
from harness.progress import Progress

SCHEMA_KEY = b"rrsis_harness.expressions"
SCHEMA_VERSION = 1
ROWS_A_BATCH = 64  # bounds memory: 64 JPEGs of 800 x 800 are some 20 MB

SCHEMA = pa.schema(
    [
        ("image_id", pa.int64()),
        ("ref_id", pa.int64()),
        ("ann_id", pa.int64()),
        ("sent_id", pa.int64()),
        ("split", pa.string()),
        ("cluster_id", pa.int64()),  # smallest image_id among the identical image files
        ("category_id", pa.int64()),
        ("category", pa.string()),
        ("sentence", pa.string()),
        ("file_name", pa.string()),
        ("image", pa.binary()),  # the file as it is, usually JPEG
        ("height", pa.int32()),  # of the mask; the image file knows its own size
        ("width", pa.int32()),
        ("mask_counts", pa.string()),  # COCO run-length encoding, compressed
    ]
)


def prepare(params: Params) -> dict[str, int]:
    """Write `${out}/data/{train,val,test}.arrow` and the tokenizer; return the rows a split.

    Rows are ordered by (image_id, ref_id, sent_id). Nothing is left out: an empty mask stays in the set (the released
    metric scores it 0), and an image whose size differs from its mask's keeps both sizes (both are resized to the
    network's input). All four files are there at the end, or none is new.
    """
    require_unchanged(params)
    expressions = sorted(
        read_expressions(params),
        key=lambda expression: (expression.image_id, expression.ref_id, expression.sent_id),
    )
    _require_unique(expressions)
    metadata = {SCHEMA_KEY: json.dumps({"version": SCHEMA_VERSION, "dataset": params.data.dataset}).encode()}
    schema = SCHEMA.with_metadata(metadata)
    clusters: dict[bytes, int] = {}
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    counts = dict.fromkeys(SPLITS, 0)
    tokenizer = make_tokenizer(params.text, (e.sentence for e in expressions if e.split == "train"))
    with ExitStack() as files:
        writers = {}
        for split in SPLITS:
            temporary = files.enter_context(atomic_write(params.split_file(split)))
            sink = files.enter_context(pa.OSFile(str(temporary), "wb"))
            writers[split] = files.enter_context(pa.ipc.new_file(sink, schema))
        tokenizer.save(str(files.enter_context(atomic_write(tokenizer_file(params)))))
        for expression in Progress("prepare", len(expressions), "expressions").track(expressions):
            split = expression.split
            rows[split].append(_row(expression, clusters))
            counts[split] += 1
            if len(rows[split]) == ROWS_A_BATCH:
                writers[split].write(pa.RecordBatch.from_pylist(rows[split], schema))
                rows[split].clear()
        for split in SPLITS:
            if rows[split]:
                writers[split].write(pa.RecordBatch.from_pylist(rows[split], schema))
    return counts


def _row(expression: Expression, clusters: dict[bytes, int]) -> dict[str, Any]:
    try:
        image = expression.image.read_bytes()
    except OSError as error:
        raise HarnessError(f"{expression.image} cannot be read ({error.strerror}); fetch it again") from None
    height, width = expression.mask_size
    return {
        "image_id": expression.image_id,
        "ref_id": expression.ref_id,
        "ann_id": expression.ann_id,
        "sent_id": expression.sent_id,
        "split": expression.split,
        # rows come in order of image_id: the first file with these bytes has the smallest
        "cluster_id": clusters.setdefault(hashlib.sha256(image).digest(), expression.image_id),
        "category_id": expression.category_id,
        "category": expression.category,
        "sentence": expression.sentence,
        "file_name": expression.image.name,
        "image": image,
        "height": height,
        "width": width,
        "mask_counts": expression.mask_counts,
    }


def _require_unique(expressions: list[Expression]) -> None:
    seen: set[tuple[int, str]] = set()
    for expression in expressions:
        key = (expression.ref_id, expression.sentence)
        if key in seen:
            raise HarnessError(
                f"ref_id {expression.ref_id} has the sentence {expression.sentence!r} twice (image "
                f"{expression.image.name}); results are paired on ref_id and sentence, so remove one"
            )
        seen.add(key)


def open_split(path: Path) -> pa.Table:
    """Memory-map a prepared split.

    Raises:
        HarnessError: missing, no Arrow file, or of another schema version.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        version = json.loads(table.schema.metadata[SCHEMA_KEY])["version"]
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness prepare` writes it") from None
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        raise HarnessError(f"{path} is not a prepared split; write it again with `harness prepare`") from None
    if version != SCHEMA_VERSION:
        raise HarnessError(
            f"{path} has schema version {version}, this harness reads {SCHEMA_VERSION}; run `harness prepare` again"
        )
    return table
