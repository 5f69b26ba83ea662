"""The committed reference of `harness check`: what was found when it was last accepted.

reference.json            settings, seed noise, checksums of the Parquet files
exact.json                metrics, comparisons and tables, recomputed from the files below
predictions.parquet       the true masks, and those that one run of each model predicted, run-length encoded
retrained/<run>.parquet   per-sample tables of all runs of Table I, as `harness evaluate` wrote them
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from harness.config import Params, Section
from harness.errors import HarnessError
from harness.files import atomic_write, read_json, write_json
from harness.samples import read_samples, write_samples
from harness.statistics.evaluated import runs_of

SCHEMA_VERSION = 1
SPLIT, PROTOCOL = "test", "resized"
RESAMPLES = 2_000  # of every interval and test here: two decimals of a gate need no more
KEY = ["ref_id", "sentence"]
UPDATE = "harness check --update"
_FILES = ("reference.json", "exact.json", "predictions.parquet")


class Noise(Section):
    """How much networks differ that are trained with other seeds only; in points, by variant and metric."""

    profile: str  # whose runs were measured
    seeds: tuple[int, ...]
    sd: dict[str, dict[str, float]]  # standard deviation of a metric over the seeds
    margin: dict[
        str, dict[str, float]
    ]  # half the 95% interval over images of the difference of two such networks


class Settings(Section):
    """reference.json."""

    schema_version: int
    samples_schema: str
    profile: str
    dataset: str
    split: str
    protocol: str
    image_size: int
    expressions: int
    resamples: int
    runs: dict[
        str, tuple[str, ...]
    ]  # of each variant in Table I, by rising seed; the first one's masks are kept
    noise: Noise
    trained_with: dict[str, Any]  # commit, device and versions, from the provenance of the first run
    files: dict[str, str]  # sha256 of the Parquet files


class SchemaChanged(HarnessError):
    """The reference was written under another schema: the gate fails, the input is not bad."""


@dataclass(frozen=True)
class Reference:
    """A reference in memory."""

    settings: Settings
    exact: dict[str, Any]
    masks: pd.DataFrame  # ref_id, sentence, truth and a column a variant: COCO RLE counts, sorted by KEY
    tables: dict[str, pd.DataFrame]  # per-sample tables by run, sorted by KEY

    def samples(self, variant: str) -> pd.DataFrame:
        """The per-sample tables of all runs of a variant."""
        return pd.concat([self.tables[run] for run in self.settings.runs[variant]], ignore_index=True)


def gated_runs(params: Params) -> dict[str, tuple[str, ...]]:
    """The variants of Table I and their runs.

    Raises:
        HarnessError: Table I is empty, or a variant has no run.
    """
    variants = tuple(dict.fromkeys(params.tables.table1.rows.values()))
    if not variants:
        raise HarnessError(
            f"{params.params}: tables.table1.rows names no variant, so there is nothing to check"
        )
    runs = {variant: runs_of(params, variant) for variant in variants}
    if untrained := [variant for variant, names in runs.items() if not names]:
        raise HarnessError(
            f"{params.params}: no run trains {', '.join(untrained)} of Table I; add one under `runs`"
        )
    return runs


def read_reference(folder: Path) -> Reference:
    """Read a reference and check that it is whole.

    Raises:
        SchemaChanged: it was written under another schema.
        HarnessError: missing or damaged; names the file.
    """
    _restore(folder)
    if not folder.is_dir():
        raise HarnessError(
            f"there is no reference {folder}; `{UPDATE} --seed-runs PARAMS` writes the first one"
        )
    path = folder / "reference.json"
    content = read_json(path, UPDATE)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise SchemaChanged(
            f"{path} has schema version {version}, this harness {SCHEMA_VERSION}; `{UPDATE} --seed-runs PARAMS` "
            "writes it anew"
        )
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise HarnessError(f"{path} is damaged: {where}: {first['msg']}; {_way_out(folder)}") from None
    expected = {"predictions.parquet", *(f"retrained/{run}.parquet" for run in _all_runs(settings))}
    if different := expected ^ set(settings.files):
        raise HarnessError(f"{path} is damaged: files: {', '.join(sorted(different))}; {_way_out(folder)}")
    for name, checksum in settings.files.items():
        _verify(folder, name, checksum)
    from harness.samples import SCHEMA_VERSION as SAMPLES_SCHEMA

    if settings.samples_schema != SAMPLES_SCHEMA.decode():
        raise SchemaChanged(
            f"{path}: its per-sample tables have schema version {settings.samples_schema}, this harness "
            f"{SAMPLES_SCHEMA.decode()}; `{UPDATE} --seed-runs PARAMS` writes them anew"
        )
    exact = read_json(folder / "exact.json", UPDATE)
    parts = ("metrics", "comparisons", "tables")
    if not isinstance(exact, dict) or not all(isinstance(exact.get(part), dict) for part in parts):
        raise HarnessError(
            f"{folder / 'exact.json'} is damaged: it lacks {' or '.join(parts)}; {_way_out(folder)}"
        )
    return Reference(
        settings=settings,
        exact=exact,
        masks=pq.read_table(folder / "predictions.parquet").to_pandas(),
        tables={
            run: by_key(read_samples(folder / "retrained" / f"{run}.parquet")) for run in _all_runs(settings)
        },
    )


def write_reference(reference: Reference, folder: Path) -> None:
    """Write a reference in place of the old one. A kill at any moment leaves one of the two whole.

    The new folder is written beside the old one, which is then renamed, and removed last. Killed between the two
    renames, the next reader finds the old one under its other name and puts it back.

    Raises:
        HarnessError: it cannot be written, or `folder` holds files that are no reference's.
    """
    _restore(folder)
    _refuse_others(folder)
    new, old = folder.with_name(f".{folder.name}.new"), _old(folder)
    try:
        shutil.rmtree(new, ignore_errors=True)  # of a killed predecessor
        (new / "retrained").mkdir(parents=True)
        _write_files(reference, new)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise HarnessError(
            f"cannot write {folder}: {error.strerror or error}; what was there is unchanged"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def by_key(table: pd.DataFrame) -> pd.DataFrame:
    """A table in the order that all tables of a reference have."""
    return table.sort_values(KEY, kind="stable", ignore_index=True)


def _write_files(reference: Reference, folder: Path) -> None:
    with atomic_write(folder / "predictions.parquet") as temporary:
        table = pa.Table.from_pandas(reference.masks, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(table, temporary, compression="zstd", compression_level=19)
    for run, samples in reference.tables.items():
        write_samples(samples, folder / "retrained" / f"{run}.parquet")
    write_json(folder / "exact.json", reference.exact)
    files = {
        path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.glob("**/*.parquet"))
    }
    settings = reference.settings.model_copy(update={"files": files})
    write_json(folder / "reference.json", settings.model_dump(mode="json"))


def _restore(folder: Path) -> None:
    if not folder.exists() and _old(folder).is_dir():
        _old(folder).rename(folder)


def _refuse_others(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise HarnessError(f"{folder} is no folder; name another one with --reference")
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    others = [name for name in found if name not in _FILES and not name.startswith("retrained/")]
    if others or (found and "reference.json" not in found):
        named = ", ".join(sorted(others or found)[:3])
        raise HarnessError(
            f"{folder} holds files that are no reference's ({named}) and would be replaced; move them away, or name "
            "another folder with --reference"
        )


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _all_runs(settings: Settings) -> Sequence[str]:
    return [run for runs in settings.runs.values() for run in runs]


def _verify(folder: Path, name: str, checksum: str) -> None:
    path = folder / name
    try:
        found = _sha256(path)
    except OSError as error:
        raise HarnessError(f"{path} cannot be read: {error.strerror}; {_way_out(folder)}") from None
    if found != checksum:
        raise HarnessError(
            f"{path} is damaged: its sha256 is {found[:12]}..., reference.json says {checksum[:12]}...; "
            f"{_way_out(folder)}"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _way_out(folder: Path) -> str:
    return f"restore it with `git checkout {folder.as_posix()}`, or write it anew with `{UPDATE}`"
