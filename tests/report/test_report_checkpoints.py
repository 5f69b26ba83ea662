import json
import re

import pandas as pd
import pytest

from harness.report.checkpoints import best_epoch, read_checkpoints
from harness.report.inputs import read_runs

GAIN = {"val": 1.5, "test": -0.25}  # of the best over the last


@pytest.fixture
def evaluated(params):
    """Leave metrics.json in the runs, as `harness evaluate` does: the figures rise from run to run."""
    for number, run in enumerate(params.runs):
        leave(params, run, 40.0 + number, {split: gain * number for split, gain in GAIN.items()})
    return params


def leave(params, run, value, gain):
    """Figures of the best weights, and of last ones that are `gain` below them; without those where it is None."""
    summaries = {split: {"resized": {"oIoU": value, "mIoU": value + 1}} for split in ("val", "test")}
    if gain is not None:
        summaries |= {
            f"{split}-last": {"resized": {"oIoU": value - gain[split], "mIoU": value + 1 - gain[split]}}
            for split in ("val", "test")
        }
    (params.run_dir(run) / "metrics.json").write_text(json.dumps(summaries))


def section(page):
    return page[page.index('<section id="checkpoints"') :].partition("</section>")[0]


def test_a_row_is_the_mean_over_a_variants_seeds(evaluated, render):
    page = section(render(evaluated))
    found = {
        kind: dict(re.findall(rf'data-{kind}="([^"]*)">([−+\d.]+)<', page))
        for kind in ("best", "last", "gain")
    }
    assert len(found["gain"]) == 8 * 2 * 2, "eight variants, two splits, two metrics"
    # lavt-full-s0 is the first run of the profile and lavt-full-s1 the fourth.
    assert found["best"]["lavt-full/val/oIoU"] == "41.50"
    assert found["last"]["lavt-full/val/oIoU"] == "39.25"
    assert found["gain"]["lavt-full/val/oIoU"] == "+2.25"
    assert found["gain"]["lavt-full/test/mIoU"] == "−0.38"
    assert "in 1 of 11 runs" in page
    assert "changes oIoU by +7.50 points on val and by −1.25 on test" in page
    assert "No figures of their last weights" not in page


def test_the_epoch_is_that_of_the_highest_oiou_on_val(params, render):
    run = params.runs["mafn-k1-s0"]
    path = params.run_dir("mafn-k1-s0") / "history.csv"
    history = pd.read_csv(path)
    history["val_oIoU"] = [None, 30.0, 44.0, 41.0, 44.0, 12.0]
    history.to_csv(path, index=False)
    for name in params.runs:
        leave(params, name, 50.0, GAIN)
    (found,) = (best_epoch(read) for read in read_runs(params) if read.name == "mafn-k1-s0")
    assert found == (3, 6), "the first of equals, which is the one that training keeps"
    page = section(render(params))
    assert re.search(rf">{run.variant}</th><td class=\"num\">1</td><td>3 of 6</td>", page)
    assert re.search(r">lavt-full</th><td class=\"num\">2</td><td>\d and \d of 6</td>", page)


@pytest.mark.parametrize("content", ["epoch,step\n1,87\n", "epoch,step,val_oIoU\n1,87,\n"])
def test_a_history_without_figures_on_val_has_no_best_epoch(params, render, content):
    (params.run_dir("mafn-k1-s0") / "history.csv").write_text(content)
    leave(params, "mafn-k1-s0", 50.0, GAIN)
    assert "<td>not recorded</td>" in section(render(params))


def test_runs_without_last_weights_are_named_and_the_others_stand(evaluated, render):
    leave(evaluated, "lavt-full-s1", 43.0, None)
    (evaluated.run_dir("mafn-k1-s0") / "metrics.json").write_text("{")
    page = section(render(evaluated))
    assert "No figures of their last weights: lavt-full-s1 and mafn-k1-s0." in page
    assert 'data-best="lavt-full/val/oIoU">40.00<' in page, "of the seed that has both"
    assert '<td class="num">1<span class="ci">of 2 planned</span></td>' in page
    assert "mafn-k1/" not in page


def test_the_same_weights_are_said_to_be_the_same(params, render):
    for run in params.runs:
        leave(params, run, 50.0, {"val": 0, "test": 0})
    assert "The last weights are the best ones in all 11 runs." in section(render(params))


def test_results_without_any_last_weights_have_no_table(page, pipeline, params):
    assert "No run has figures of its last weights" in section(page)
    assert "<table" not in section(page)
    assert read_checkpoints(read_runs(params)).rows == ()
