import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from report_inputs import make_inputs, make_params

from harness.config import Params
from harness.report.build import build_single_page
from harness.report.sections import SECTIONS, read_inputs
from harness.report.site import Page, _render


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
        page = _render(inputs, (Page("page.html", "Page", (SECTIONS[key],)),))["page.html"]
        return page[page.index(f'<section id="{key}"') :].partition("</section>")[0]

    return render
