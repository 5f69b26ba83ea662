"""The front page claims no more than the tests, in three sentences, and leads to every other page."""

import dataclasses
import re

import pytest
from report_inputs import edit_statistics, make_params

from harness.report.comparisons import sanity_rows
from harness.report.inputs import read_statistics
from harness.report.overview import (
    ANSWERS,
    directory,
    leader_sentence,
    reproduction_sentence,
    sanity_sentence,
    scope_note,
)
from harness.report.reproduction import ReproducedCell
from harness.report.site import PAGES
from harness.statistics.equivalence import reproduction

NAMES = {"lavt-full": "LAVT", "rmsin-full": "RMSIN", "mafn-full": "MAFN"}


@pytest.fixture
def statistics(pipeline):
    return read_statistics(make_params(pipeline).statistics_file)


def with_mafn_against_rmsin(statistics, **changes):
    """The statistics with other figures for mIoU of MAFN against RMSIN on test."""
    comparisons = []
    for comparison in statistics.comparisons:
        if {comparison.a, comparison.b} == {"mafn-full", "rmsin-full"} and comparison.split == "test":
            found = dataclasses.replace(comparison.metrics["mIoU"], **changes)
            comparison = dataclasses.replace(comparison, metrics=comparison.metrics | {"mIoU": found})
        comparisons.append(comparison)
    return dataclasses.replace(statistics, comparisons=tuple(comparisons))


def one_sentence(text):
    return text.endswith(".") and not re.search(r"[.!?]\s", text)


def test_the_leader_and_every_rival_in_one_sentence(statistics):
    text = leader_sentence(statistics, NAMES, "test")
    assert one_sentence(text)
    assert "MAFN has the highest mIoU of the 3 models measured" in text
    for rival in ("RMSIN", "LAVT"):
        assert re.search(
            rf"its lead over {rival} is [\d.]+ points \(95% interval [\d.]+ to [\d.]+, Holm-adjusted p [=<] [\d.]+\), ",
            text,
        )


def test_nothing_is_claimed_without_significance(statistics):
    changed = with_mafn_against_rmsin(
        statistics, difference=0.4, interval=(-1.0, 1.8), p_value=0.3, p_adjusted=1.0
    )
    assert (
        "its lead over RMSIN is 0.40 points (95% interval −1.00 to 1.80, Holm-adjusted p = 1.0000), not "
        "significant after that correction, so these data do not tell the two apart"
    ) in leader_sentence(changed, NAMES, "test")


def test_a_lead_that_was_not_tested_is_called_so(statistics):
    changed = with_mafn_against_rmsin(statistics, p_value=None, p_adjusted=None, interval=None)
    text = leader_sentence(changed, NAMES, "test")
    assert re.search(
        r"its lead over RMSIN is [\d.]+ points \(Holm-adjusted p not computed\), not tested", text
    )
    alone = dataclasses.replace(statistics, comparisons=())
    assert "it was not compared with RMSIN" in leader_sentence(alone, NAMES, "test")


def test_a_comparison_reads_the_same_the_other_way_round(statistics):
    turned = tuple(
        dataclasses.replace(
            c,
            a=c.b,
            b=c.a,
            metrics={
                m: dataclasses.replace(
                    f, a=f.b, b=f.a, difference=-f.difference, interval=(-f.interval[1], -f.interval[0])
                )
                for m, f in c.metrics.items()
            },
        )
        for c in statistics.comparisons
    )
    other = dataclasses.replace(statistics, comparisons=turned)
    assert leader_sentence(other, NAMES, "test") == leader_sentence(statistics, NAMES, "test")


def test_the_scope_is_named_where_it_is_one(statistics):
    assert scope_note(statistics, "test") == (
        "Intervals and tests include what training again from other seeds would change."
    )
    narrow = tuple(dataclasses.replace(c, scope="these trained models") for c in statistics.comparisons)
    assert "trained networks" in scope_note(dataclasses.replace(statistics, comparisons=narrow), "test")
    mixed = (*statistics.comparisons, *narrow)
    assert scope_note(dataclasses.replace(statistics, comparisons=mixed), "test") is None


def cell(measured, half=0.2):
    interval = (measured - half, measured + half)
    return ReproducedCell("LAVT", "test", "mIoU", 3, None, reproduction(measured, interval, interval, 61.0))


def test_reproduction_verdicts_are_counted_in_one_sentence():
    cells = [cell(61.1), cell(61.2), cell(70.0), cell(61.9)]
    text = reproduction_sentence(cells, 1.0, "rrsis-d")
    assert one_sentence(text)
    assert "Of 4 cells" in text
    assert "the verdicts are 2 reproduced, 1 differing and 1 undecided." in text
    elsewhere = reproduction_sentence(cells, 1.0, "mini-rrsis")
    assert one_sentence(elsewhere)
    assert "these networks saw mini-rrsis" in elsewhere
    assert "say nothing about a reproduction" in elsewhere
    assert "No cell" in reproduction_sentence([], 1.0, "rrsis-d")


def test_sanity_names_who_fails_and_who_was_not_measured(statistics, params):
    rows = sanity_rows(params, statistics)
    assert sanity_sentence(rows, "95%") == (
        "On test, the mIoU of LAVT, RMSIN and MAFN lies with its whole 95% interval above every trivial predictor's; "
        "shuffling the sentences between images lowers the mIoU of LAVT, RMSIN and MAFN significantly."
    )
    changed = [
        dataclasses.replace(rows[0], above_trivial=False, uses_sentence=None),
        dataclasses.replace(rows[1], uses_sentence=False),
        rows[2],
    ]
    text = sanity_sentence(changed, "95%")
    assert one_sentence(text)
    assert "the mIoU of RMSIN and MAFN lies with" in text
    assert "the mIoU of LAVT does not lie with" in text
    assert "lowers the mIoU of MAFN significantly" in text
    assert "does not lower the mIoU of RMSIN significantly" in text
    assert "for LAVT shuffled sentences were not measured" in text


def test_the_page_has_three_sentences_and_the_forest_plot(page, params, render):
    found = re.findall(r'<dd data-verdict="(\w+)">([^<]*)</dd>', page)
    assert [section for section, _ in found] == ["significance", "reproduction", "sanity"]
    assert all(one_sentence(sentence) for _, sentence in found)
    summary = page[page.index('<section id="summary"') :].partition("</section>")[0]
    assert 'id="forest-overview-title"' in summary
    assert summary.count(" versus ") >= 3
    assert "Table II" not in summary.partition('id="directory"')[0].partition('class="scores"')[2]

    edit_statistics(params, lambda content: content.update(comparisons=[]))
    assert "so there is no plot of their differences" in render(params)


def test_every_page_is_in_the_directory_with_an_answer(page):
    assert {file for file in PAGES if file != "index.html"} <= ANSWERS.keys()
    for title, section, answer in directory(PAGES):
        assert f'<dt><a href="#{section}">{title}</a></dt><dd>{answer}</dd>' in page.replace("&#39;", "'")
