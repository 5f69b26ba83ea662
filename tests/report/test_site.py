"""The report as pages: each whole in itself, links between them that lead somewhere, one page with all of it."""

import re

import pytest
from report_inputs import make_params

from harness.report.build import build_single_page, build_site
from harness.report.sections import SECTIONS, read_inputs
from harness.report.site import PAGES


@pytest.fixture
def pages(params):
    folder = build_site(params).parent
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}


def test_every_section_stands_on_one_page(pages):
    assert list(pages.keys() ^ PAGES.keys()) == []
    placed = [key for page in pages.values() for key in re.findall(r'<section id="(\w+)"', page)]
    assert sorted(placed) == sorted(SECTIONS)


def test_every_link_leads_somewhere(pages, params):
    anchors = {file: set(re.findall(r'\bid="([^"]*)"', page)) for file, page in pages.items()}
    for file, page in pages.items():
        targets = re.findall(r'href="([^"]*)"', page)
        assert targets
        for target in targets:
            other, _, anchor = target.partition("#")
            if other.startswith("tables/"):
                assert (params.report.html / other).is_file(), target
                continue
            assert (other or file) in pages, target
            assert not anchor or anchor in anchors[other or file], target


def test_every_page_is_small_and_loads_nothing(pages):
    for page in pages.values():
        assert len(page.encode()) < 5_000_000
        assert "http" not in page.replace("http-equiv", "")
        assert page.count('aria-current="page">') == 1
        assert page.count("<h1") == 1


def test_each_page_says_that_the_embedded_profile_means_nothing(pages):
    for file, page in pages.items():
        warning = "say nothing about RRSIS-D" if file == "index.html" else "says anything about RRSIS-D"
        assert warning in page


def test_one_page_holds_all_sections(params, tmp_path):
    page = build_single_page(params, tmp_path / "all.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="(\w+)"', page) == [key for _, keys in PAGES.values() for key in keys]
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
    assert len(page.encode()) < 5_000_000


def test_no_section_takes_a_name_of_another(pipeline):
    inputs = read_inputs(make_params(pipeline))
    names = [name for section in SECTIONS.values() for name in section.context(inputs)]
    assert sorted(names) == sorted(set(names))
