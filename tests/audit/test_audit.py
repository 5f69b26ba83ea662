import json

import pytest
from published_files import FILE, audited, cell

from harness.audit import audit
from harness.audit.comparisons import MeanComparison, ShareComparison
from harness.audit.summary import summary
from harness.audit.support import mcnemar_range
from harness.published import read_published


@pytest.fixture(scope="module")
def project():
    """The audit of the project's file."""
    return audit(read_published(FILE))


def statuses(result):
    return {(c.table, c.row, c.split, c.metric): c.status for c in result.cells}


# cells and rows -------------------------------------------------------------------------------------------------------


def test_every_share_of_the_tables_is_checked_and_nothing_else(project):
    assert len(project.cells) == 7 * 2 * 5 + 8 * 3
    assert {c.metric for c in project.cells} == {f"P@0.{t}" for t in range(5, 10)}
    assert {(c.split, c.n) for c in project.cells} == {("val", 1740), ("test", 3481)}


def test_what_is_not_reachable_by_rounding(project):
    found = {key: status for key, status in statuses(project).items() if status != "rounding"}
    assert [key for key, status in found.items() if status == "unreachable"] == [
        ("table1", "CMPC", "test", "P@0.5")
    ]
    assert len(found) == 17
    assert {row for _, row, _, _ in found} == {"CMPC", "BRINet", "CMPC+", "MAFN"}


def test_rows_that_one_way_of_printing_explains(project):
    by = {(r.table, r.row, r.split): r.printed_by for r in project.rows}
    assert by["table1", "BRINet", "test"] == ("truncation",)
    assert by["table1", "RMSIN", "val"] == ("rounding",)
    assert by["table1", "MAFN", "val"] == ("rounding", "truncation")
    assert by["table1", "MAFN", "test"] == ()
    assert not any(row.findings for row in project.rows)


def test_uncertain_cells_do_not_decide_how_a_row_was_printed(tmp_path):
    def change(content):
        row = content["table1"]["RMSIN"]
        row["val"][1] = 68.21  # 1187 is 68.218: by truncation only
        row["uncertain"] = {"val": {"P@0.6": "smudged"}}

    result = audited(tmp_path, change)
    found = next(r for r in result.rows if (r.row, r.split) == ("RMSIN", "val"))
    assert (found.printed_by, found.checked) == (("rounding",), 4)


def test_a_planted_cell_is_found(tmp_path):
    result = audited(
        tmp_path, lambda c: c["table3"]["[1]"].__setitem__(0, 74.22)
    )  # 74.20 is 1291, 74.25 is 1292
    planted = cell(result, "table3", "[1]", "val", "P@0.5")
    assert planted.status == "unreachable"
    assert planted.reach.around == (1291, 1292)
    assert (
        "Table III, [1], val, P@0.5 = 74.22 is no count of 1,740: 1,291 is 74.195, 1,292 is 74.253."
        in summary(result)
    )


def test_a_cell_without_a_number_has_no_status(tmp_path):
    result = audited(tmp_path, lambda c: c["table1"]["LAVT"]["val"].__setitem__(2, None))
    absent = cell(result, "table1", "LAVT", "val", "P@0.7").to_dict()
    assert (absent["value"], absent["status"], absent["counts"]) == (None, None, [])
    assert absent["reason"] == "no number in the table"
    assert {(n.pair.a, n.pair.b) for n in result.not_compared} == {("MAFN", "LAVT"), ("RMSIN", "LAVT")}
    mean = means(result)["table1", "val", "MAFN", "LAVT"]  # from the other four thresholds
    assert mean.sd_b[0] < 25.37
    assert mean.sd_b[1] > 40.25


def test_trailing_zeros_of_the_file_do_not_matter_and_decimals_do(tmp_path):
    text = FILE.read_text(encoding="utf-8")
    path = tmp_path / "published.yaml"
    path.write_text(text.replace("[57.93,", "[57.930,"), encoding="utf-8")
    result = audit(read_published(path))
    assert cell(result, "table1", "CMPC", "val", "P@0.5").status == "unreachable"  # 1008 is 57.931
    assert cell(result, "table1", "CMPC", "val", "P@0.7").status == "truncation"  # 38.50


def test_a_whole_number_is_one_with_two_decimals(tmp_path):
    result = audited(tmp_path, lambda c: c["table1"]["LAVT"]["val"].__setitem__(0, 75))
    assert cell(result, "table1", "LAVT", "val", "P@0.5").reach.printed == "75.00"
    assert cell(result, "table1", "LAVT", "val", "P@0.5").reach.counts == (1305,)


def test_readings_of_uncertain_cells(project):
    uncertain = cell(project, "table1", "MAFN", "test", "P@0.6")
    assert uncertain.uncertain
    assert {r.printed: r.status for r in uncertain.readings} == {
        "58.14": "rounding",
        "59.14": "truncation",
        "60.14": "unreachable",
        "69.14": "truncation",
    }


def test_shares_that_grow_and_means_out_of_range_are_findings(tmp_path):
    def change(content):
        content["table1"]["CMPC"]["val"][1] = 57.94  # P@0.6 above P@0.5
        content["table1"]["LGCE"]["test"][6] = 90.0

    result = audited(tmp_path, change)
    found = {(r.row, r.split): r.findings for r in result.rows if r.findings}
    assert found["CMPC", "val"] == ("P@0.6 is 57.94, above P@0.5 with 57.93",)
    assert found["LGCE", "test"][0].endswith("not 90.00")
    assert {n.pair.b for n in result.not_compared if n.metric == "mIoU"} == {"CMPC", "LGCE"}
    assert any("Table I, CMPC, val: P@0.6 is 57.94" in sentence for sentence in summary(result))


