"""What CI reads: JUnit XML, Markdown, JSON and the exit code."""

import json
import xml.etree.ElementTree as ET

import pytest
from toy_gate import check, profile, table_path

from harness.errors import HarnessError
from harness.gate.outcome import Check, Outcome


@pytest.fixture
def worse(tmp_path):
    """One network worse, another not evaluated."""
    params = profile(tmp_path / "worse", "toy", quality={"mafn-full": -0.25})
    table_path(params, "lavt-full-s0").unlink()
    return params


def test_junit_has_a_test_case_a_check(gate, worse, tmp_path):
    result = check(worse, gate.reference, "--format", "json", "--junit", tmp_path / "new/junit.xml")
    assert result.exit_code == 1
    checks = json.loads(result.output)["checks"]
    root = ET.parse(tmp_path / "new/junit.xml").getroot()
    assert [suite.get("name") for suite in root] == ["reference", "exact", "retrained"]
    cases = root.findall(".//testcase")
    assert [case.get("name") for case in cases] == [one["name"] for one in checks]
    failures = {case.get("name"): case.find("failure") for case in cases if case.find("failure") is not None}
    assert set(failures) == {one["name"] for one in checks if not one["passed"]}
    assert failures["lavt-full: samples"].get("type") == "missing"
    assert "harness evaluate --run lavt-full-s0" in failures["lavt-full: samples"].text
    assert "now" in failures["mafn-full: mIoU"].get("message")
    assert int(root.get("failures")) == len(failures)
    assert int(root.get("tests")) == len(cases) == sum(int(suite.get("tests")) for suite in root)


def test_markdown_says_what_failed(gate, worse, tmp_path):
    assert check(worse, gate.reference, "--markdown", tmp_path / "summary.md").exit_code == 1
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("### harness check: FAILED")
    assert "- **lavt-full: samples missing**" in text
    assert "oIoU, mIoU regressed**" in text
    rows = [line for line in text.splitlines() if line.startswith("| mafn-full")]
    assert len(rows) == 7
    assert all(row.count("|") == 10 for row in rows)
    assert check(gate.params, gate.reference, "--markdown", tmp_path / "summary.md").exit_code == 0
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("### harness check: passed")


def test_characters_that_xml_forbids_are_replaced():
    outcome = Outcome("x", (Check("exact", "a", False, "changed", ("bell \a & <b>",)),))
    assert ET.fromstring(outcome.to_junit()).find(".//failure").text == "bell ? & <b>"


def test_the_result_names_the_failed_checks_together():
    checks = [Check("retrained", f"mafn-full: {name}", False, "regressed") for name in ("oIoU", "mIoU")]
    outcome = Outcome("x", (*checks, Check("exact", "b", True, "identical")))
    assert outcome.in_words() == "FAILED: 2 of 3 checks. mafn-full: oIoU, mIoU regressed."


def test_what_cannot_be_written_is_known_before_the_work(gate, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(HarnessError, match="cannot write"):
        check(gate.params, gate.reference, "--junit", tmp_path / "taken/junit.xml")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--layer", "some"],
        ["--seed-runs", "x.yaml"],
        ["--update", "--layer", "retrained"],
        ["--update", "--junit", "x"],
    ],
)
def test_bad_options_exit_with_2(gate, arguments):
    assert check(gate.params, gate.reference, *arguments).exit_code == 2
