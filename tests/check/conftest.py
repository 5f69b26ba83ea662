"""A profile with a reference, made once; tests copy what they change."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from toy_gate import profile

from harness.commands.check import command
from harness.errors import HarnessError


def check(params, reference, *arguments):
    """Run `harness check`; a HarnessError is raised."""
    result = CliRunner().invoke(
        command, ["--params", str(params.params), "--reference", str(reference), *map(str, arguments)]
    )
    if isinstance(result.exception, HarnessError):
        raise result.exception
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="session")
def _made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    params = profile(folder / "toy")
    seeds = profile(folder / "seeds", "seeds", seeds=range(5))
    result = check(params, folder / "reference", "--update", "--seed-runs", seeds.params)
    assert result.exit_code == 0, result.output
    return SimpleNamespace(params=params, seeds=seeds, reference=folder / "reference")


@pytest.fixture
def gate(_made, tmp_path):
    """`params` and `seeds`, not to be changed, and a `reference` of the test's own."""
    shutil.copytree(_made.reference, tmp_path / "reference")
    return SimpleNamespace(params=_made.params, seeds=_made.seeds, reference=tmp_path / "reference")
