import pytest
from published_files import FILE, changed

from harness.errors import HarnessError
from harness.published import read_published


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("n"), "lacks n; it needs the sections n, table1"),
        (lambda c: c["n"].update(val=0), r"n\.val is 0; .* 1 or more"),
        (lambda c: c["n"].update(val=-3), r"n\.val is -3"),
        (lambda c: c["n"].update(test="many"), r"n\.test is 'many'"),
        (lambda c: c["n"].update(test=34.5), r"n\.test is 34\.5"),
        (lambda c: c.update(n=5), "n must hold the expressions of val and test; it is 5"),
        (lambda c: c["n"].pop("test"), "n must hold the expressions of val and test"),
        (lambda c: c["table1"]["LAVT"]["val"].__setitem__(0, 100.01), r"table1\.LAVT\.val holds 100\.01"),
        (lambda c: c["table1"]["LAVT"]["val"].__setitem__(0, -1), r"table1\.LAVT\.val holds -1"),
        (lambda c: c["table1"]["LAVT"]["val"].__setitem__(0, float("nan")), r"LAVT\.val holds nan"),
        (lambda c: c["table1"]["LAVT"]["val"].__setitem__(0, float("inf")), r"LAVT\.val holds"),
        (lambda c: c["table1"].update(LAVT=[1, 2]), r"table1\.LAVT needs the keys val and test"),
        (lambda c: c.update(table1=[1, 2]), "table1 must have rows"),
        (lambda c: c.update(table3=None), "table3 must have rows"),
        (lambda c: c["repeats"][0]["rows"][0].__setitem__(0, [1]), r"of \[1\], which is not there"),
        (
            lambda c: c["claims"][0]["pairs"][0].__setitem__(0, "MAFM"),
            "'MAFM', which no table has. Did you mean",
        ),
        (lambda c: c["claims"][0]["pairs"][0].__setitem__(1, "[1]"), "are not rows of one table"),
        (
            lambda c: c["claims"][0]["pairs"][0].__setitem__(3, "P@0.55"),
            r"val P@0\.55, which table1 does not have",
        ),
        (
            lambda c: c["claims"][1]["pairs"][0].__setitem__(2, "test"),
            "test P@0.7, which table2 does not have",
        ),
        (lambda c: c["claims"][0]["pairs"][0].pop(), r"claims\[0\] holds"),
        (lambda c: c["claims"][0]["pairs"][0].__setitem__(4, "much"), r"claims\[0\] holds"),
        (lambda c: c["claims"][0].pop("text"), "claims must be a list of entries with the keys text, pairs"),
        (lambda c: c.update(claims=7), "claims must be a list"),
        (lambda c: c["repeats"][0]["rows"].append(["table3", "[9]"]), r"repeats\[0\] names the row '\[9\]'"),
        (lambda c: c["repeats"][0].update(rows=[["table3", "[1]"]]), r"repeats\[0\]\.rows is .*two or more"),
        (
            lambda c: c["table1"]["MAFN"]["readings"]["test"].update({"P@0.6": [101]}),
            r"test\.P@0\.6 holds 101",
        ),
        (
            lambda c: c["table1"]["MAFN"]["readings"]["test"].update({"P@0.6": 3}),
            "must be a list of percentages",
        ),
        (lambda c: c["table1"]["MAFN"].update(uncertain=["test"]), "uncertain must have the form"),
        (lambda c: c.update(reruns=[{"model": "x"}]), "reruns must be a list of entries with the keys model"),
    ],
)
def test_the_file_is_named_with_the_value(tmp_path, change, message):
    path = changed(tmp_path, change)
    with pytest.raises(HarnessError, match=message) as error:
        read_published(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n: [", "cannot be read as YAML"),
        ("[1, 2]", "lacks every section"),
        ("", "lacks every section"),
        ("n: {val: 1, val: 2}", "line 1: the name 'val' stands there twice"),
        ("? [a]\n: 1", "cannot be read as YAML"),
    ],
)
def test_text_that_is_not_of_the_form(tmp_path, text, message):
    path = tmp_path / "published.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=message):
        read_published(path)


def test_numbers_keep_their_digits():
    cell = read_published(FILE).row("table1", "CMPC").cells["val", "P@0.7"]
    assert (cell.printed, cell.value) == ("38.50", 38.5)
