import re
from pathlib import Path

from harness.data.findings import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "verifying.md"


def test_the_page_lists_every_kind_as_the_code_has_it():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\w+) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (name, kind.meaning, "warning" if kind.harmless else "error", kind.treatment)
        for name, kind in KINDS.items()
    ]
