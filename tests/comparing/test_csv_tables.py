import pandas as pd
import pytest

from harness.comparing.csv_tables import read_csv
from harness.errors import HarnessError

GOOD = """ref_id,sentence,image_id,intersection,union,seed,note
1,"the ship, red",7,30,40,0,x
2,NA,8,0,0,0,y
"""


def written(tmp_path, text):
    path = tmp_path / "results.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_with_its_own_columns_is_read(tmp_path):
    table = read_csv(written(tmp_path, GOOD))
    expected = {
        "ref_id": [1, 2],
        "sentence": ["the ship, red", "NA"],
        "intersection": [30, 0],
        "union": [40, 0],
        "image_id": [7, 8],
        "seed": [0, 0],
    }
    assert {name: table[name].tolist() for name in table} == expected
    assert {str(table[name].dtype) for name in ("ref_id", "intersection", "image_id")} == {"int64"}


def test_identifiers_may_be_text(tmp_path):
    table = read_csv(written(tmp_path, GOOD.replace("\n1,", "\nDIOR_1,")))
    assert table["ref_id"].tolist() == ["DIOR_1", "2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("30,40", "3.5,40"), r"line 2: intersection is '3\.5'; a whole number is needed"),
        (("0,0,0,y", "0,,0,y"), "line 3: union is ''"),
        (("30,40", "30,forty"), "line 2: union is 'forty'"),
        ((",", ";"), "has its columns separated by semicolons; a CSV file here has commas"),
        (("image_id", "picture"), r"lacks the column image_id \(or cluster_id\)"),
        (("intersection", "intersections"), "lacks the column intersection. Did you mean 'intersections'"),
        (("\n2,", "\n,"), "line 3: ref_id is empty"),
        (("30,40", "50,40"), "line 2: intersection 50 and union 40 cannot be"),
        ((GOOD, ""), "cannot be read as CSV"),
        ((",y", ",y,z,w"), "cannot be read as CSV"),
    ],
)
def test_what_cannot_be_is_one_message(tmp_path, change, message):
    with pytest.raises(HarnessError, match=message):
        read_csv(written(tmp_path, GOOD.replace(*change)))


def test_a_missing_file_and_one_that_is_not_text(tmp_path):
    with pytest.raises(HarnessError, match="does not exist"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(bytes(range(128, 256)) * 10)
    with pytest.raises(HarnessError, match="cannot be read as CSV"):
        read_csv(tmp_path / "image.csv")


def test_what_a_parquet_table_holds_goes_through_csv(tmp_path):
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))
    from sample_tables import sample_table

    from harness.statistics import compare

    tables = [sample_table(40, seeds=(0, 1)), sample_table(40, model="rmsin", seeds=(0, 1))]
    for number, table in enumerate(tables):
        table.to_csv(tmp_path / f"{number}.csv", index=False)
    read = [read_csv(tmp_path / f"{number}.csv") for number in (0, 1)]
    pd.testing.assert_frame_equal(
        read[0][["ref_id", "union", "area_share"]], tables[0][["ref_id", "union", "area_share"]]
    )
    options = {"n_resamples": 200}
    assert compare(*read, **options) == compare(*tables, **options)


@pytest.mark.parametrize(
    ("content", "words"), [(b"," * 70_000, "its header"), (b"a\n" + bytes(2**26), "it has")]
)
def test_a_table_too_large_is_refused(tmp_path, content, words):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=rf"a\.csv is refused: {words}"):
        read_csv(path)


def test_a_first_row_longer_than_the_header_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("ref_id,sentence,intersection,union,image_id\n1,it,2,3,4,5\n")
    with pytest.raises(HarnessError, match=r"a\.csv cannot be read as CSV"):
        read_csv(path)
