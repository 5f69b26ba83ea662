import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import HarnessError
from harness.samples import SCHEMA, SCHEMA_KEY, read_samples, write_samples

sys.path.insert(0, str(Path(__file__).parent / "statistics"))
from sample_tables import sample_table


@pytest.fixture
def table():
    return sample_table(12)


def written(path, table, schema=SCHEMA, metadata=None):
    """Write as `write_samples` would, were it to allow anything else."""
    arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(SCHEMA.metadata if metadata is None else metadata), path)
    return path


def test_what_is_written_is_read_back(tmp_path, table):
    table.loc[3, ["center_x", "center_y"]] = float("nan")
    table.loc[4, "sentence"] = "Das Schiff “links” 船\n"
    write_samples(table, tmp_path / "new" / "test.resized.parquet")
    pd.testing.assert_frame_equal(
        read_samples(tmp_path / "new" / "test.resized.parquet"), table, check_dtype=False
    )


def test_the_same_rows_give_the_same_bytes(tmp_path, table):
    write_samples(table, tmp_path / "one")
    write_samples(read_samples(tmp_path / "one"), tmp_path / "two")
    shuffled_columns = table[table.columns[::-1]].assign(extra=1).set_index(table.index + 7)
    write_samples(shuffled_columns, tmp_path / "three")
    one = (tmp_path / "one").read_bytes()
    assert (tmp_path / "two").read_bytes() == one
    assert (tmp_path / "three").read_bytes() == one


def test_the_file_carries_the_schema_version_and_the_columns_in_order(tmp_path, table):
    write_samples(table, tmp_path / "one")
    schema = pq.read_schema(tmp_path / "one")
    assert schema.metadata[SCHEMA_KEY] == b"1"
    assert schema.names == SCHEMA.names
    assert schema.field("seed").type == pa.int64()
    assert schema.field("iou").type == pa.float64()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, table):
    path = tmp_path / "one"
    write_samples(table, path)
    before = path.read_bytes()
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_samples(table.assign(intersection="many"), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["one"]


def test_missing_file(tmp_path):
    with pytest.raises(HarnessError, match=r"none does not exist; `harness evaluate` writes it"):
        read_samples(tmp_path / "none")


def test_no_parquet(tmp_path):
    (tmp_path / "text").write_text("intersection,union\n1,2\n")
    with pytest.raises(HarnessError, match="text is not a per-sample Parquet table"):
        read_samples(tmp_path / "text")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "schema version 1; the file has none"),
        ({SCHEMA_KEY: b"2"}, "schema version 1; the file has 2"),
    ],
)
def test_another_schema_version(tmp_path, table, metadata, message):
    with pytest.raises(HarnessError, match=message):
        read_samples(written(tmp_path / "one", table, metadata=metadata))


def test_missing_columns(tmp_path, table):
    schema = SCHEMA.remove(SCHEMA.get_field_index("union")).remove(SCHEMA.get_field_index("ref_id"))
    path = written(tmp_path / "one", table[schema.names], schema)
    with pytest.raises(HarnessError, match=r"lacks the columns ref_id, union"):
        read_samples(path)


@pytest.mark.parametrize(("intersection", "union"), [(-1, 5), (6, 5)])
def test_impossible_counts_name_the_row(tmp_path, table, intersection, union):
    table.loc[7, ["intersection", "union"]] = intersection, union
    write_samples(table, tmp_path / "one")
    with pytest.raises(
        HarnessError, match=rf"one, ref_id 1007: intersection {intersection} and union {union}"
    ):
        read_samples(tmp_path / "one")


def long_table(table, rows, text):
    """One row many times over, its texts a dictionary of one: a small file."""
    one = pa.Table.from_pandas(table[:1], schema=SCHEMA, preserve_index=False)
    columns = [
        pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([text]))
        if pa.types.is_string(field.type)
        else pa.repeat(one[field.name][0], rows)
        for field in SCHEMA
    ]
    return pa.table(columns, names=SCHEMA.names)


@pytest.mark.parametrize(("rows", "text"), [(3_000_000, "it"), (20_000, "x" * 20_000)])
def test_a_small_file_of_a_huge_table_is_refused(tmp_path, table, rows, text):
    path = tmp_path / "one"
    written_table = long_table(table, rows, text).replace_schema_metadata(SCHEMA.metadata)
    pq.write_table(written_table, path, compression="zstd")
    assert path.stat().st_size < 400_000
    with pytest.raises(HarnessError, match=r"one is not a per-sample .* bytes, more than the 134,217,728"):
        read_samples(path)


@pytest.mark.parametrize("values", [[[1]] * 12, [{"a": 1}] * 12, ["x"] * 12, [None] * 12, [0.5] * 12])
def test_a_column_of_another_type_is_refused(tmp_path, table, values):
    arrow = pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False)
    place = arrow.schema.get_field_index("intersection")
    pq.write_table(
        arrow.set_column(place, "intersection", pa.array(values)).replace_schema_metadata(SCHEMA.metadata),
        tmp_path / "one",
    )
    with pytest.raises(HarnessError, match="one"):
        read_samples(tmp_path / "one")


def test_a_damaged_record_of_a_column_does_not_end_the_process(tmp_path, table):
    """pyarrow throws where Python cannot catch, once a column's record in such a footer is looked at."""
    path = tmp_path / "one"
    write_samples(table, path)
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for place in range(start, len(content) - 8, 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :])
        try:
            read_samples(path)
        except HarnessError:
            refused += 1
    assert refused > 100


def test_a_text_that_is_no_utf8_is_refused(tmp_path, table):
    path = tmp_path / "one"
    arrow = pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False)
    pq.write_table(arrow.replace_schema_metadata(SCHEMA.metadata), path, compression="none")
    path.write_bytes(path.read_bytes().replace(b"The ship number", b"The ship \xff\xfe\xfd\xfc\xfb\xfa"))
    with pytest.raises(HarnessError, match=r"one is not a per-sample Parquet table: .*UTF8"):
        read_samples(path)
