"""Every metric, its other names and the words of the statistics are explained at an address of their own."""

import re
from typing import get_args

from report_inputs import edit_statistics

from harness.metrics import METRICS
from harness.report.tables import METRICS as TABLE_METRICS
from harness.statistics.equivalence import Verdict


def entries(page):
    glossary = page[page.index('<section id="glossary"') :].partition("</section>")[0]
    found = re.findall(r'<dt id="term-([\w-]+)">([^<]*)</dt>\s*<dd>(.*?)</dd>', glossary, re.DOTALL)
    assert len(found) == glossary.count("<dt")  # every term has an address and an explanation
    return {key: (name, text) for key, name, text in found}


def test_every_metric_is_explained(page):
    names = {name for names, _ in entries(page).values() for name in re.split(r"[,:] ", names)}
    assert {*METRICS, *(metric for table in TABLE_METRICS.values() for metric in table)} <= names


def test_aliases_and_words_have_addresses(page):
    found = entries(page)
    aliases = {"giou", "ciou", "pr-at-x"}
    words = {"interval", "holm", "mdd", "effect-size", "cluster", "seed", "margin", "scope", "p-value"}
    assert aliases | words | set(get_args(Verdict)) <= found.keys()
    assert all(len(text.split()) > 3 for key, (_, text) in found.items() if key != "ciou")


def test_numbers_of_the_glossary_are_the_runs_own(params, render_section):
    edit_statistics(params, lambda content: content["settings"].update(confidence=0.9))
    statistics = params.statistics.model_copy(update={"margin": 2.5})
    found = entries(render_section(params.model_copy(update={"statistics": statistics}), "glossary"))
    assert "2.5 points" in found["margin"][1]
    assert "90% here" in found["interval"][1]
    assert "below 0.1." in found["significant"][1]
