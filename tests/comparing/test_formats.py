import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands.compare import command
from harness.errors import HarnessError
from harness.samples import write_samples

sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))
from sample_tables import sample_table


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for model, quality in (("lavt", 0.0), ("rmsin", 0.03), ("mafn", 0.3)):
        table = sample_table(120, model=model, quality=quality)
        table["category"] = ["ship", "harbor", "dam"] * 40
        write_samples(table, folder / f"{model}.parquet")
    return [str(folder / f"{model}.parquet") for model in ("mafn", "rmsin", "lavt")]


def run(*arguments):
    result = CliRunner().invoke(command, [*arguments, "--resamples", "300"])
    if isinstance(result.exception, HarnessError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_three_models_have_ranks_and_all_pairs_in_80_columns(files):
    output = run(*files)
    assert max(map(len, output.splitlines())) <= 80
    words = " ".join(output.split())
    assert "A − B" in words
    assert "B − C" in words
    assert "Holm over 7 metrics of 3 pairs." in words
    ranks = re.search(r"Ranks(.*?)Differences", output, re.DOTALL).group(1)
    assert re.search(r"mafn\.parquet\s+[\d.]+\s+1\s", ranks)


def test_json_of_three_models_has_every_pair(files):
    record = json.loads(run(*files, "--format", "json"))
    assert (record["schema_version"], len(record["comparisons"]), len(record["ranks"])) == (2, 3, 7)


def test_a_choice_of_metrics_shows_and_tests_only_these(files):
    output = run(*files[:2], "--metric", "mIoU", "--metric", "P@0.7")
    assert "oIoU" not in output
    assert "Holm over 2 metrics of this comparison" in " ".join(output.split())
    with pytest.raises(HarnessError, match="no metric 'miou'"):
        run(*files[:2], "--metric", "miou")


def test_bins_are_shown_below(files):
    output = run(*files[:2], "--by", "category")
    assert max(map(len, output.splitlines())) <= 80
    for category in ("ship", "harbor", "dam"):
        assert re.search(rf"^\s+{category}\s+40\s", output, re.MULTILINE)
    record = json.loads(run(*files[:2], "--by", "category", "--format", "json"))
    bins = record["breakdown"]["bins"]
    assert sum(one["n"] for one in bins) == 120
    whole = record["metrics"]["mIoU"]["difference"]
    assert sum(one["n"] * one["difference"] for one in bins) / 120 == pytest.approx(whole)
    three = run(*files, "--by", "size")
    for one in json.loads(run(*files, "--by", "size", "--format", "json"))["breakdown"]["bins"]:
        assert len(one["values"]) == len(one["intervals"]) == (3 if one["n"] else 0)
    assert max(map(len, three.splitlines())) <= 80
    with pytest.raises(HarnessError, match="categorie"):
        run(*files[:2], "--by", "categorie")


def test_markdown_is_a_table_with_as_many_cells_in_every_row(files):
    rows = [line for line in run(*files, "--format", "markdown").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert any("**" in row for row in rows)


def test_latex_is_escaped_and_balanced(files):
    text = run(*files[:2], "--format", "latex")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert body.count("{") - body.count(r"\{") == body.count("}") - body.count(r"\}")
    assert not re.search(r"(?<!\\)[%#]", body)
    assert r"95\% interval" in body
    assert r"\toprule" in body


def test_html_is_one_well_formed_page_without_requests(files):
    text = run(*files[:2], "--format", "html")

    class Tags(HTMLParser):
        open_, requests = [], []

        def handle_starttag(self, tag, attributes):
            if tag not in ("meta",):
                self.open_.append(tag)
            self.requests += [value for name, value in attributes if name in ("src", "href")]

        def handle_endtag(self, tag):
            assert self.open_.pop() == tag

    parser = Tags()
    parser.feed(text)
    assert (parser.open_, parser.requests) == ([], [])
    assert "default-src 'none'" in text


def test_names_from_outside_are_escaped_everywhere():
    name = "a_b&<i>|x"
    from harness.comparing.formats import as_html, as_latex, as_markdown
    from harness.comparing.sheet import make_sheet
    from harness.statistics import compare_all

    tables = {name: sample_table(30), "other": sample_table(30, model="other")}
    sheet = make_sheet(compare_all(tables, n_resamples=100), None, notes=["50% of <b>"])
    assert "a_b&amp;&lt;i&gt;|x" in as_html(sheet)
    assert "50% of &lt;b&gt;" in as_html(sheet)
    assert r"a\_b&\<i\>\|x" in as_markdown(sheet)
    assert r"a\_b\&\textless{}i\textgreater{}" in as_latex(sheet)


def test_out_writes_the_file_or_nothing(files, tmp_path):
    target = tmp_path / "table.tex"
    assert run(*files[:2], "--format", "latex", "--out", str(target)).startswith("written: ")
    assert target.read_text().startswith(r"\begin{table}")
    with pytest.raises(HarnessError, match=r"table\.tex"):
        run(*files[:2], "--out", str(target / "below.tex"))


def test_the_ending_of_out_chooses_the_format_and_an_unknown_one_is_refused(files, tmp_path):
    run(*files[:2], "--out", str(tmp_path / "table.MD"))
    assert (tmp_path / "table.MD").read_text().startswith("### ")
    run(*files[:2], "--out", str(tmp_path / "table.txt"))
    assert (tmp_path / "table.txt").read_text().startswith("mini-rrsis, test, resized")
    run(*files[:2], "--format", "json", "--out", str(tmp_path / "own.foo"))
    assert json.loads((tmp_path / "own.foo").read_text())["schema_version"]
    result = CliRunner().invoke(command, [*files[:2], "--out", str(tmp_path / "c.foo")])
    assert result.exit_code == 2
    assert "*.txt, *.json, *.md, *.tex, *.html" in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "c.foo").exists()


def test_one_name_is_no_comparison(files):
    result = CliRunner().invoke(command, files[:1])
    assert result.exit_code == 2
    assert "two models at least" in " ".join(result.output.replace("│", " ").split())


def test_csv_and_parquet_meet(files, tmp_path):
    import pandas as pd

    pd.read_parquet(files[1]).to_csv(tmp_path / "rmsin.csv", index=False)
    there = json.loads(run(files[0], str(tmp_path / "rmsin.csv"), "--format", "json"))
    assert there == json.loads(run(*files[:2], "--format", "json"))


def test_what_is_wrong_with_a_file_is_told_with_its_name(files, tmp_path):
    import pandas as pd

    table = pd.read_parquet(files[0])
    pd.concat([table, table.iloc[[3]]]).to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(
        HarnessError,
        match=r"twice\.csv: .*1 expressions occur more than once with the same seed: ref_id 1003",
    ):
        run(files[1], str(tmp_path / "twice.csv"))
    table.drop(index=5).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(
        HarnessError,
        match=r"A \(rmsin\.parquet\) and B \(short\.csv\) do not hold the same expressions: 1 missing in B",
    ):
        run(files[1], str(tmp_path / "short.csv"))
    table.drop(columns="area_share").to_csv(tmp_path / "plain.csv", index=False)
    with pytest.raises(
        HarnessError, match=r"^plain\.csv lacks the column area_share that --by size needs: .*add it"
    ):
        run(files[1], str(tmp_path / "plain.csv"), "--by", "size")
    with pytest.raises(HarnessError, match="no breakdown by 'sise'"):
        run(files[1], files[0], "--by", "sise")


def test_as_a_process_no_torch_is_imported(files):
    code = (
        "import sys\nfrom harness.cli import main\n"
        "sys.argv = ['harness', 'compare', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules and 'scipy.stats' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *files, "--by", "category"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_model_many_times_keeps_its_letters_and_too_many_are_refused(files):
    twice = run(files[0], files[0])
    assert f"{files[0]} (A), seed 0" in " ".join(twice.split())
    assert "every difference is 0 by construction" in " ".join(twice.split())
    with pytest.raises(HarnessError, match="27 models: at most 26"):
        run(*files[:1] * 27)


def test_a_bin_in_one_cluster_has_values_and_no_test():
    from harness.comparing.bins import compare_bins

    a, b = sample_table(20, quality=0.1), sample_table(20, model="rmsin")
    for table in (a, b):
        table["category"] = ["ship"] * 19 + ["dam"]
    dam, ship = compare_bins({"a": a, "b": b}, "category", "mIoU", n_resamples=100)
    assert (dam.label, dam.n, dam.intervals, dam.interval, dam.p_adjusted) == (
        "dam",
        1,
        (None, None),
        None,
        None,
    )
    assert dam.difference == dam.values[0] - dam.values[1]
    assert ship.interval[0] <= ship.difference <= ship.interval[1]
    assert ship.p_adjusted == ship.p_value, "one test, one hypothesis"
    b["category"] = "ship"
    with pytest.raises(HarnessError, match="differ in the category"):
        compare_bins({"a": a, "b": b}, "category", "mIoU", n_resamples=100)
