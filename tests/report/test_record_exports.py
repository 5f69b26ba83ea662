"""The tables of costs, feature maps, durations, code and data as files: the numbers of what was recorded."""

import csv
import io
import json

import pytest
from cost_inputs import leave_efficiency, leave_features
from report_inputs import ROOT

from harness.files import read_json, write_json
from harness.report.exports.catalog import EXPORTS
from harness.report.exports.formats import as_csv, as_markdown
from harness.report.fidelity import read_switches
from harness.report.sections import read_inputs


@pytest.fixture
def plain(params):
    """Inputs without pictures."""
    return params.model_copy(update={"report": params.report.model_copy(update={"gallery": 0})})


def records(params, name):
    return list(csv.DictReader(io.StringIO(as_csv(EXPORTS[name](read_inputs(params))), newline="")))


def test_costs_are_those_of_the_runs(plain):
    for run in plain.runs:
        leave_efficiency(plain, run)
    rows = {row["variant"]: row for row in records(plain, "efficiency")}
    assert list(rows) == list(plain.variants)
    lavt = rows["lavt-full"]
    assert int(lavt["parameters"]) == 1_234_567
    assert float(lavt["gflop_an_image"]) == pytest.approx(0.15)
    assert float(lavt["evaluation_images_per_second"]) == pytest.approx(80.5), "the mean of two seeds"
    assert float(lavt["evaluation_peak_gb"]) == pytest.approx(0.95), "the larger one"
    leave_efficiency(plain, "lavt-full-s1", device="another")
    table = EXPORTS["efficiency"](read_inputs(plain))
    assert "timed under several conditions" in as_markdown(table)
    assert any("another" in note for note in table.notes)


def test_shares_inside_the_mask_are_those_of_the_page(plain, render):
    leave_features(plain)
    rows = records(plain, "features")
    assert len(rows) == 3 * len(plain.tables.table2.rows)
    page = render(plain)
    for row, variant in zip(rows, list(plain.tables.table2.rows.values()) * 3, strict=True):
        for stage in range(1, 5):
            shown = (
                f'data-inside="{row["ref_id"]}/{variant}/{stage}">{float(row[f"stage_{stage}"]):.1f}% inside'
            )
            assert shown in page


def test_durations_are_those_of_the_trainings(plain):
    path = plain.run_dir("mafn-full-s0") / "provenance.json"
    record = read_json(path, "harness train") | {"phases": {"setup": 1.5, "data wait": 2.25}}
    write_json(path, record)
    (row,) = records(plain, "durations")
    assert row["run"] == "mafn-full-s0"
    assert [float(row[name]) for name in ("setup", "data_wait", "all")] == [1.5, 2.25, 3.75]


def test_every_recorded_output_of_the_released_networks_leaves(plain):
    recorded = json.loads((ROOT / "reports" / "parity.json").read_text(encoding="utf-8"))["networks"]
    committed = plain.report.model_copy(update={"parity": ROOT / "reports" / "parity.json"})
    rows = records(plain.model_copy(update={"report": committed}), "parity")
    found = {(row["network"], row["precision"], row["output"]): float(row["error"]) for row in rows}
    assert found == {
        (network, precision, output): error
        for network, precisions in recorded.items()
        for precision, one in precisions.items()
        for output, error in one["errors"].items()
    }


def test_every_switch_leaves(plain):
    assert [row["switch"] for row in records(plain, "fidelity")] == [one.subject for one in read_switches()]


def test_categories_add_up_to_the_splits(plain):
    rows = records(plain, "categories")
    splits = {row["split"]: int(row["expressions"]) for row in records(plain, "splits")}
    assert {split: sum(int(row[split]) for row in rows) for split in splits} == splits
    assert [row["split"] for row in records(plain, "sizes")] == ["train", "val", "test", "all"]
