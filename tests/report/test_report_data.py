import json
import re

import pyarrow as pa

from harness.data.prepare import SCHEMA_KEY
from harness.report.data import SplitFacts, read_data


def test_splits_and_what_they_share_are_counted(params):
    assert read_data(params).splits == (
        SplitFacts("train", 80, 80, 0),
        SplitFacts("val", 40, 40, 2),
        SplitFacts("test", 40, 40, 0),
    )


def test_defects_stand_in_the_page_with_their_treatment(page):
    rows = re.findall(r'<tr data-defect="(\w+)">.*?<td class="num">([\d,]+)</td><td>(.*?)</td></tr>', page)
    assert rows == [
        ("empty_mask", "3", "kept; its IoU is 0, as the released metric has it"),
        ("mask_size", "1,234", "left out"),
    ]


def test_a_set_without_defects_says_so(params, render):
    path = params.split_file("train")
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    content = json.loads(table.schema.metadata[SCHEMA_KEY]) | {"defects": {}}
    table = table.replace_schema_metadata({SCHEMA_KEY: json.dumps(content)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert "No defect was found in the data set" in render(params)


def test_missing_data_is_stated(params, render):
    params.split_file("train").unlink()
    assert read_data(params) is None
    assert "Not recorded: the prepared files are missing" in render(params)
