"""Reading Parquet that anybody may have written: the columns asked for, of bounded size.

A file of a few kilobytes can hold a column of a billion equal values, or a long text that a million rows share. Sizes
are therefore compared before columns are decoded, and texts stay dictionaries until theirs are known.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MOST_BYTES = 2**27  # of the columns in memory: at most some 900,000 rows of a per-sample table


@contextmanager
def open_parquet(path: Path | str, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    """Open a file of which the columns of `schema` will be read.

    Raises:
        ValueError: it is no Parquet file. So does whatever pyarrow raises inside the block.
        OSError: it cannot be read.
    """
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    try:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            yield file
    except pa.ArrowKeyError as error:
        raise ValueError(str(error)) from None
    except (pa.ArrowException, KeyError, RecursionError) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from None


def read_columns(file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    """The columns of `schema`, in its types, with the file's metadata.

    Raises:
        ValueError: a column is missing, there twice, or of another type; or the columns take more than `MOST_BYTES`.
    """
    found = file.schema_arrow
    for field in schema:
        if len(places := found.get_all_field_indices(field.name)) != 1:
            raise ValueError(f"it has {len(places)} columns {field.name!r}, not one")
        held = found.field(field.name).type
        if pa.types.is_nested(held) and not held.equals(field.type):
            raise ValueError(f"its column {field.name!r} is of type {held}, not {field.type}")
    _require(_least_bytes(file, schema))
    table = file.read(columns=schema.names, use_threads=False).select(schema.names)
    _require(table.nbytes + sum(map(_text_bytes, table.columns)))
    table = table.cast(schema.remove_metadata())
    table.validate(full=True)  # texts that are no UTF-8 would be found by whoever reads them first
    return table.replace_schema_metadata(found.metadata)


def _least_bytes(file: pq.ParquetFile, schema: pa.Schema) -> int:
    """What the file itself says its columns take. Of row groups alone: a damaged column's record ends the process."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    rows = max(file.metadata.num_rows, sum(group.num_rows for group in groups))
    stated: int = max(8 * len(schema) * rows, sum(group.total_byte_size for group in groups))
    return stated


def _text_bytes(column: pa.ChunkedArray) -> int:
    """What a dictionary of texts takes once each row has its own; 0 for other columns."""
    if not pa.types.is_dictionary(column.type):
        return 0
    return sum(
        pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0 for chunk in column.chunks
    )


def _require(size: int) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"its columns take {size:,} bytes, more than the {MOST_BYTES:,} that are read")
