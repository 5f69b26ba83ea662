import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from report_inputs import ROOT, make_params

from harness.errors import HarnessError
from harness.published import read_published
from harness.report import wording
from harness.report.comparisons import comparison_groups
from harness.report.figures import forest_plot, training_curves
from harness.report.inputs import Run, read_statistics


@pytest.fixture
def statistics(pipeline):
    return read_statistics(make_params(pipeline).statistics_file)


@pytest.mark.parametrize(
    ("value", "text", "with_sign"),
    [(61.204, "61.20", "+61.20"), (-2.5, "−2.50", "−2.50"), (-0.001, "0.00", "0.00"), (0, "0.00", "0.00")],
)
def test_numbers(value, text, with_sign):
    assert wording.number(value) == text
    assert wording.signed(value) == with_sign


@pytest.mark.parametrize(
    ("p", "text", "sentence"),
    [
        (0.0499, "0.0499", "p = 0.0499"),
        (0.00001, "<\xa00.0001", "p < 0.0001"),
        (None, "not computed", "p not computed"),
    ],
)
def test_p_values(p, text, sentence):
    assert wording.p_text(p) == text
    assert wording.p_equals(p) == sentence


def test_forest_plot_is_text_and_repeats(statistics, params):
    groups = comparison_groups(params, statistics)
    first = forest_plot(groups, statistics.alpha)
    assert first == forest_plot(groups, statistics.alpha)
    assert "MAFN versus RMSIN" in first
    assert "<metadata" not in first
    assert "xmlns" not in first
    assert not any(stand_in in first for stand_in in ("#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"))
    assert forest_plot((), statistics.alpha) is None


def test_groups_follow_the_tables(statistics, params):
    groups = comparison_groups(params, statistics)
    assert [group.title for group in groups] == [
        "Table I, test",
        "Table I, val",
        "Table II, val",
        "Table III, val",
    ]
    assert sum(len(group.pairs) for group in groups) == len(statistics.comparisons)
    stray = dataclasses.replace(statistics.comparisons[0], a="lavt-full", b="mafn-k1")
    groups = comparison_groups(params, dataclasses.replace(statistics, comparisons=(stray,)))
    assert [group.title for group in groups] == ["Other comparisons, test"]


def test_curves_skip_empty_cells_and_thin_long_ones(tmp_path):
    steps = np.arange(5000)
    history = pd.DataFrame(
        {"step": steps, "loss": 1 / (1 + steps), "val_mIoU": np.where(steps % 1000 == 999, 50.0, np.nan)}
    )
    run = Run("lavt-full-s0", "lavt-full", 0, tmp_path, None, history)
    loss = training_curves([run], "loss", "loss")
    assert len(loss) < 40_000
    assert "lavt-full-s0 ends at 0.0002" in loss
    assert "lavt-full-s0 ends at 50" in training_curves([run], "val_mIoU", "mIoU")
    assert training_curves([run], "val_oIoU", "oIoU") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["table1"]["LAVT"]["val"].pop(), r"table1.LAVT.val must be a list of 7 numbers"),
        (lambda c: c["table2"].update(default=[75.2, 55.4, 24.2, 77.8, "64,8"]), "holds '64,8'"),
        (lambda c: c["table3"].update({"[1]": [1, 2, 3, 4, 101]}), "holds 101"),
        (lambda c: c["table1"]["MAFN"]["uncertain"]["test"].update({"P@0.55": "?"}), "names 'P@0.55'"),
        (lambda c: c["table1"]["MAFN"]["uncertain"].update(train={}), "names the split 'train'"),
        (lambda c: c.pop("table2"), "lacks table2"),
    ],
)
def test_wrong_published_files_are_refused(tmp_path, change, message):
    content = yaml.safe_load((ROOT / "reports" / "published.yaml").read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(HarnessError, match=message):
        read_published(path)


def test_a_missing_published_file_is_named(tmp_path):
    with pytest.raises(HarnessError, match=r"nowhere\.yaml does not exist"):
        read_published(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(summaries=[3]),
        lambda content: content.update(summaries={"a": 1}),
        lambda content: content.update(settings=[]),
        lambda content: content["summaries"][0].update(n="many"),
        lambda content: content["summaries"][0].update(metrics=[1]),
        lambda content: content["summaries"][0].update(seeds=5),
        lambda content: content["comparisons"][0].update(seeds=None, a="x"),
        lambda content: content["comparisons"][0]["metrics"]["oIoU"].update(wins=[1]),
    ],
)
def test_statistics_of_another_form_are_refused(pipeline, tmp_path, change):
    content = json.loads(make_params(pipeline).statistics_file.read_text())
    for part in ("summaries", "comparisons"):
        content[part] = [entry for entry in content[part] if entry["protocol"] == "resized"]
    change(content)
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(content))
    with pytest.raises(
        HarnessError, match=r"statistics\.json (holds a value of the wrong kind|lacks the key)"
    ):
        read_statistics(path)
