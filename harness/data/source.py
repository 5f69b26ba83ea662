"""Where the expressions come from: a folder in a known layout, drawn first where params.yaml says so.

The `data` stage writes a fingerprint of that folder. The folder itself is not an output of the pipeline: DVC deletes
outputs before it makes them again, and a data root may be the only copy that somebody has.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

from harness.config import SPLITS, Params
from harness.data import DatasetFormat, Expression, Finding, Rle
from harness.data.findings import KINDS
from harness.errors import HarnessError
from harness.files import read_json, write_json
from harness.registry import DATASETS

SCHEMA_VERSION = 1


def source_file(params: Params) -> Path:
    """The fingerprint that the `data` stage writes."""
    return params.out / "source" / "source.json"


def find_format(name: str) -> DatasetFormat:
    """The registered layout `name`; what its reader yields is checked on the way.

    Raises:
        HarnessError: unknown, or what is registered is no `DatasetFormat`. Reading raises it where the reader yields
            what no `Expression` or `Finding` can be.
    """
    found = DATASETS.load(name)
    if not isinstance(found, DatasetFormat):
        raise HarnessError(f"{DATASETS.describe(name)} is no harness.data.DatasetFormat")
    return replace(found, read=partial(_read_checked, name, found.read))


def _read_checked(
    name: str, read: Callable[[Path], Iterator[Expression | Finding]], root: Path
) -> Iterator[Expression | Finding]:
    for number, item in enumerate(read(root), 1):
        if problem := _problem(item):
            raise HarnessError(
                f"{DATASETS.describe(name)}: item {number} that it reads from {root} {problem}; its reader has to be "
                "mended: docs/add_a_dataset.md"
            )
        yield item


def _problem(item: object) -> str | None:
    """What makes it no expression or finding; None where nothing does."""
    if isinstance(item, Finding):
        return (
            None if item.kind in KINDS else f"is a finding of the kind {item.kind!r}, which is not in KINDS"
        )
    if not isinstance(item, Expression):
        return f"is a {type(item).__name__}, no Expression or Finding"
    if item.split not in SPLITS:
        return f"has the split {item.split!r}, none of {', '.join(SPLITS)}"
    for field in ("image_id", "ref_id", "ann_id", "sent_id", "category_id"):
        value = getattr(item, field)
        if not isinstance(value, Integral) or isinstance(value, bool) or not -(2**63) <= int(value) < 2**63:
            return f"has the {field} {value!r}, no integer of 64 bits"
    for field in ("category", "sentence"):
        if not isinstance(value := getattr(item, field), str) or not value.strip():
            return f"has the {field} {value!r}, no text"
    if not isinstance(item.image, Path):
        return f"has the image {item.image!r}, no Path"
    if not isinstance(item.mask, Path | Rle):
        return f"has a {type(item.mask).__name__} as mask, no Path or Rle"
    return None


def read_expressions(params: Params) -> Iterator[Expression | Finding]:
    """Yield the expressions of `data.root` through the registered reader `data.reader`."""
    yield from find_format(params.data.reader).read(params.data.root)


def record_source(params: Params) -> dict[str, Any]:
    """Write the fingerprint of `data.root` and return it."""
    splits: dict[str, int] = {}
    for item in read_expressions(params):
        if isinstance(item, Expression):
            splits[item.split] = splits.get(item.split, 0) + 1
    if missing := [split for split in SPLITS if split not in splits]:
        raise HarnessError(f"{params.data.root} has no expression in the split {missing[0]!r}")
    source = {
        "schema_version": SCHEMA_VERSION,
        "dataset": params.data.dataset,
        "root": str(params.data.root),
        "expressions": {split: splits[split] for split in SPLITS},
        "fingerprint": fingerprint(params.data.root),
    }
    write_json(source_file(params), source)
    return source


def require_unchanged(params: Params) -> None:
    """Check that `data.root` is what the `data` stage saw.

    Raises:
        HarnessError: a file of it was added, removed, or has another size.
    """
    recorded = read_json(source_file(params), f"harness data source --params {params.params}")
    if not params.data.root.is_dir():
        raise HarnessError(f"data.root {params.data.root} of {params.params} does not exist")
    if recorded["fingerprint"] != fingerprint(params.data.root):
        raise HarnessError(
            f"{params.data.root} has changed since {source_file(params)} was written; if that was meant, run "
            f"`dvc repro --force {params.pipeline}:data`"
        )


def fingerprint(root: Path) -> dict[str, Any]:
    """Names and sizes of all files but the records of a fetch, contents of the small number that is not images."""
    digest, count, size = hashlib.sha256(), 0, 0
    for path in sorted(path for path in root.rglob("[!.]*") if path.is_file() and path.name != "SHA256SUMS"):
        length = path.stat().st_size
        digest.update(f"{path.relative_to(root).as_posix()}\0{length}\0".encode())
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".xml"):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        count, size = count + 1, size + length
    return {"files": count, "bytes": size, "sha256": digest.hexdigest()}
