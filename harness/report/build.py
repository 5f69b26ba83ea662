"""Writes the report: a small site of self-contained pages, or one page."""

from pathlib import Path

from harness.config import Params
from harness.files import atomic_write
from harness.report.sections import read_inputs
from harness.report.site import single_page, site


def build_site(params: Params) -> Path:
    """Write the report's pages.

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
    pages = site(read_inputs(params))
    for file in sorted(pages, key=lambda name: name == "index.html"):
        _write(folder / file, pages[file])
    return folder / "index.html"


def build_single_page(params: Params, path: Path) -> Path:
    """Write the whole report as one page, to be sent as one file; reads and raises as `build_site`."""
    _write(path, single_page(read_inputs(params), path.name))
    return path


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
