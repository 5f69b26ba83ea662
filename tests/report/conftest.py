import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from report_inputs import make_inputs, make_params

from harness.config import Params
from harness.data.card import figures
from harness.report import breakdowns, overview, sections
from harness.report.build import build_single_page, build_site
from harness.report.inputs import Run
from harness.report.sections import SECTIONS, read_inputs
from harness.report.site import Page, render_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


DRAWN: dict[tuple[str, bytes], object] = {}


def shown(argument: object) -> object:
    """An argument of a figure without the folders of its runs, which differ from test to test."""
    if isinstance(argument, Sequence) and any(isinstance(run, Run) for run in argument):
        return [
            (run.name, run.variant, None if run.history is None else run.history.to_csv()) for run in argument
        ]
    return argument


@pytest.fixture(autouse=True)
def figures_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure depends on its arguments alone, and drawing takes most of a build: the next test gets the same one."""

    def remember(draw: Callable[..., object]) -> Callable[..., object]:
        def again(*arguments: object, **options: object) -> object:
            key = draw.__name__, pickle.dumps(([*map(shown, arguments)], options))
            if key not in DRAWN:
                drawn = draw(*arguments, **options)
                DRAWN[key] = tuple(drawn) if isinstance(drawn, Iterator) else drawn
            return DRAWN[key]

        return again

    for module, name in (
        (breakdowns, "dot_plot"),
        (sections, "training_curves"),
        (sections, "forest_plot"),
        (overview, "forest_plot"),
        (figures, "position_maps"),
        (figures, "size_histograms"),
    ):
        monkeypatch.setattr(module, name, remember(getattr(module, name)))


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the report reads; tests that change something take a copy (`params`)."""
    folder = tmp_path_factory.mktemp("pipeline")
    make_inputs(make_params(folder))
    return folder


@pytest.fixture
def params(pipeline: Path, tmp_path: Path) -> Params:
    shutil.copytree(pipeline / "out", tmp_path / "out")
    return make_params(tmp_path)


@pytest.fixture(scope="session")
def page(pipeline: Path) -> str:
    """The report of the untouched inputs, as one page."""
    return build_single_page(make_params(pipeline), pipeline / "page.html").read_text(encoding="utf-8")


@pytest.fixture
def render(tmp_path: Path) -> Callable[[Params], str]:
    """Build the report of some inputs as one page."""
    return lambda params: build_single_page(params, tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.fixture
def render_section() -> Callable[[Params, str], str]:
    """Build one section of some inputs, without the figures of the others; it must not link to them."""

    def render(params: Params, key: str) -> str:
        report = params.report.model_copy(update={"gallery": 0})
        inputs = read_inputs(params.model_copy(update={"report": report}))
        page = render_pages(inputs, (Page("page.html", "Page", (SECTIONS[key],)),))["page.html"]
        return page[page.index(f'<section id="{key}"') :].partition("</section>")[0]

    return render


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Debian's Chromium, driven by Playwright; not for a whole session, whose other tests fork."""
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(pipeline: Path) -> Path:
    """A folder with the site and, as everything.html, all of it in one page."""
    params = make_params(pipeline)
    folder = build_site(params).parent
    build_single_page(params, folder / "everything.html")
    return folder


class Reader:
    """A page in the browser, with all that went wrong on it."""

    def __init__(self, browser, folder, **context):
        self.complaints = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.note)
        self.folder = folder

    def note(self, request):
        if not request.url.startswith(("file:", "data:")):
            self.complaints.append(f"request of {request.url}")

    def read(self, file):
        self.page.goto((self.folder / file).as_uri())
        return self.page


@pytest.fixture
def reader(browser, report):
    """Open the report with some settings of the browser; afterwards nothing may have gone wrong."""
    made = []

    def open_with(**context):
        made.append(Reader(browser, report, **context))
        return made[-1]

    yield open_with
    for each in made:
        each.context.close()
        assert each.complaints == []
