"""Breakdowns of Table I's models: the figures of statistics.json, few expressions named, gaps in words."""

import json
import re
from html import unescape

import pytest
from report_inputs import CATEGORIES, edit_statistics, make_params

from harness.breakdowns import POSITIONS
from harness.report.breakdowns import FEW, BinnedModels, BinRow, dot_plot
from harness.report.inputs import Measure
from harness.report.wording import number

ROW = re.compile(r'<tr data-bin="([^"]*)">(.*?)</tr>', re.DOTALL)
MODELS = ("lavt", "rmsin", "mafn")


@pytest.fixture(scope="module")
def content(pipeline):
    return json.loads(make_params(pipeline).statistics_file.read_text(encoding="utf-8"))


def section(page, key="breakdowns"):
    return page[page.index(f'<section id="{key}"') :].partition("</section>")[0]


def test_every_bin_has_the_figures_of_the_statistics(page, content):
    rows = {unescape(key): cells for key, cells in ROW.findall(page)}
    expected = {f"{b['by']}/{one['label']}" for b in content["breakdowns"] for one in b["bins"]}
    assert rows.keys() == expected
    for place, model in enumerate(MODELS):
        for broken in content["breakdowns"]:
            if broken["model"] != model:
                continue
            for one in broken["bins"]:
                cells = re.findall(r'<td class="num[^>]*>(.*?)</td>', rows[f"{broken['by']}/{one['label']}"])
                assert len(cells) == 7
                assert cells[0].partition("<")[0] == str(one["n"])
                assert ("few" in cells[0]) == (0 < one["n"] < FEW)
                for metric, cell in zip(("mIoU", "oIoU"), cells[1 + 2 * place :], strict=False):
                    if one["n"] == 0:
                        assert cell == '—<span class="ci">no expression</span>'
                        continue
                    found = one["metrics"][metric]
                    assert cell.partition("<")[0] == number(found["value"])
                    if found["interval"] is None:
                        assert "no interval" in cell
                    else:
                        assert (
                            f"[{number(found['interval'][0], 1)}, {number(found['interval'][1], 1)}]" in cell
                        )


def test_position_is_laid_out_like_the_image(page, content):
    found = re.findall(r'data-position="(\w+)/([\w ]+)">([^<]*)', page)
    assert [label for model, label, _ in found if model == "MAFN"] == list(POSITIONS[:9])
    mafn = next(b for b in content["breakdowns"] if (b["model"], b["by"]) == ("mafn", "position"))
    for one in mafn["bins"]:
        shown = [text for model, label, text in found if (model, label) == ("MAFN", one["label"])]
        expected = number(one["metrics"]["mIoU"]["value"]) if one["n"] else "—"
        assert shown == ([expected] if one["label"] in POSITIONS[:9] else [])


def test_the_figure_says_how_many_expressions_a_bin_has(page, content):
    figures = re.findall(r'<svg class="chart"[^>]*breakdown-(\w+)-title.*?</svg>', section(page), re.DOTALL)
    assert figures == ["category", "size", "position", "length", "relation"]
    drawn = section(page)
    for broken in content["breakdowns"]:
        for one in broken["bins"]:
            if broken["by"] != "category":
                few = ", few" if 0 < one["n"] < FEW else ""
                assert f"{one['label']}  (n = {one['n']}{few})" in drawn


def test_category_names_are_escaped_in_table_and_figure(page):
    assert CATEGORIES[0] == "<b>harbor</b> & gate"
    assert "<b>harbor" not in page
    assert section(page).count("&lt;b&gt;harbor&lt;/b&gt; &amp; gate") >= 6


def test_no_test_is_claimed(page):
    text = " ".join(section(page).split())
    assert "not corrected for their number: do not read them as tests" in text
    assert "significant" not in text


def test_a_missing_model_and_missing_breakdowns_are_said(params, render):
    def drop(content):
        content["breakdowns"] = [b for b in content["breakdowns"] if b["model"] != "rmsin"]

    edit_statistics(params, drop)
    page = render(params)
    assert "Without breakdowns: RMSIN." in page
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", section(page))
    edit_statistics(params, lambda content: content.pop("breakdowns"))
    assert "statistics.json holds no breakdown of Table I's models" in render(params)


def measure(value):
    return Measure(value, (value - 1, value + 1), (value,))


def test_the_sentence_leaves_bins_with_few_expressions_out():
    rows = tuple(
        BinRow(label, n, ({"mIoU": measure(value)},))
        for label, n, value in (("dam", 29, 1.0), ("ship", 30, 40.0), ("harbor", 500, 60.5), ("mill", 0, 0.0))
    )
    rows = (*rows[:3], BinRow("mill", 0, ({},)))
    view = BinnedModels("category", "Category", ("MAFN",), (measure(55.0),), rows)
    assert view.spans == ("MAFN: mIoU from 40.00 (ship) to 60.50 (harbor).",)
    assert [row.size for row in rows] == ["n = 29, few", "n = 30", "n = 500", "n = 0"]


def test_models_beyond_one_line_of_panels_are_drawn_below():
    rows = (BinRow("ship", 50, tuple({"mIoU": measure(10.0 * place)} for place in range(6))),)
    names = tuple(f"model {place}" for place in range(6))
    svg = dot_plot(BinnedModels("category", "Category", names, (None,) * 6, rows))
    assert all(name in svg for name in names)
    assert "ship  (n = 50)" in svg


# all pairs ------------------------------------------------------------------------------------------------------------


def test_all_pairs_have_the_figures_of_their_family(page, content):
    (ranking,) = content["rankings"]
    rows = dict(re.findall(r'<tr[^>]*data-pair="([^"]*)">(.*?)</tr>', page, re.DOTALL))
    assert len(rows) == 3 * 7
    for comparison in ranking["comparisons"]:
        for metric, found in comparison["metrics"].items():
            row = rows["/".join([*comparison["names"], metric])]
            cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
            assert cells[1] == metric
            assert cells[2].partition("<")[0].replace("−", "-") in (f"{found['difference']:+.2f}", "0.00")
            assert cells[6] == f"{found['detectable']:.2f}"
            wins = "not defined" if metric == "oIoU" else "{}, {}, {}".format(*found["wins"])
            assert cells[7] == wins
            assert cells[8].startswith("significant, ") == (found["p_adjusted"] < 0.05)
    assert "Holm's correction covers 7 metrics of 3 pairs here" in " ".join(page.split())


def test_ranks_have_their_range(page, content):
    rows = dict(re.findall(r'<tr data-rank="([^"]*)">(.*?)</tr>', page, re.DOTALL))
    for metric in ("mIoU", "oIoU"):
        for rank in content["rankings"][0]["ranks"][metric]:
            cells = re.findall(r"<td[^>]*>(.*?)</td>", rows[f"{metric}/{rank['model']}"])
            low, high = (f"{end:g}" for end in rank["interval"])
            assert cells[1:] == [
                f"{rank['value']:.2f}",
                f"{rank['rank']:g}",
                low if low == high else f"{low} to {high}",
                f"{100 * rank['first']:.0f}%",
            ]


def test_without_a_ranking_the_page_says_so(params, render):
    edit_statistics(params, lambda content: content.pop("rankings"))
    page = render(params)
    assert "statistics.json has no family of all pairs of Table I's models" in page
    assert "Comparisons, one by one" in page
