"""`python -m benchmarks` prints what a part yields and puts it into the part's block in docs/."""

import shutil
import sys

import pytest
from toy import PROJECT

sys.path.insert(0, str(PROJECT))
from benchmarks import page
from benchmarks.__main__ import PARTS, main
from harness.errors import HarnessError

LINES = [
    "Two rounds.",
    ("", "ms", "MB, all | processes"),
    ("`lavt`", "103.5", "1"),
    ("rmsin", "160.3", ""),
    "The limit is held.",
]
MARKDOWN = r"""Two rounds.

|  | ms | MB, all \| processes |
|---|---|---|
| `lavt` | 103.5 | 1 |
| rmsin | 160.3 |  |

The limit is held.
"""


@pytest.fixture
def docs(tmp_path):
    shutil.copytree(PROJECT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path / "docs"


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_its_block_and_writes_nothing_else(docs, part):
    before = {file: file.read_text() for file in docs.iterdir()}
    written = page.write(part, LINES, "2026-01-01, a machine.", docs)
    start = before[written].index(f"<!-- bench: {part} -->")
    end = before[written].index("<!-- end -->", start)
    block = f"<!-- bench: {part} -->\n2026-01-01, a machine.\n\n{MARKDOWN}"
    assert written.read_text() == before[written][:start] + block + before[written][end:]
    assert {file: file.read_text() for file in docs.iterdir() if file != written} == {
        file: text for file, text in before.items() if file != written
    }
    again = written.read_text()
    page.write(part, LINES, "2026-01-01, a machine.", docs)
    assert written.read_text() == again


@pytest.mark.parametrize("damage", ["<!-- end -->", "<!-- bench: loop -->"])
def test_a_block_without_its_markers_is_named_and_the_page_stays(docs, damage):
    file = docs / "benchmarks.md"
    start, end = file.read_text().split("<!-- bench: loop -->")
    end = f"<!-- bench: loop -->{end}".replace(damage, "", 1)
    file.write_text(start + end)
    with pytest.raises(HarnessError, match="<!-- bench: loop --> and <!-- end -->"):
        page.write("loop", LINES, "", docs)
    assert file.read_text() == start + end


def test_two_blocks_of_a_part_are_refused(docs):
    (docs / "other.md").write_text("<!-- bench: loop -->\n<!-- end -->\n")
    with pytest.raises(HarnessError, match=r"benchmarks.md, .*other.md"):
        page.page_of("loop", docs)


def test_the_terminal_shows_the_same_in_columns(capsys):
    assert page.printed(iter(LINES)) == LINES
    first, heading, *rows, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("Two rounds.", "The limit is held.")
    assert [len(row) for row in rows] == [len(heading)] * 2
    assert rows[0].split() == ["`lavt`", "103.5", "1"]


def test_the_circumstances_name_machine_torch_and_commit():
    assert page.circumstances().count(", ") >= 4
    assert " cores" in page.circumstances()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["lop"], "there is no benchmark 'lop'"), (["simulation", "500", "--write"], "the whole of simulation")],
)
def test_what_cannot_be_measured_or_written_is_said_first(arguments, complaint):
    with pytest.raises(SystemExit, match=complaint):
        main(arguments)
