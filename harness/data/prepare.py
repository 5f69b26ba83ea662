"""Preparation: a data set in any layout becomes one Arrow file a split, and the sentences' tokenizer.

Twice through the images: first every file is decoded and hashed, in parallel, which gives the defects and the clusters
of duplicates; then the files are copied into the Arrow files, a batch in memory at a time.
"""

import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
from filelock import FileLock, Timeout

from harness.config import SPLITS, Defect, Params
from harness.data import Expression, Finding
from harness.data.duplicates import find_clusters
from harness.data.findings import KINDS, cluster_ids, find_defects, find_duplicates
from harness.data.inspection import Inspection, MaskFacts, inspect
from harness.data.source import read_expressions, require_unchanged
from harness.data.text import make_tokenizer, tokenizer_file
from harness.errors import HarnessError, shown
from harness.files import replace_together
from harness.progress import Progress

SCHEMA_KEY = b"rrsis_harness.expressions"
SCHEMA_VERSION = 2
ROWS_A_BATCH = 64  # bounds memory: 64 JPEGs of 800 x 800 are some 20 MB

SCHEMA = pa.schema(
    [
        ("image_id", pa.int64()),
        ("ref_id", pa.int64()),
        ("ann_id", pa.int64()),
        ("sent_id", pa.int64()),
        ("split", pa.string()),
        ("cluster_id", pa.int64()),  # smallest image_id among the identical and nearly identical images
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

    Rows are ordered by (image_id, ref_id, sent_id). `KINDS` says what is done with each kind of defect; kinds under
    `data.drop` are left out instead. Both are written into the files' metadata: `read_defects`. The same data gives
    the same bytes for any number of workers. All four files are there at the end, or none is new.

    Raises:
        HarnessError: a defect that the released code would fail on, another `prepare` at work, or data that changed
            since the `data` stage or under our hands.
    """
    require_unchanged(params)
    try:  # not in the folder of the prepared files, which DVC takes as a whole
        with FileLock(params.out / ".prepare.lock", blocking=False):
            return _prepare(params)
    except Timeout:
        raise HarnessError(f"another `harness prepare` is writing to {params.out}; wait for it") from None


def _prepare(params: Params) -> dict[str, int]:
    lost: list[Finding] = []  # what the reader yields in place of an expression
    expressions: list[Expression] = []
    for item in read_expressions(params):
        if isinstance(item, Expression):
            expressions.append(item)
        else:
            lost.append(item)
    expressions.sort(key=lambda item: (item.image_id, item.ref_id, item.sent_id))
    with Progress("inspect", len(expressions), "expressions") as progress:
        inspection = inspect(expressions, params.data.workers, lambda done: progress.advance(units=done))
    tokenizer = make_tokenizer(params.text, (e.sentence for e in expressions if e.split == "train"))
    tokens = [len(tokenizer.encode(expression.sentence).ids) for expression in expressions]
    root = params.data.root
    defects = find_defects(root, expressions, inspection, tokens, max_tokens=params.text.max_tokens)
    clusters = find_clusters([facts.hash for facts in inspection.images.values() if facts.hash is not None])
    findings = [*lost, *(finding for _, finding in defects)]
    _require_usable(params, findings)
    findings += find_duplicates(root, expressions, inspection, clusters)
    dropped = {row for row, finding in defects if finding.kind in params.data.drop}
    rows = [row for row in range(len(expressions)) if row not in dropped]
    metadata = {
        "version": SCHEMA_VERSION,
        "dataset": params.data.dataset,
        "defects": _treatments(findings, params.data.drop),
    }
    schema = SCHEMA.with_metadata({SCHEMA_KEY: json.dumps(metadata).encode()})
    clustered = cluster_ids(expressions, inspection, clusters)
    batches: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    counts = Counter(expressions[row].split for row in rows)
    if empty := [split for split in SPLITS if not counts[split]]:
        raise HarnessError(
            f"data.drop {', '.join(params.data.drop)} leaves no expression in the split {empty[0]!r}"
        )
    paths = [*(params.split_file(split) for split in SPLITS), tokenizer_file(params)]
    with replace_together(paths) as temporary, ExitStack() as files:
        tokenizer.save(str(temporary[-1]))
        writers = {}
        for split, path in zip(SPLITS, temporary, strict=False):
            sink = files.enter_context(pa.OSFile(str(path), "wb"))
            writers[split] = files.enter_context(pa.ipc.new_file(sink, schema))
        for row in Progress("prepare", len(rows), "expressions").track(rows):
            expression = expressions[row]
            batch = batches[expression.split]
            image = _read_again(expression.image, inspection)
            batch.append(_row(expression, image, inspection.masks[row], int(clustered[row])))
            if len(batch) == ROWS_A_BATCH:
                writers[expression.split].write(pa.RecordBatch.from_pylist(batch, schema))
                batch.clear()
        for split, batch in batches.items():
            if batch:
                writers[split].write(pa.RecordBatch.from_pylist(batch, schema))
    return {split: counts[split] for split in SPLITS}


def _require_usable(params: Params, findings: list[Finding]) -> None:
    """Stop where the released code would fail."""
    stopping = [
        finding for finding in findings if KINDS[finding.kind].stops and finding.kind not in params.data.drop
    ]
    if stopping:
        some = "".join(f"\n  {finding.kind}  {finding.message}" for finding in stopping[:5])
        more = f"\n  and {len(stopping) - 5:,} more" if len(stopping) > 5 else ""
        many = f"{len(stopping):,} defects" if len(stopping) > 1 else "a defect"
        droppable = sorted({finding.kind for finding in stopping} & set(get_args(Defect)))
        ways = ["`harness data verify` lists them all"]
        if params.data.sources:
            ways.append(
                f"`harness data fetch {params.data.dataset} --repair` brings what is missing or damaged"
            )
        if droppable:
            ways.append(
                f"`drop: [{', '.join(droppable)}]` under data in {params.params} leaves expressions out"
            )
        raise HarnessError(
            f"{params.data.root} has {many} that no network can be fed with:{some}{more}\n{'; '.join(ways)}"
        )


def _treatments(findings: list[Finding], drop: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """How often each kind of defect occurs and what is done with it."""
    found = Counter(finding.kind for finding in findings)
    return {
        kind: {"found": found[kind], "treatment": "left out" if kind in drop else described.treatment}
        for kind, described in KINDS.items()
        if found[kind]
    }


def _read_again(path: Path, inspection: Inspection) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HarnessError(f"{path} cannot be read ({error.strerror}); nothing was written") from None
    if hashlib.sha256(content).digest() != inspection.images[path].sha256:
        raise HarnessError(f"{path} was changed while it was being prepared; nothing was written")
    return content


def _row(expression: Expression, image: bytes, mask: MaskFacts, cluster: int) -> dict[str, Any]:
    assert mask.rle is not None  # _require_usable
    return {
        "image_id": expression.image_id,
        "ref_id": expression.ref_id,
        "ann_id": expression.ann_id,
        "sent_id": expression.sent_id,
        "split": expression.split,
        "cluster_id": cluster,
        "category_id": expression.category_id,
        "category": expression.category,
        "sentence": expression.sentence,
        "file_name": expression.image.name,
        "image": image,
        "height": mask.rle.height,
        "width": mask.rle.width,
        "mask_counts": mask.rle.counts,
    }


def read_defects(path: Path) -> dict[str, dict[str, Any]]:
    """The kinds of defect of the whole data set and what was done with them, from a prepared split's metadata.

    Returns:
        kind -> {"found": how often, "treatment": what was done}, in the order of `KINDS`.
    """
    defects = json.loads(open_split(path).schema.metadata[SCHEMA_KEY]).get("defects")
    if not isinstance(defects, dict):
        raise HarnessError(
            f"{path} does not say what is wrong with its data; write it again with `harness prepare`"
        )
    return defects


def open_split(path: Path) -> pa.Table:
    """Memory-map a prepared split.

    Raises:
        HarnessError: missing, damaged, no Arrow file, or of another schema version.
    """
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        described = json.loads((file.schema.metadata or {})[SCHEMA_KEY])
        version = described["version"]
        if version == SCHEMA_VERSION:
            if not file.schema.equals(SCHEMA):
                raise ValueError("its columns are others")
            table = file.read_all()
            table.validate(full=True)  # mapped, not copied: what offsets say is believed otherwise
            if any(column.null_count for column in table.columns):
                raise ValueError("a value is missing")
            return table
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness prepare` writes it") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError):
        raise HarnessError(f"{path} is not a prepared split; write it again with `harness prepare`") from None
    raise HarnessError(
        f"{path} has schema version {shown(version, 20)}, this harness reads {SCHEMA_VERSION}; run `harness prepare` "
        "again"
    )