# comparisons ----------------------------------------------------------------------------------------------------------


def means(result):
    return {
        (c.pair.table, c.pair.split, c.pair.a, c.pair.b): c
        for c in result.comparisons
        if isinstance(c, MeanComparison)
    }


def test_pairs_of_interest(project):
    pairs = set(means(project))
    for split in ("val", "test"):
        of_split = {(a, b) for table, s, a, b in pairs if (table, s) == ("table1", split)}
        others = ("CMPC", "BRINet", "CMPC+", "LGCE", "LAVT", "RMSIN")
        assert of_split == {("MAFN", name) for name in others} | {("RMSIN", "LAVT")}
    assert {b for table, _, a, b in pairs if a == "+ MSRC"} == {
        "default",
        "+ Correlation-Aware Fusion",
        "+ Adaptive Noisy",
    }
    assert ("table3", "val", "[1,3]", "[1]") in pairs  # of a claim


def test_mean_difference_of_the_main_pair(project):
    found = means(project)["table1", "test", "MAFN", "RMSIN"]
    assert found.difference == pytest.approx(0.56)
    assert found.p == pytest.approx((0.292, 0.542), abs=5e-4)
    assert found.support == "never"
    assert 0.7 < found.correlation[0] < 0.72
    assert 0.99 < found.correlation[1] < 1
    assert found.uncertain == ("MAFN P@0.6", "MAFN P@0.9")


def test_share_difference_uses_the_counts(project):
    found = next(
        c
        for c in project.comparisons
        if isinstance(c, ShareComparison) and (c.pair.split, c.pair.b, c.metric) == ("test", "CMPC", "P@0.5")
    )
    record = found.to_dict()
    assert (record["k_a"], record["k_b"], record["k_by"]) == (2620, 1943, ["rounding", "unreachable"])
    assert found.support == "always"


def test_where_several_counts_print_alike_the_range_covers_all(tmp_path):
    result = audited(tmp_path, lambda c: c["n"].update(val=20_000))
    found = next(
        c
        for c in result.comparisons
        if isinstance(c, ShareComparison) and (c.pair.split, c.pair.b, c.metric) == ("val", "RMSIN", "P@0.9")
    )
    assert found.a.rounding == (4941, 4942)  # 24.705 and 24.71; 24.715 is 24.72 both ways
    assert found.b.rounding == (4885, 4886)
    assert found.mcnemar.exact[0] == mcnemar_range((4942,), (4885,), 20_000).exact[0]
    assert found.mcnemar.exact[1] == mcnemar_range((4941,), (4886,), 20_000).exact[1]


# claims and repeats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [
        (0.93, "agrees"),
        (0.94, "agrees"),
        (0.92, "agrees"),
        (0.95, "differs"),
        (0.9, "agrees"),
        (1, "agrees"),
        (-0.93, "differs"),
    ],
)
def test_a_stated_difference_may_be_off_by_its_rounding(tmp_path, stated, verdict):
    result = audited(tmp_path, lambda c: c["claims"][0]["pairs"][0].__setitem__(4, stated))
    assert result.claims[0].verdict == verdict
    assert result.claims[0].difference == "0.93"
    if verdict == "differs":
        assert any("MAFN − RMSIN, val mIoU" in s and "0.93 in Table I" in s for s in summary(result))


def test_a_claim_on_a_cell_without_a_number(tmp_path):
    result = audited(tmp_path, lambda c: c["table1"]["MAFN"]["val"].__setitem__(6, None))
    assert result.claims[0].verdict == "cannot be computed"
    assert result.claims[0].to_dict()["a"] == {"row": "MAFN", "value": None}


def test_repeated_rows(project, tmp_path):
    same, perhaps = project.repeats
    assert same.agree
    assert len(same.cells) == 5
    assert not perhaps.agree
    result = audited(tmp_path, lambda c: c["table3"]["[1,3,5]"].__setitem__(4, 66.04))
    assert [c.metric for c in result.repeats[0].cells if not c.agree] == ["mIoU"]
    assert any("1 of 5 shared cells differ" in sentence for sentence in summary(result))


# the whole ------------------------------------------------------------------------------------------------------------


def test_record(project):
    record = json.loads(json.dumps(project.to_dict(), allow_nan=False))
    assert record["schema_version"] == 1
    for key in ("table", "row", "split", "metric", "value", "n", "status", "counts"):
        assert all(key in found for found in record["cells"])
    assert {found["status"] for found in record["cells"]} == {"rounding", "truncation", "unreachable"}
    assert {found["status"] for found in record["claims"]} == {"agrees"}
    assert {found["kind"] for found in record["comparisons"]} == {"share", "mean"}
    assert record["reachable_by_chance"]["val"] == pytest.approx(0.174, abs=5e-4)


def test_tables_of_one_row_and_without_claims(tmp_path):
    def change(content):
        for section in ("claims", "repeats", "reruns"):
            del content[section]
        content["table1"] = {"A": {"val": [None] * 7, "test": [50, 50, 50, 50, 50, 50, None]}}

    result = audited(tmp_path, change)
    assert cell(result, "table1", "A", "test", "P@0.5").status == "unreachable"  # 3481 is odd
    assert result.claims == result.repeats == ()
    assert not [c for c in result.comparisons if c.pair.table == "table1"]
    assert summary(result)
