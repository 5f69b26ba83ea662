"""The report's tables as files: the numbers of statistics.json, what the page shows, nothing that a reader executes."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from click.testing import CliRunner
from report_inputs import edit_statistics, make_params

from harness.audit.document import document
from harness.commands.report import command
from harness.errors import HarnessError
from harness.report.build import TABLES, build_site
from harness.report.exports.catalog import AUDIT, EXPORTS, table_files
from harness.report.exports.formats import FORMATS, SUFFIXES, as_csv, as_json, as_latex, as_markdown
from harness.report.exports.layout import lay_out, letters
from harness.report.exports.table import Cell, Column, Export, Group, missing, text
from harness.report.sections import read_inputs

HOSTILE = '=HYPERLINK("x") | <script> \\input{y} $%#_^~& `[z](w)` [1] --\x1b\n'


def without_pictures(params):
    return params.model_copy(update={"report": params.report.model_copy(update={"gallery": 0})})


def inputs_of(params):
    return read_inputs(without_pictures(params))


@pytest.fixture(scope="module")
def inputs(pipeline):
    return inputs_of(make_params(pipeline))


@pytest.fixture(scope="module")
def content(inputs):
    return json.loads(inputs.params.statistics_file.read_text(encoding="utf-8"))


def records(export):
    return list(csv.DictReader(io.StringIO(as_csv(export), newline="")))


def summaries(content):
    return {
        (f"{s['model']}-{s['variant']}", s["split"]): s
        for s in content["summaries"]
        if s["protocol"] == "resized" and s["condition"] == "sentence"
    }


# numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1", "2", "3"])
def test_csv_gives_back_the_statistics_to_the_last_digit(inputs, content, name):
    found = summaries(content)
    measured = [row for row in records(EXPORTS[name](inputs)) if row["source"] in ("measured", "trivial")]
    assert len(measured) == {"1": 6 * 14, "2": 4 * 5, "3": 4 * 5}[name]
    for row in measured:
        summary = found[row["variant"], row["split"]]
        expected = summary["metrics"][row["metric"]]
        assert float(row["value"]) == expected["value"]
        assert [float(row["low"]), float(row["high"])] == expected["interval"]
        seeds = [float(row[f"per_seed_{n}"]) for n in (1, 2) if row.get(f"per_seed_{n}")]
        assert seeds == expected["per_seed"]
        assert int(row["n"]) == summary["n"]
        if row["source"] == "measured":
            assert row["seed_list"] == " ".join(map(str, summary["seeds"]))
        assert row["gap"] == ""


def test_json_gives_back_the_statistics_with_their_provenance(inputs, content):
    table = json.loads(as_json(EXPORTS["1"](inputs)))
    assert (table["schema_version"], table["profile"]) == (1, "embedded")
    found = summaries(content)
    by_source = {group["source"]: group for group in table["groups"]}
    assert list(by_source) == ["measured", "trivial", "published"]
    assert {key: by_source["measured"][key] for key in ("dataset", "protocol", "n")} == {
        "dataset": "mini-rrsis",
        "protocol": "resized",
        "n": {"val": 40, "test": 40},
    }
    assert (by_source["published"]["dataset"], by_source["published"]["protocol"]) == ("RRSIS-D", None)
    assert by_source["published"]["n"] == {"val": 1740, "test": 3481}
    places = [column for column in table["columns"] if column["metric"]]
    assert len(places) == 14
    for row in by_source["measured"]["rows"]:
        for column in places:
            expected = found[row["variant"], column["split"]]["metrics"][column["metric"]]
            cell = row[column["name"]]
            assert (cell["value"], cell["interval"], cell["per_seed"]) == (
                expected["value"],
                expected["interval"],
                expected["per_seed"],
            )


def test_published_numbers_are_those_of_the_file(inputs):
    rows = [row for row in records(EXPORTS["1"](inputs)) if row["source"] == "published"]
    assert len(rows) == 7 * 14
    expected = {
        (row.name, split, metric): cell.value
        for row in inputs.published.tables["table1"]
        for (split, metric), cell in row.cells.items()
    }
    assert {(row["name"], row["split"], row["metric"]): float(row["value"]) for row in rows} == expected
    assert {row["low"] for row in rows} == {""}


def test_comparisons_are_those_of_the_statistics(inputs, content):
    found = {
        (row["group"], row["first"], row["second"], row["metric"]): row
        for row in records(EXPORTS["significance"](inputs))
    }
    assert len(found) == 7 * len(content["comparisons"])
    expected = content["comparisons"][2]["metrics"]["mIoU"]
    row = found["Table I, test", "MAFN", "RMSIN", "mIoU"]
    assert float(row["difference"]) == expected["difference"]
    assert [float(row["difference_low"]), float(row["difference_high"])] == expected["interval"]
    assert (float(row["p"]), float(row["p_holm"])) == (expected["p_value"], expected["p_adjusted"])


def test_breakdowns_and_pairs_are_those_of_the_statistics(inputs, content):
    rows = records(EXPORTS["breakdowns"](inputs))
    assert len(rows) == sum(len(b["bins"]) for b in content["breakdowns"])
    broken = next(b for b in content["breakdowns"] if (b["model"], b["by"]) == ("mafn", "size"))
    for one in broken["bins"]:
        (row,) = [r for r in rows if (r["by"], r["bin"], r["model"]) == ("size", one["label"], "MAFN")]
        assert int(row["n"]) == one["n"]
        if one["n"]:
            assert float(row["P@0.7"]) == one["metrics"]["P@0.7"]["value"]
            if one["metrics"]["mIoU"]["interval"]:
                assert [float(row["mIoU_low"]), float(row["mIoU_high"])] == one["metrics"]["mIoU"]["interval"]
        else:
            assert "mIoU: no expression" in row["gap"]
    pairs = records(EXPORTS["pairs"](inputs))
    expected = content["rankings"][0]["comparisons"][0]["metrics"]["mIoU"]
    row = next(r for r in pairs if (r["first"], r["second"], r["metric"]) == ("MAFN", "RMSIN", "mIoU"))
    assert (float(row["p_holm"]), float(row["effect_dz"])) == (expected["p_adjusted"], expected["effect"])
    assert [int(row[name]) for name in ("better", "equal", "worse")] == expected["wins"]
    assert len(records(EXPORTS["ranks"](inputs))) == 2 * 3


# what is said about them ----------------------------------------------------------------------------------------------


def test_bold_is_what_is_bold_on_the_page(inputs, page):
    strong = {
        tuple(key.split("/")[1:]) for key in re.findall(r'data-measured="(table1/[^"]*)"><strong>', page)
    }
    assert strong
    export = EXPORTS["1"](inputs)
    best = {(row["variant"], row["split"], row["metric"]) for row in records(export) if row["best"] == "true"}
    assert best == strong
    printed = re.findall(r"<strong>([\d.]+)</strong>", page[: page.index('id="table2"')])
    body = as_latex(export).partition(r"\midrule")[2]
    assert sorted(re.findall(r"\\textbf\{([\d.]+)\}", body)) == sorted(printed)
    assert sorted(re.findall(r"\*\*([\d.]+)\*\*", as_markdown(export))) == sorted(printed)


def test_uncertain_cells_have_their_reason_in_every_format(inputs):
    export = EXPORTS["1"](inputs)
    uncertain = {row["metric"]: row["uncertain"] for row in records(export) if row["uncertain"]}
    assert uncertain == {
        "P@0.6": "read from a damaged scan",
        "P@0.9": "read from a damaged scan; 24.76 is possible",
        "oIoU": "read from a damaged scan",
    }
    tex, md = as_latex(export), as_markdown(export)
    for mark, value, metric in (("a", "68.14", "P@0.6"), ("b", "23.76", "P@0.9"), ("c", "77.41", "oIoU")):
        sentence = f"Uncertain: MAFN, test, {metric}: {uncertain[metric]}."
        assert rf"{value}\textsuperscript{{{mark}}}" in tex
        assert rf"\textsuperscript{{{mark}}}~{sentence}" in tex
        assert f"{value}<sup>{mark}</sup>" in md
        assert f"- <sup>{mark}</sup> {sentence}" in md


def test_a_missing_variant_is_said_in_words(params):
    def drop(content):
        content["summaries"] = [s for s in content["summaries"] if s["variant"] != "k13"]

    edit_statistics(params, drop)
    export = EXPORTS["3"](inputs_of(params))
    reason = "Not measured (mafn-k13-s0 missing from statistics.json)"
    gaps = [row["gap"] for row in records(export) if row["variant"] == "mafn-k13"]
    assert gaps == [reason] * 5
    assert rf"\multicolumn{{6}}{{l}}{{\textit{{{reason}}}}}" in as_latex(export)
    assert reason in as_markdown(export)
    cells = [row for row in json.loads(as_json(export))["groups"][0]["rows"] if row["variant"] == "mafn-k13"]
    assert cells[0]["val mIoU"] | {"best": False} == {
        "value": None,
        "interval": None,
        "per_seed": [],
        "best": False,
        "uncertain": None,
        "gap": reason,
    }


def test_a_split_that_was_not_evaluated_has_a_note(params):
    def drop(content):
        content["summaries"] = [
            s for s in content["summaries"] if (s["model"], s["split"]) != ("lavt", "test")
        ]

    edit_statistics(params, drop)
    export = EXPORTS["1"](inputs_of(params))
    assert {row["gap"] for row in records(export) if row["variant"] == "lavt-full"} == {"", "not evaluated"}
    assert r"\textemdash{}\textsuperscript{d}" in as_latex(export)
    assert r"\textsuperscript{d}~Not evaluated." in as_latex(export)


def test_a_row_that_was_never_trained_stands_beside_the_published_one(params):
    rows = {name: variant for name, variant in params.tables.table3.rows.items() if name != "[1]"}
    table3 = params.tables.table3.model_copy(update={"rows": rows})
    params = params.model_copy(update={"tables": params.tables.model_copy(update={"table3": table3})})
    text = as_markdown(EXPORTS["3"](inputs_of(params)))
    assert "Not trained here: no variant in params.yaml" in text


def test_the_embedded_profile_warns_wherever_its_numbers_go(inputs, params):
    export = EXPORTS["2"](inputs)
    assert export.warning is not None
    assert as_latex(export).count(export.warning) == 2  # in a comment and in the caption
    assert f"**Warning.** {export.warning}" in as_markdown(export)
    assert json.loads(as_json(export))["warning"] == export.warning
    assert EXPORTS["audit-means"](inputs).warning is None
    apart = "Measured on mini-rrsis, published on RRSIS-D: a difference between the two means nothing."
    assert apart in EXPORTS["2"](inputs).notes
    assert apart in EXPORTS["reproduction"](inputs).notes
    edit_statistics(params, lambda content: content.update(profile="rrsisd", dataset="rrsis-d"))
    assert EXPORTS["2"](inputs_of(params)).warning is None
    assert EXPORTS["2"](inputs_of(params)).notes == ()


# names from outside ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile():
    return Export(
        "hostile",
        HOSTILE,
        HOSTILE,
        (Column("name", HOSTILE), Column("value", "Value", "percent", interval="below")),
        (
            Group(
                HOSTILE,
                "measured",
                HOSTILE,
                ((text(HOSTILE), Cell(-1.5)), (text("+ MSRC"), missing(HOSTILE))),
            ),
        )
        * 2,
        notes=(HOSTILE,),
        warning=HOSTILE,
    )


def test_a_spreadsheet_finds_no_formula(hostile):
    rows = list(csv.reader(io.StringIO(as_csv(hostile), newline="")))
    fields = [field for row in rows for field in row]
    assert not [field for field in fields if field.startswith(("=", "+", "@", "\t", "\r"))]
    assert "-1.5" in fields  # a number is none
    assert "'+ MSRC" in fields
    assert not [field for field in fields if not field.isprintable()]
    assert as_csv(hostile).endswith("\r\n")
    for start in ("=1", "+a", "-a", "@a", " =1", "\t=1", "\n+a"):
        export = replace(
            hostile, columns=hostile.columns[:1], groups=(Group("", "x", "y", ((text(start),),)),)
        )
        assert records(export)[0]["name"].startswith("'"), start
    signed = replace(hostile, columns=hostile.columns[:1], groups=(Group("", "x", "y", ((text("+0.93"),),)),))
    assert records(signed)[0]["name"] == "+0.93"


def test_latex_holds_no_command_of_a_name(hostile):
    body = [line for line in as_latex(hostile).splitlines() if not line.startswith("%")]
    whole = "\n".join(body)
    assert r"\input" not in whole
    assert r"\textbackslash{}input\{y\} \$\%\#\_\textasciicircum{}\textasciitilde{}\&" in whole
    assert not re.search(r"(?<!\\)[$#_]", whole.replace("$-$", "").replace("tab:", ""))
    assert not [line for line in body if re.search(r"(?<!\\)%(?!$)", line)]
    assert whole.count("{") - whole.count(r"\{") == whole.count("}") - whole.count(r"\}")
    assert not [line for line in as_latex(hostile).splitlines() if "\x1b" in line]


def test_markdown_holds_no_markup_of_a_name(hostile):
    lines = as_markdown(hostile).splitlines()
    assert not [line for line in lines if re.search(r"(?<!\\)<script|(?<!\\)`|(?<!\\)\[", line)]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")} == {3}


def test_json_keeps_names_as_they_are(hostile):
    assert json.loads(as_json(hostile))["groups"][0]["rows"][0]["name"] == HOSTILE


# files, links and the command -----------------------------------------------------------------------------------------


def test_every_table_is_a_file_in_every_format_and_linked_once(params):
    folder = build_site(params).parent
    files = {path.name for path in (folder / TABLES).iterdir()}
    assert files == {f"{name}.{suffix}" for name in EXPORTS for suffix in SUFFIXES.values()}
    links = [
        link
        for page in folder.glob("*.html")
        for link in re.findall(r'href="tables/([^"]*)"', page.read_text(encoding="utf-8"))
    ]
    assert len(links) == len(set(links))
    # The made-up runs have no last weights, feature maps, tokenizer, phases and dvc.lock.
    empty = {"checkpoints", "features", "sentences", "durations", "artefacts"}
    assert set(links) == {file for file in files if file.partition(".")[0] not in empty}


def test_one_page_has_no_links_to_files_that_it_does_not_bring(page):
    assert "Download" not in page


def test_the_names_of_the_audit_are_its_blocks(inputs):
    assert tuple(block.key for block in document(inputs.audit)) == AUDIT


def test_same_inputs_same_text_and_every_row_has_a_cell_a_column(inputs):
    assert table_files(inputs) == table_files(inputs)
    for build in EXPORTS.values():
        export = build(inputs)
        for group in export.groups:
            assert {len(row) for row in group.rows} <= {len(export.columns)}
        layout = lay_out(export)
        for _, rows in layout.groups:
            assert {sum(piece.span for piece in row) for row in rows} <= {len(layout.headings)}
            assert all(piece.text.strip() for row in rows for piece in row)


def run(params, tmp_path, *arguments):
    file = tmp_path / "params.json"
    file.write_text(params.model_dump_json(), encoding="utf-8")  # JSON is YAML
    result = CliRunner().invoke(command, ["table", *arguments, "--params", str(file)])
    if isinstance(result.exception, HarnessError):
        raise result.exception
    return result


def test_the_command_prints_what_the_page_links_to(params, tmp_path, inputs):
    for form, write in FORMATS.items():
        result = run(params, tmp_path, "1", "--format", form)
        assert result.exit_code == 0, result.output
        assert result.output.replace("\r\n", "\n") == write(EXPORTS["1"](inputs)).replace("\r\n", "\n")
    target = tmp_path / "folder" / "table.tex"
    result = run(params, tmp_path, "3", "--format", "latex", "--out", str(target))
    assert target.read_text(encoding="utf-8") == as_latex(EXPORTS["3"](inputs))
    assert result.stdout == ""


def test_a_wrong_name_is_told_with_the_right_ones(params, tmp_path):
    with pytest.raises(HarnessError) as error:
        run(params, tmp_path, "reproducton")
    assert "there is no table 'reproducton'. Did you mean 'reproduction'? Tables:\n1, reruns, 2" in str(
        error.value
    )
    assert error.value.exit_code == 2


def test_a_partial_pipeline_still_gives_every_table(params):
    shutil.rmtree(params.out / "runs")
    shutil.rmtree(params.out / "data")
    edit_statistics(
        params, lambda content: content.update(summaries=[], comparisons=[], trivial=[], shuffled=[])
    )
    files = table_files(inputs_of(params))
    assert len(files) == len(EXPORTS) * len(FORMATS)
    assert "Not measured (lavt-full-s0, lavt-full-s1 missing from statistics.json)" in files["1.md"]
    assert "No rows." in files["significance.md"]
    assert files["significance.csv"].startswith("first,second,metric,n,")


def test_marks_of_notes():
    assert [letters(place) for place in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]


# LaTeX ----------------------------------------------------------------------------------------------------------------


@pytest.mark.big
def test_every_table_compiles_without_an_error_and_is_not_too_wide(inputs, hostile, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex: apt install --no-install-recommends texlive-latex-recommended")
    tables = [build(inputs) for build in EXPORTS.values()] + [hostile]
    packages = {
        name for t in tables for name in re.search(r"usepackage\{(.*)\}", as_latex(t)).group(1).split(",")
    }
    document = [
        r"\documentclass{article}",
        rf"\usepackage{{{','.join(sorted(packages))}}}",
        r"\begin{document}",
    ]
    for table in tables:
        document += [as_latex(table), r"\clearpage"]
    (tmp_path / "tables.tex").write_text("\n".join([*document, r"\end{document}"]), encoding="utf-8")
    for _ in range(2):  # longtable settles its widths in the second run
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000
    assert "Overfull" not in done.stdout
