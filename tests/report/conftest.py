import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from report_inputs import make_inputs, make_params

from harness.config import Params
from harness.report.build import build_single_page


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
