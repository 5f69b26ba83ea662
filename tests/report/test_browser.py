"""The report in a real browser: what a reader does, what the console says, what axe finds."""

from pathlib import Path

import pytest
from report_inputs import ATTACK

from harness.report.site import PAGES

pytestmark = pytest.mark.big
WIDTHS = {"wide": 1280, "phone": 390}
FILES = [*PAGES, "everything.html"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_has_no_error_no_request_and_no_sideways_scrolling(reader, file, width):
    page = reader(viewport={"width": WIDTHS[width], "height": 800}).read(file)
    page.evaluate("document.querySelectorAll('details').forEach((it) => { it.open = true; })")
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(253, 252, 250)", "styled"


@pytest.mark.parametrize("file", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(reader, file, scheme):
    import axe_playwright_python

    page = reader(color_scheme=scheme, viewport={"width": 1280, "height": 800}).read(file)
    page.evaluate("document.querySelectorAll('details').forEach((it) => { it.open = true; })")
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [
        f"{violation['impact']}: {violation['help']}: {violation['nodes'][0]['html'][:300]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("file", ["gallery.html", "everything.html"])
def test_a_hostile_sentence_stays_text(reader, file):
    reading = reader()
    dialogs = []
    reading.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page = reading.read(file)
    assert page.get_by_text(ATTACK).count() > 0
    assert page.evaluate("[...document.scripts].filter((it) => it.text.includes('alert')).length") == 0
    assert dialogs == []


def numbers(page, table, column):
    cells = page.locator(f"{table} tbody tr td:nth-child({column})").all_inner_texts()
    return [float(cell.split("\n")[0].replace("\N{MINUS SIGN}", "-").replace(",", "")) for cell in cells]


def test_a_table_is_sorted_by_mouse_and_keyboard(reader):
    page = reader().read("training.html")
    names = page.locator("table.runs tbody th").all_inner_texts()
    assert len(names) == 11
    heading = page.get_by_role("columnheader", name="Run", exact=True)
    heading.get_by_role("button").click()
    assert page.locator("table.runs tbody th").all_inner_texts() == sorted(names)
    assert heading.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert page.locator("table.runs tbody th").all_inner_texts() == sorted(names, reverse=True)
    seed = page.get_by_role("columnheader", name="Seed", exact=True)
    seed.get_by_role("button").press("Enter")
    assert numbers(page, "table.runs", 3) == sorted(numbers(page, "table.runs", 3))
    assert heading.get_attribute("aria-sort") is None


def test_rows_are_narrowed(reader):
    page = reader().read("training.html")
    field = page.get_by_label("Rows with").first
    field.fill("mafn s1")
    shown = page.locator("table.runs tbody tr:visible")
    assert shown.locator("th").all_inner_texts() == ["mafn-full-s1"]
    assert "1 of 11" in page.locator(".narrow-rows output").first.inner_text()
    field.fill("")
    assert shown.count() == 11


def test_without_script_nothing_is_hidden(reader):
    page = reader(java_script_enabled=False).read("training.html")
    assert page.locator("table.runs tbody tr:visible").count() == 11
    assert page.locator("button:visible").count() == 0


def test_light_and_dark_follow_the_reader_and_the_button(reader):
    def ground(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = "rgb(253, 252, 250)", "rgb(20, 24, 28)"
    assert ground(reader(color_scheme="light").read("index.html")) == light
    page = reader(color_scheme="dark").read("index.html")
    assert ground(page) == dark
    page.get_by_role("button", name="Light colours").click()
    assert ground(page) == light
    page.get_by_role("button", name="Dark colours").click()
    assert ground(page) == dark


def test_the_keyboard_reaches_the_results_first(reader):
    page = reader().read("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Enter")
    page.wait_for_url("**/index.html#main")  # or ends in an error


def test_print_shows_what_is_folded_in_black_on_white(reader):
    page = reader(color_scheme="dark").read("tables.html")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav.toc").is_hidden()
    assert page.locator("details:not([open]) table").first.is_visible()
