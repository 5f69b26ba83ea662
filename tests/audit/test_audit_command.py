import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from published_files import FILE, ROOT, changed

from harness.cli import cli
from harness.errors import HarnessError


def run(*arguments):
    """The command in this process: its output, or the error that the user is meant to see."""
    result = CliRunner().invoke(cli, ["audit", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_table_fits_80_columns_and_starts_with_the_findings():
    lines = run(FILE).splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    parts = [
        "77 can be reached by rounding",
        "Cells not reachable by rounding",
        "mIoU: what a z test",
        "Stated differences",
    ]
    places = [text.replace("\n  ", " ").find(part) for part in parts]
    assert places == sorted(places)
    assert places[0] > 0
    assert re.search(r"I, test\s+CMPC\s+P@0.5\s+55.83\s+not at all", text)
    assert "\x1b" not in text
    assert "[1,3,5,7] − [1,3,5]" in text  # not taken for markup


def test_json():
    record = json.loads(run(FILE, "--format", "json"))
    assert record["schema_version"] == 1
    assert len(record["cells"]) == 94
    unreachable = [c for c in record["cells"] if c["status"] == "unreachable"]
    assert [(c["row"], c["split"], c["metric"], c["value"], c["counts"]) for c in unreachable] == [
        ("CMPC", "test", "P@0.5", 55.83, [])
    ]


def test_markdown_has_every_block_as_a_table():
    text = run(FILE, "--format", "markdown")
    assert text.startswith("# Audit of published.yaml\n")
    assert text.count("\n## ") == 8
    for block in text.split("\n## ")[1:]:
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, block
    assert "| I, val | CMPC | P@0.7 | 38.50 | by truncation only | 670 is 38.506 |" in text


def test_html_is_one_file_that_loads_nothing():
    page = run(FILE, "--format", "html")
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert page.count("<table") == page.count("<caption") == 8
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)
    assert '<td>CMPC</td><td>P@0.5</td><td class="num">55.83</td><td>not at all</td>' in page


def test_names_from_the_file_stay_text(tmp_path):
    evil = "<img src=x> | **b** `c` \x1b[31m"

    def change(content):
        content["table2"] = {evil: content["table2"]["default"], **content["table2"]}
        content["claims"].append({"text": evil, "pairs": [["MAFN", "RMSIN", "val", "mIoU", 5]]})

    path = changed(tmp_path, change)
    page = run(path, "--format", "html")
    assert "<img" not in page
    assert "&lt;img src=x&gt; | **b**" in page
    text = run(path, "--format", "markdown")
    assert r"\<img src=x\> \| \*\*b\*\* \`c\`" in text
    assert "<img" not in text.replace(r"\<img", "")
    for output in (page, text, run(path)):
        assert "\x1b" not in output


@pytest.mark.parametrize("form", ["table", "json", "markdown", "html"])
def test_out_holds_what_the_terminal_shows(tmp_path, form):
    out = tmp_path / "new" / "audit.txt"
    assert run(FILE, "--format", form, "--out", out).startswith(f"{out}: {form}, ")
    assert out.read_text(encoding="utf-8") == run(FILE, "--format", form)
    assert [path.name for path in out.parent.iterdir()] == ["audit.txt"]


def test_out_is_not_the_file_itself(tmp_path):
    path = changed(tmp_path, lambda content: None)
    before = path.read_bytes()
    with pytest.raises(HarnessError, match="is the file to audit"):
        run(path, "--out", path)
    assert path.read_bytes() == before


def harness(*arguments, cwd=ROOT):
    code = "from harness.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )


def test_without_arguments_it_is_the_projects_file():
    done = harness("audit")
    assert done.returncode == 0
    assert done.stdout == run(FILE)


def test_bad_input_is_one_message_and_exit_code_2(tmp_path):
    wrong = changed(tmp_path, lambda c: c["table1"]["LAVT"]["val"].__setitem__(0, 695.4))
    for arguments, message in (
        (["audit"], f"error: {FILE.relative_to(ROOT)} does not exist"),  # in a folder without one
        (["audit", tmp_path / "none.yaml"], "none.yaml does not exist"),
        (["audit", wrong], "table1.LAVT.val holds 695.4; a percentage from 0 to 100"),
    ):
        done = harness(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not done.stdout


def test_findings_are_no_failure(tmp_path):
    path = changed(tmp_path, lambda c: c["table1"]["MAFN"]["val"].__setitem__(6, 1.0))
    assert harness("audit", path).returncode == 0


def test_no_torch_and_no_pandas():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom harness.cli import cli\n"
        "assert CliRunner().invoke(cli, ['audit', sys.argv[1]]).exit_code == 0\n"
        "print([m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(FILE)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_same_file_gives_the_same_bytes(tmp_path):
    pages = [harness("audit", FILE, "--format", "html").stdout for _ in range(2)]
    assert pages[0] == pages[1]
    reordered = tmp_path / "published.yaml"
    reordered.write_text(
        yaml.safe_dump(yaml.safe_load(FILE.read_text(encoding="utf-8")), sort_keys=False), encoding="utf-8"
    )
    assert run(reordered, "--format", "json") == run(FILE, "--format", "json")
