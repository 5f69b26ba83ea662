"""`--parity-report FILE` leaves the errors of a successful comparison where the report reads them."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.files import write_json
from harness.report.parity import SCHEMA_VERSION

SETTING = "Swin-B, two images of 480 pixels, evaluation mode, weights and image by formula"
PACKAGES = ("torch", "numpy", "transformers")
RECORDED = pytest.StashKey[dict[str, dict[str, object]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-report", metavar="FILE", help="write the errors of the golden tests as JSON")


@pytest.fixture
def record_parity(pytestconfig: pytest.Config) -> Callable[[str, str, dict[str, float], float], None]:
    """Keep the errors of a network in a precision ("float64", "float32") and the test's limit."""
    recorded = pytestconfig.stash.setdefault(RECORDED, {})

    def record(network: str, precision: str, errors: dict[str, float], limit: float) -> None:
        recorded.setdefault(network, {})[precision] = {"errors": errors, "limit": limit}

    return record


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    # This file is no initial conftest when all tests run: the option is then unknown, hence the default.
    path = session.config.getoption("parity_report", default=None)
    networks = session.config.stash.get(RECORDED, None)
    if path and networks and exitstatus == pytest.ExitCode.OK:
        versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
        content = {"schema_version": SCHEMA_VERSION, "setting": SETTING, "versions": versions}
        write_json(Path(path), content | {"networks": networks})
