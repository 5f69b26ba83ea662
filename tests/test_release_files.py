"""What stands in several files is the same in all of them."""

import re
import tomllib

import pytest
import yaml
from toy import PROJECT

from harness import __version__

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((PROJECT / "CITATION.cff").read_text())


def test_the_version_is_one():
    assert PYPROJECT["project"]["dynamic"] == ["version"]  # harness/__init__.py has it
    assert __version__ == CITATION["version"]
    changes = (PROJECT / "CHANGELOG.md").read_text()
    assert f"## [{__version__}] - " in changes or f"To be {__version__}" in changes


def test_the_citation_has_what_cff_requires_and_our_licence():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["license"] == PYPROJECT["project"]["license"]
    assert CITATION["title"]
    assert CITATION["message"]
    assert all(author["name"] for author in CITATION["authors"])


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_pages_link_to_files_that_are_there(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (PROJECT / page).read_text()):
        assert target.startswith("https://") or (PROJECT / target).is_file(), target


def test_the_commands_of_a_day_are_targets_of_make():
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z-]+)", (PROJECT / "CONTRIBUTING.md").read_text(), re.M)
    assert set(named) <= set(targets)
    assert {"demo", "format", "lint", "test", "check"} <= set(named)


@pytest.mark.parametrize(
    "form", sorted((PROJECT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.stem
)
def test_the_issue_forms_are_whole(form):
    content = yaml.safe_load(form.read_text())
    assert content["name"]
    assert content["description"]
    fields = content["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert all(field["attributes"]["options"] for field in fields if field["type"] == "dropdown")


def test_a_commit_is_checked_by_what_make_lint_runs():
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (PROJECT / "Makefile").read_text().partition("\nlint:")[2].split("\n\n")[0]
    for program in ("ruff check", "ruff format", "mypy"):
        assert program in lint
        assert any(hook["entry"].startswith(f".venv/bin/{program}") for hook in hooks)
