"""A profile with a reference, made once; tests copy what they change."""

import shutil
from types import SimpleNamespace

import pytest
from toy_gate import check, profile


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
