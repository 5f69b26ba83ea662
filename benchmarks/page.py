"""What a benchmark measured, as text for the terminal and as the block of a page in docs/ that it fills.

A part yields its figures as they come: a sentence is a str, a row of a table a tuple of cells. The first row after a
sentence is the heading, whose first cell is empty.
"""

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import torch

from harness.errors import HarnessError
from harness.files import atomic_write

Line = str | tuple[str, ...]
Figures = Iterator[Line]
PROJECT = Path(__file__).parents[1]
NAME, CELL = 34, 8  # least widths on the terminal; a heading may be wider


def printed(figures: Figures) -> list[Line]:
    """Print figures as they come, columns under their headings, and return them."""
    lines: list[Line] = []
    widths: list[int] = []
    for line in figures:
        lines.append(line)
        if isinstance(line, str):
            widths = []
            print(line, flush=True)
            continue
        widths = widths or [NAME, *(max(len(heading), CELL) + 2 for heading in line[1:])]
        name, *cells = line
        print(name.ljust(NAME) + "".join(map(str.rjust, cells, widths[1:])), flush=True)
    return lines


def as_markdown(lines: list[Line]) -> str:
    """The same as paragraphs and tables."""
    text, in_table = "", False
    for line in lines:
        if isinstance(line, str):
            text += f"\n{line}\n"
        else:
            text += "" if in_table else "\n"
            text += "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n"
            text += "" if in_table else "|---" * len(line) + "|\n"
        in_table = not isinstance(line, str)
    return text.strip("\n") + "\n"


def circumstances() -> str:
    """When, on what and from which commit, for the first line of a block; asked for before measuring."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty=, changed"], cwd=PROJECT, capture_output=True, text=True
    )
    commit = f", commit {git.stdout.strip()}" if git.returncode == 0 else ""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{date.today()}, {_processor()}, {cores} cores{gpu}, load {os.getloadavg()[0]:.1f} at the start, "
        f"torch {torch.__version__}{commit}."
    )


def _processor() -> str:
    found = []
    if (information := Path("/proc/cpuinfo")).is_file():  # Linux
        found = re.findall(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
    return re.sub(r"\((R|TM)\)", "", found[0]) if found else platform.processor() or platform.machine()


def page_of(part: str, folder: Path = PROJECT / "docs") -> Path:
    """The page that has the part's block.

    Raises:
        HarnessError: none has it, or it is there more than once.
    """
    pages = sorted(folder.glob("*.md"))
    found = [page for page in pages for _ in _block(part).findall(page.read_text(encoding="utf-8"))]
    if len(found) != 1:
        where = ", ".join(map(str, found)) or "no page"
        raise HarnessError(
            f"{where} has the block of {part!r}, not one page in {folder}; it lies between "
            f"<!-- bench: {part} --> and <!-- end -->, each on a line of its own"
        )
    return found[0]


def write(part: str, lines: list[Line], measured: str, folder: Path = PROJECT / "docs") -> Path:
    """Replace the part's block by its figures, under the circumstances of their measuring; the page is returned."""
    page = page_of(part, folder)
    block = f"<!-- bench: {part} -->\n{measured}\n\n{as_markdown(lines)}<!-- end -->"
    text = _block(part).sub(lambda _: block, page.read_text(encoding="utf-8"))
    with atomic_write(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _block(part: str) -> re.Pattern[str]:
    return re.compile(
        rf"^<!-- bench: {re.escape(part)} -->$(?:(?!<!-- bench: ).)*?^<!-- end -->$", re.M | re.S
    )
