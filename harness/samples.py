"""The per-sample table: one row an expression, from which every table, test and figure derives."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError
from harness.files import atomic_write
from harness.plain_parquet import open_parquet, read_columns

SCHEMA_KEY = b"rrsis_harness.samples"
SCHEMA_VERSION = b"1"
SENTENCES_KEY = b"rrsis_harness.sentences"
WEIGHTS_KEY = b"rrsis_harness.weights"

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("variant", pa.string()),
        ("seed", pa.int64()),
        ("split", pa.string()),
        ("protocol", pa.string()),  # "resized": at the network's input size; "native": at the mask's own
        ("dataset", pa.string()),
        ("image_id", pa.int64()),
        ("ref_id", pa.int64()),
        ("sentence", pa.string()),
        ("category", pa.string()),
        ("intersection", pa.int64()),  # pixels
        ("union", pa.int64()),  # pixels
        ("iou", pa.float64()),  # intersection / union, 0 where the union is empty
        ("mask_area", pa.int64()),  # pixels of the true mask
        ("area_share", pa.float64()),  # mask_area / pixels of the image
        ("center_x", pa.float64()),  # centre of mass of the true mask, 0 (left) to 1; NaN for an empty mask
        ("center_y", pa.float64()),  # 0 (top) to 1
        ("cluster_id", pa.int64()),  # images that are copies of each other share it
    ],
    metadata={SCHEMA_KEY: SCHEMA_VERSION},
)


def write_samples(
    samples: pd.DataFrame, path: Path | str, *, shuffled: bool = False, last: bool = False
) -> None:
    """Write a per-sample table as Parquet; the same rows give the same bytes.

    Args:
        samples: the columns of `SCHEMA`.
        path: the file.
        shuffled: the model was given the sentences of other images; said in the file's metadata.
        last: it had the weights of its last step, not the best on val; said there as well.
    """
    table = pa.Table.from_pandas(samples[SCHEMA.names], schema=SCHEMA, preserve_index=False)
    metadata = dict(SCHEMA.metadata)
    if shuffled:
        metadata[SENTENCES_KEY] = b"shuffled"
    if last:
        metadata[WEIGHTS_KEY] = b"last"
    with atomic_write(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def is_shuffled(path: Path | str) -> bool:
    """Whether a table that `read_samples` accepts was made with the sentences of other images."""
    return (pq.read_schema(path).metadata or {}).get(SENTENCES_KEY) == b"shuffled"


def is_last(path: Path | str) -> bool:
    """Whether a table that `read_samples` accepts was made with the weights of the last step."""
    return (pq.read_schema(path).metadata or {}).get(WEIGHTS_KEY) == b"last"


def read_samples(path: Path | str) -> pd.DataFrame:
    """Read a per-sample table.

    Raises:
        HarnessError: the file is missing, is no Parquet file, lacks a column, has another schema version,
            takes more memory than a table may, or holds counts that cannot be (a negative intersection, an
            intersection above its union).
    """
    try:
        with open_parquet(path, SCHEMA) as file:
            _require_ours(file.schema_arrow, path)
            table = read_columns(file, SCHEMA)
            for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True):
                if table[name].null_count and not pa.types.is_floating(kind):
                    raise ValueError(f"its column {name!r} has gaps")
            samples: pd.DataFrame = table.to_pandas()
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness evaluate` writes it") from None
    except (ValueError, OSError) as error:
        raise HarnessError(
            f"{path} is not a per-sample Parquet table: {error}; evaluate the run again"
        ) from None
    impossible = (samples["intersection"] < 0) | (samples["intersection"] > samples["union"])
    if impossible.any():
        row = samples[impossible].iloc[0]
        raise HarnessError(
            f"{path}, ref_id {row.ref_id}: intersection {row.intersection} and union {row.union} cannot be; "
            "evaluate the run again"
        )
    return samples


def _require_ours(schema: pa.Schema, path: Path | str) -> None:
    version = (schema.metadata or {}).get(SCHEMA_KEY)
    if version != SCHEMA_VERSION:
        found = "none" if version is None else version.decode(errors="replace")[:20]
        raise HarnessError(
            f"{path} is no per-sample table that this harness reads (schema version {SCHEMA_VERSION.decode()}; the "
            f"file has {found}); `harness evaluate` writes one"
        )
    if missing := [name for name in SCHEMA.names if name not in schema.names]:
        raise HarnessError(f"{path} lacks the columns {', '.join(missing)}; evaluate the run again")
