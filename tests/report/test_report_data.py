import json
import re

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask

from harness.config import SPLITS
from harness.data.prepare import SCHEMA_KEY, open_split
from harness.data.text import tokenizer_file, train_wordpiece
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


def test_categories_and_sizes_are_those_of_the_masks(params):
    found = read_data(params)
    assert [(row.name, row.splits) for row in found.categories] == [
        ("building", {"train": 70, "val": 35, "test": 35}),
        ("<b>harbor</b> & gate", {"train": 10, "val": 5, "test": 5}),
    ]
    rows = open_split(params.split_file("test")).to_pylist()
    shares = [
        mask.decode({"size": [row["height"], row["width"]], "counts": row["mask_counts"]}).mean()
        for row in rows
    ]
    of_test = next(row for row in found.sizes if row.split == "test")
    assert of_test.masks == 40
    assert of_test.median == pytest.approx(np.median(shares))
    assert (of_test.smallest, of_test.largest) == pytest.approx((min(shares), max(shares)))


def test_sentences_are_counted_with_the_tokenizer_and_not_without(params, page, render):
    assert "The lengths are not known: tokenizer.json" in page
    sentences = open_split(params.split_file("train"))["sentence"].to_pylist()
    tokenizer = train_wordpiece(sentences, 400)
    tokenizer.save(str(tokenizer_file(params)))
    found = {row.split: row for row in read_data(params).sentences}
    assert found["train"].longest == max(len(tokenizer.encode(sentence).ids) for sentence in sentences)
    assert [found[split].sentences for split in SPLITS] == [80, 40, 40]
    assert "Sentences by their number of tokens" in render(params)


def rewrite(path, table):
    content = path.with_suffix(".new")
    with pa.OSFile(str(content), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content.replace(path)


def test_an_empty_mask_has_no_place_and_no_size(params):
    path = params.split_file("test")
    table = open_split(path)
    empty = mask.encode(np.zeros((48, 48), dtype=np.uint8, order="F"))["counts"].decode()
    column = table.schema.get_field_index("mask_counts")
    rewrite(path, table.set_column(column, "mask_counts", pa.array([empty] * 40)))
    found = read_data(params)
    assert [row.split for row in found.sizes] == ["train", "val", "all"]
    assert [figure.split for figure in found.maps] == ["train", "val"]


def test_more_masks_than_pycocotools_measures_at_once(params):
    path = params.split_file("train")
    table = open_split(path)
    rewrite(path, pa.concat_tables([table] * 4))
    assert read_data(params).sizes[0].masks == 320
