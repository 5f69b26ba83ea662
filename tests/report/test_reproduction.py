import re
from types import SimpleNamespace

import pytest
from report_inputs import make_params

from harness.published import read_published
from harness.report.inputs import Measure, read_statistics
from harness.report.reproduction import reproduced_cells, verdicts_in_words
from harness.report.tables import paper_table

CELL = re.compile(r'data-reproduction="([^"]*)">([^<]*)<')


@pytest.fixture(scope="module")
def tables(pipeline):
    params = make_params(pipeline)
    statistics, published = read_statistics(params.statistics_file), read_published(params.report.published)
    return {key: paper_table(key, params, statistics, published) for key in ("table1", "table2", "table3")}


def test_every_cell_of_the_page_has_the_verdict_of_its_intervals(page, tables):
    found = dict(CELL.findall(page))
    expected = {}
    for key, table in tables.items():
        for cell in reproduced_cells(table, 1.0):
            low, high = cell.found.interval
            narrow = cell.found.interval_90
            verdict = "undecided"
            if narrow[0] > -1 and narrow[1] < 1:
                verdict = "reproduced"
            elif low > 1 or high < -1:
                verdict = "differs"
            expected[f"{key}/{cell.row}/{cell.split}/{cell.metric}"] = verdict
    assert len(expected) == 3 * 2 * 7 + 4 * 5 + 4 * 5
    assert found == expected
    assert {"undecided", "differs"} <= set(found.values())


def test_the_margin_of_the_profile_decides(tables):
    wide = reproduced_cells(tables["table1"], 1000.0)
    assert {cell.found.verdict for cell in wide} == {"reproduced"}
    assert verdicts_in_words(wide, 1000.0) == (
        "42 cells are both measured and published. The verdict, at a margin of 1000.0 points: reproduced for 42."
    )


def test_cells_without_a_published_or_measured_value_have_no_verdict():
    measure = Measure(65.0, (64.0, 66.0), (65.0,), (64.2, 65.8))
    cells = [SimpleNamespace(metric="mIoU", measure=one) for one in (measure, None)]
    row = SimpleNamespace(name="LAVT", gap=None, cells=cells)
    printed = {
        ("val", "mIoU"): SimpleNamespace(value=65.5, uncertain="a damaged scan"),
        ("test", "mIoU"): SimpleNamespace(value=61.0, uncertain=None),
    }
    table = SimpleNamespace(
        measured=[row, SimpleNamespace(name="other", gap=None, cells=cells)],
        splits=("val", "test"),
        published_of=lambda name: SimpleNamespace(cells=printed) if name == "LAVT" else None,
    )
    (only,) = reproduced_cells(table, 1.0)
    assert (only.row, only.split, only.uncertain) == ("LAVT", "val", "a damaged scan")
    assert only.found.verdict == "undecided"
    printed["val", "mIoU"].value = None
    assert reproduced_cells(table, 1.0) == ()
    assert verdicts_in_words((), 1.0).startswith("No cell")
