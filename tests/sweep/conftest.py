"""A toy project for each test, its data prepared once."""

import shutil
from pathlib import Path

import pytest
from toy_project import PROFILES, dvc, make_project


@pytest.fixture(scope="session")
def prepared_project(tmp_path_factory) -> Path:
    """The template; do not change its files."""
    folder = make_project(tmp_path_factory.mktemp("sweep"))
    dvc(folder, "repro", "--quiet", *(f"{Path(path).with_name('dvc.yaml')}:prepare" for path in PROFILES))
    return folder


@pytest.fixture
def project(prepared_project, tmp_path) -> Path:
    """A project with its data prepared and nothing trained."""
    shutil.copytree(prepared_project, tmp_path / "project", symlinks=True)
    return tmp_path / "project"
