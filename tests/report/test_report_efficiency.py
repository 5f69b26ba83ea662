"""The section of costs: figures from the runs' files, conditions in words, figures that do not mislead."""

import json
import re
from itertools import pairwise

import pytest
from cost_inputs import GFLOP, leave_efficiency
from report_inputs import edit_statistics

from harness.files import write_json
from harness.report.efficiency import spread
from harness.report.wording import significant_digits


@pytest.fixture
def measured(params):
    for run in params.runs:
        leave_efficiency(params, run)
        path = params.run_dir(run) / "provenance.json"
        record = json.loads(path.read_text()) | {"peak_memory": 1_500_000_000, "processes": 1}
        write_json(path, record)
    return params


def section(page):
    return page[page.index('<section id="efficiency"') :].partition("</section>")[0]


def cells(page):
    return dict(re.findall(r'data-cost="([^"]*)">([^<]*)<', section(page)))


def test_a_row_is_what_the_runs_of_a_variant_left(measured, render):
    page = render(measured)
    found = cells(page)
    assert len(found) == 8 * 8, "eight variants, eight figures"
    assert found["lavt-full/parameters"] == "1,234,567"
    assert found["lavt-full/gflop"] == "0.150"
    assert found["lavt-full/whole"] == "80.5", "the mean over seeds 0 and 1"
    assert found["lavt-full/forward"] == f"{100 / GFLOP['lavt'] + 0.5:.1f}"
    assert found["lavt-full/evaluation-memory"] == "0.95", "the most of the runs"
    assert found["lavt-full/training"] == "140.5"
    assert found["lavt-full/training-memory"] == "1.50"
    content = json.loads(measured.statistics_file.read_text())
    measures = {
        f"{entry['model']}-{entry['variant']}": entry["metrics"]["mIoU"]["value"]
        for entry in content["summaries"]
        if (entry["split"], entry["protocol"], entry["condition"]) == ("test", "resized", "sentence")
    }
    for variant in measured.variants:
        assert float(found[f"{variant}/mIoU"]) == pytest.approx(measures[variant], abs=0.00501)
    assert "Evaluation: all on a processor, 1 process of 2 threads, batches of 32, float32" in section(page)
    assert "(protocols: resized and native)" in section(page)
    assert "must not be compared</strong>" not in section(page)


def test_figures_name_every_variant_with_its_interval(measured, render):
    page = section(render(measured))
    assert page.count('class="chart"') == 2
    for figure in page.split("<figure>")[1:]:
        for variant in measured.variants:
            assert len(re.findall(rf">{variant} ", figure)) == 1, "one label"
        assert "mIoU on test, percent" in figure
    assert "GFLOP an image" in page
    assert "images a second, forward passes alone" in page


def test_other_conditions_are_said_and_rates_are_not_drawn(measured, render):
    leave_efficiency(measured, "mafn-k1-s0", device="another <b>processor</b>", threads=8)
    page = section(render(measured))
    assert "Evaluation: the runs were timed under different conditions" in page
    assert "B: another &lt;b&gt;processor&lt;/b&gt;, 1 process of 8 threads" in page
    assert "(mafn-k1-s0)" in page
    assert page.count('class="chart"') == 1, "operations are the same anywhere"
    assert "mIoU against images a second is not drawn" in page
    row = page[page.index(">mafn-k1</th>") :].partition("</tr>")[0]
    assert row.endswith("<td>B</td>")
    assert "Training: all on a processor" in page


def test_rates_of_several_machines_are_not_averaged(measured, render):
    leave_efficiency(measured, "lavt-full-s1", device="another")
    page = render(measured)
    assert not {"lavt-full/whole", "lavt-full/forward", "lavt-full/evaluation-memory"} & cells(page).keys()
    row = section(page)[section(page).index(">lavt-full</th>") :].partition("</tr>")[0]
    assert row.count("under several conditions") == 3
    assert row.endswith("<td>A, B</td>")
    assert cells(page)["lavt-full/gflop"] == "0.150"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "lavt-full-s1: no efficiency.json"),
        ("{", "lavt-full-s1: efficiency.json cannot be read as JSON"),
        ('{"schema_version": 9}', "lavt-full-s1: efficiency.json is of another version"),
        ('{"schema_version": 1, "parameters": "many"}', "has no figure for parameters, images_per_second"),
    ],
)
def test_a_run_without_figures_is_named_and_the_other_seed_stands(measured, render, content, words):
    path = measured.run_dir("lavt-full-s1") / "efficiency.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    page = render(measured)
    assert words in section(page)
    assert cells(page)["lavt-full/whole"] == "80.0"


def test_operations_that_were_not_counted_have_a_word(measured, render):
    leave_efficiency(measured, "mafn-k1-s0", flops=None, flops_gap="it looks at values")
    page = render(measured)
    assert "mafn-k1-s0: operations not counted, it looks at values" in section(page)
    assert "mafn-k1/gflop" not in cells(page)
    assert section(page).count(">mafn-k1 ") == 1, "in the figure of rates alone"


def test_nothing_recorded_is_a_table_of_words(params, render):
    for run in params.runs:
        (params.run_dir(run) / "provenance.json").unlink()
    edit_statistics(
        params, lambda content: content.update(summaries=[], comparisons=[], trivial=[], shuffled=[])
    )
    page = section(render(params))
    assert "Evaluation: no run has recorded how fast it was." in page
    assert "Training: no run has recorded how fast it was." in page
    assert page.count("not recorded") == 8 * 7
    assert f"{', '.join(params.runs)}: no efficiency.json" in page
    assert page.count("not evaluated") == 8
    assert "no variant has both" in page
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)


def test_the_section_is_whole_and_the_same_twice(measured, render):
    page = render(measured)
    assert page == render(measured)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert not re.search(r"<th(?![^>]*scope=)[ >]", section(page))
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", section(page))


def test_labels_keep_their_distance_and_stay_near():
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.98, 0.99], 0.2) == pytest.approx([0.8, 1.0])
    assert spread([0.0, 0.01, 0.9], 0.3) == pytest.approx([0.0, 0.3, 0.9])
    close = spread([0.2, 0.21, 0.22, 0.6, 0.61], 0.12)
    assert all(later - before >= 0.12 - 1e-9 for before, later in pairwise(close))


@pytest.mark.parametrize(
    ("value", "text"), [(0.15432, "0.154"), (1.0, "1.00"), (622.49, "622"), (1234.5, "1234"), (0, "0.00")]
)
def test_significant_digits(value, text):
    assert significant_digits(value) == text
