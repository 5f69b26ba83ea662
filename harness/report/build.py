"""Writes the report: a small site of self-contained pages, or one page."""

from pathlib import Path

from harness.config import Params
from harness.files import atomic_write
from harness.report.exports.catalog import table_files
from harness.report.sections import read_inputs
from harness.report.site import single_page, site

TABLES = "tables"  # the folder beside the pages, to which they link


def build_site(params: Params) -> Path:
    """Write the report's pages, and every table in a file of its own.

    Args:
        params: the profile. Reads statistics.json, the runs' folders, the prepared data
            and params.report.published; the same files give the same bytes.

    Returns:
        Path of index.html in the folder params.report.html, written last.

    Raises:
        HarnessError: statistics.json or the published numbers are missing or damaged, or a page cannot be written.
            A missing run, history or prediction is no error: the pages say what is not there.
    """
    folder = Path(params.report.html)
    inputs = read_inputs(params)
    pages = site(inputs)
    for file, text in table_files(inputs).items():
        _write(folder / TABLES / file, text)
    for file in sorted(pages, key=lambda name: name == "index.html"):
        _write(folder / file, pages[file])
    return folder / "index.html"


def build_single_page(params: Params, path: Path) -> Path:
    """Write the whole report as one page, to be sent as one file; reads and raises as `build_site`."""
    _write(path, single_page(read_inputs(params), path.name))
    return path


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
