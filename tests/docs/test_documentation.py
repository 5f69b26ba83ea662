"""The documentation: it builds without a warning, asks no other host, and its references are up to date."""

import os
import re
import subprocess
import sys

import pytest
from toy import PROJECT

from harness.config import Params, Section
from harness.reference import commands_page, configuration_page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="pip install 'rrsis-harness[docs]'")
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=PROJECT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, (
        result.stdout + result.stderr
    )  # a link or an anchor that leads nowhere, say
    return folder


def test_every_page_is_in_the_site(site):
    for page in (PROJECT / "docs").glob("*.md"):
        assert (site / page.name).with_suffix(".html").is_file()


def test_nothing_is_loaded_from_another_host(site):
    loaded = re.compile(
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^"' >]*|url\(["']?https?:"""
    )
    for file in (*site.rglob("*.html"), *site.rglob("*.css")):
        assert not loaded.findall(file.read_text()), file
    for page in site.rglob("*.html"):
        for link in re.findall(r"<link\b[^>]*>", page.read_text()):
            assert "//" not in link or 'rel="canonical"' in link, f"{page}: {link}"


def test_the_tables_of_the_readme_have_their_links():
    """Links of README.md into docs/ and the tree; what is in docs/ itself, the strict build checks."""
    text = (PROJECT / "README.md").read_text()
    for target, anchor in re.findall(r"\]\((?!http)([^)#]+)(?:#([^)]+))?\)", text):
        path = PROJECT / target
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            slugs = [
                re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
            ]
            assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.parametrize(
    ("name", "page"), [("commands.md", commands_page), ("configuration.md", configuration_page)]
)
def test_references_are_what_the_code_says(name, page):
    written = (PROJECT / "docs" / name).read_text(encoding="utf-8")
    assert written == page(), f"docs/{name} is not of the code as it is: python -m harness.reference docs"


def sections(found: type[Section] = Section) -> list[type[Section]]:
    return [one for inner in found.__subclasses__() for one in (inner, *sections(inner))]


def test_every_setting_has_a_meaning():
    assert Params in sections()
    for section in sections():
        if section.__module__ != Params.__module__:
            continue  # of files that the harness writes itself
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}: a string below it says what it means"
