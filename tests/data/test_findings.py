import re
from pathlib import Path
from typing import get_args

import yaml

from harness.config import Defect
from harness.data.findings import KINDS
from harness.data.verify import Manifest

PAGE = Path(__file__).parents[2] / "docs" / "verifying.md"


def test_the_page_lists_every_kind_as_the_code_has_it():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\w+) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (name, kind.meaning, "warning" if kind.harmless else "error", kind.treatment)
        for name, kind in KINDS.items()
    ]


def test_the_page_lists_what_can_be_left_out():
    listed = PAGE.read_text().split("That can be any of")[1].split("Which of two")[0]
    assert re.findall(r"`(\w+)`", listed) == list(get_args(Defect))
    assert set(get_args(Defect)) < set(KINDS)


def test_the_manifest_on_the_page_is_one():
    block = re.search(r"```yaml\n(dataset:.*?)```", PAGE.read_text(), re.DOTALL)
    assert Manifest.model_validate(yaml.safe_load(block[1])).known["empty_mask"].count == 2
