"""Where the expressions come from: a folder in a known layout, drawn first where params.yaml says so.

The `data` stage writes a fingerprint of that folder. The folder itself is not an output of the pipeline: DVC deletes
outputs before it makes them again, and a data root may be the only copy that somebody has.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.config import SPLITS, Params
from harness.data import DatasetFormat, Expression, Finding
from harness.errors import HarnessError
from harness.files import read_json, write_json
from harness.registry import DATASETS

SCHEMA_VERSION = 1


def source_file(params: Params) -> Path:
    """The fingerprint that the `data` stage writes."""
    return params.out / "source" / "source.json"


def find_format(name: str) -> DatasetFormat:
    """The registered layout `name`.

    Raises:
        HarnessError: unknown, or what is registered is no `DatasetFormat`.
    """
    found = DATASETS.load(name)
    if not isinstance(found, DatasetFormat):
        raise HarnessError(
            f"data set {name!r} ({DATASETS.entry(name).value}) is no harness.data.DatasetFormat"
        )
    return found


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
        "fingerprint": _fingerprint(params.data.root),
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
    if recorded["fingerprint"] != _fingerprint(params.data.root):
        raise HarnessError(
            f"{params.data.root} has changed since {source_file(params)} was written; if that was meant, run "
            f"`dvc repro --force {params.pipeline}:data`"
        )


def _fingerprint(root: Path) -> dict[str, Any]:
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
