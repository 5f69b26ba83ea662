import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml
from report_inputs import ROOT, edit_statistics, make_params

from harness.config import Encoders, Variant
from harness.errors import HarnessError
from harness.report.build import build_site

MEASURED = re.compile(r'data-measured="([^"]*)">(<strong>)?([\d.]+)')
PUBLISHED = re.compile(r'<td class="([^"]*)" data-published="([^"]*)">([\d.]+)(<sup>)?')
DIFFERENCE = re.compile(r'data-difference="([^"]*)">([−+\d.]+)')
METRICS = ("P@0.5", "P@0.6", "P@0.7", "P@0.8", "P@0.9", "oIoU", "mIoU")
SHORT = ("P@0.5", "P@0.7", "P@0.9", "oIoU", "mIoU")


def published_file():
    return yaml.safe_load((ROOT / "reports" / "published.yaml").read_text(encoding="utf-8"))


def printed(page):
    """Key of a published cell -> its number, and whether it is marked as uncertain."""
    return {
        unescape(key): (number, bool(sup) and "uncertain" in classes)
        for classes, key, number, sup in PUBLISHED.findall(page)
    }


def without(params, variant):
    """Take a variant out of statistics.json, as if it had never been evaluated."""

    def change(content):
        for part in ("comparisons", "trivial", "shuffled"):
            content[part] = [c for c in content[part] if variant not in (name(c["a"]), name(c["b"]))]
        content["summaries"] = [s for s in content["summaries"] if name(s) != variant]

    def name(side):
        return f"{side['model']}-{side['variant']}"

    edit_statistics(params, change)


# published and measured -----------------------------------------------------------------------------------------------


def test_published_blocks_hold_the_file_and_nothing_else(page):
    content = published_file()
    expected = {
        f"table1/{row}/{split}/{metric}": f"{value:.2f}"
        for row, cells in content["table1"].items()
        for split in ("val", "test")
        for metric, value in zip(METRICS, cells[split], strict=True)
    }
    for table in ("table2", "table3"):
        for row, values in content[table].items():
            numbers = zip(SHORT, values, strict=True)
            expected |= {f"{table}/{row}/val/{metric}": f"{value:.2f}" for metric, value in numbers}
    assert {key: number for key, (number, _) in printed(page).items()} == expected
    assert len(PUBLISHED.findall(page)) == len(expected) == 138
    block = page[page.index('id="table1-published"') : page.index('id="reruns"')]
    assert block.count("<td ") == 7 * 14  # every number cell of the block is one of them
    assert re.findall(r'data-rerun="\w+">([\d.]+)', page) == ["77.84", "60.24", "77.24", "64.43", "62.27"]
    assert page.count("not reported") == 1  # the re-run without oIoU


def test_a_changed_published_number_changes_the_page_and_null_has_a_word(params, tmp_path, render):
    content = published_file()
    content["table1"]["CMPC"]["val"][0] = 12.34
    content["table1"]["CMPC"]["val"][1] = None
    other = tmp_path / "published.yaml"
    other.write_text(yaml.safe_dump(content), encoding="utf-8")
    changed = render(
        params.model_copy(update={"report": params.report.model_copy(update={"published": other})})
    )
    assert printed(changed)["table1/CMPC/val/P@0.5"] == ("12.34", False)
    assert "table1/CMPC/val/P@0.6" not in printed(changed)
    assert changed.count("not published") == 1


def test_uncertain_cells_are_marked_and_explained(page):
    uncertain = published_file()["table1"]["MAFN"]["uncertain"]["test"]
    assert {key for key, (_, marked) in printed(page).items() if marked} == {
        f"table1/MAFN/test/{metric}" for metric in uncertain
    }
    for mark, (metric, reason) in zip("abc", uncertain.items(), strict=True):
        assert f'href="#table1-note-{mark}"' in page
        assert f"Uncertain: MAFN, test, {metric}: {reason}." in page


def test_the_audit_is_that_of_the_published_file(page, params, tmp_path, render):
    def section(page):
        return page[page.index('<section id="audit"') :].partition("</section>")[0]

    found = '<td>P@0.5</td><td class="num">55.83</td><td>not at all</td>'
    assert section(page).count("<td>not at all</td>") == 2  # the other is a reading of an uncertain cell
    assert found in section(page)
    content = published_file()
    content["table1"]["CMPC"]["test"][0] = 55.82
    other = tmp_path / "published.yaml"
    other.write_text(yaml.safe_dump(content), encoding="utf-8")
    changed = params.model_copy(update={"report": params.report.model_copy(update={"published": other})})
    assert found not in section(render(changed))


def test_measured_cells_equal_the_statistics(page, pipeline):
    content = json.loads(make_params(pipeline).statistics_file.read_text(encoding="utf-8"))
    value = {
        (f"{s['model']}-{s['variant']}", s["split"], metric): found["value"]
        for s in content["summaries"]
        if s["protocol"] == "resized" and s["condition"] == "sentence"
        for metric, found in s["metrics"].items()
    }
    tables = make_params(pipeline).tables
    trivial = ("trivial-empty", "trivial-whole", "trivial-mean")
    keys = {
        f"table1/{variant}/{split}/{metric}"
        for variant in (*tables.table1.rows.values(), *trivial)
        for split in ("val", "test")
        for metric in METRICS
    }
    for table in ("table2", "table3"):
        rows = getattr(tables, table).rows.values()
        keys |= {f"{table}/{variant}/val/{metric}" for variant in rows for metric in SHORT}
    found = MEASURED.findall(page)
    assert {key for key, _, _ in found} == keys
    assert len(found) == len(keys)  # none twice
    for key, _, number in found:
        assert float(number) == pytest.approx(value[tuple(key.split("/")[1:])], abs=0.00501)


def test_bold_is_the_highest_trained_value_of_a_column_and_every_tie(params, render):
    def tie(content):
        for summary in content["summaries"]:
            if summary["model"] in ("lavt", "rmsin") and summary["split"] == "val":
                summary["metrics"]["P@0.5"]["value"] = 99.001 if summary["model"] == "lavt" else 99.004
            if summary["model"] == "trivial":
                summary["metrics"]["mIoU"]["value"] = 100.0

    edit_statistics(params, tie)
    found = MEASURED.findall(render(params))
    bold = {key for key, strong, _ in found if strong and key.startswith("table1/")}
    assert {key for key in bold if key.endswith("val/P@0.5")} == {
        "table1/lavt-full/val/P@0.5",
        "table1/rmsin-full/val/P@0.5",
    }
    assert not any("trivial" in key for key in bold)
    best: dict[str, float] = {}
    for key, _, number in found:
        if key.startswith("table1/") and "trivial" not in key:
            column = key.split("/", 2)[2]
            best[column] = max(best.get(column, 0.0), float(number))
    assert bold == {
        key
        for key, _, number in found
        if key.startswith("table1/") and "trivial" not in key and float(number) == best[key.split("/", 2)[2]]
    }


def test_differences_and_verdicts_equal_the_statistics(page, pipeline):
    content = json.loads(make_params(pipeline).statistics_file.read_text(encoding="utf-8"))
    expected = {
        f"{c['a']['model']}-{c['a']['variant']}/{c['b']['model']}-{c['b']['variant']}/{c['split']}/{metric}": found
        for c in content["comparisons"]
        for metric, found in c["metrics"].items()
    }
    rows = dict(DIFFERENCE.findall(page))
    assert rows.keys() == expected.keys()
    for key, text in rows.items():
        assert float(text.replace("−", "-")) == pytest.approx(expected[key]["difference"], abs=0.00501)
        row = page[page.index(f'data-difference="{key}"') :]
        verdict = re.search(r'<td class="verdict">([^<]*)</td>', row).group(1)
        if expected[key]["p_adjusted"] < 0.05:
            assert verdict.startswith("significant, ")
        else:
            assert verdict == "not significant"
    verdicts = {found["p_adjusted"] < 0.05 for found in expected.values()}
    assert verdicts == {True, False}  # the made-up runs give both


def test_rows_that_no_paper_has(params, render):
    """A network of another package, and one of ours under a name of its own."""
    table = params.tables.table1.model_copy(
        update={
            "rows": params.tables.table1.rows | {"NewNet": "newnet-full", "Mine": "mafn-full"},
            "encoders": {"Mine": Encoders(visual="CNN", text="words")},
        }
    )
    params = params.model_copy(
        update={
            "variants": params.variants | {"newnet-full": Variant(model="newnet")},
            "tables": params.tables.model_copy(update={"table1": table}),
        }
    )
    page = render(params)
    for row, visual, text in (
        ("MAFN", "Swin, mini", "BERT, mini"),
        ("Mine", "CNN", "words"),
        ("NewNet", "not stated", "not stated"),
    ):
        names = f'<th scope="row">{row}</th><td class="name">{visual}</td><td class="name">{text}</td>'
        assert page.count(names) == 1
    unpublished = re.findall(
        r'<th scope="row">(\w+)</th><td class="gap" colspan="16">Not published</td>', page
    )
    assert unpublished == ["NewNet", "Mine"]


def test_trivial_predictors_stand_in_their_own_block(page):
    block = page[page.index('<tbody class="trivial">') : page.index('id="table1-published"')]
    for name in ("Empty mask", "Whole image", "Mean train mask"):
        assert f'<th scope="row">{name}</th>' in block
    assert 'data-measured="table1/trivial-empty/test/mIoU">0.00' in block


@pytest.mark.parametrize("change", ["as measured", "no better", "sentence unused"])
def test_sanity_verdicts_come_from_the_data(page, params, change, render):
    def worse(content):
        for summary in content["summaries"]:
            if change == "no better" and (summary["model"], summary["variant"]) == ("trivial", "whole"):
                summary["metrics"]["mIoU"] |= {"value": 60.0, "interval": [59.0, 99.0]}
        for comparison in content["shuffled"]:
            if change == "sentence unused" and comparison["a"]["model"] == "lavt":
                comparison["metrics"]["mIoU"] |= {"difference": 0.1, "p_value": 0.9, "p_adjusted": 1.0}

    if change != "as measured":
        edit_statistics(params, worse)
        page = render(params)
    above = re.findall(r'data-above="([\w-]+)">([^<]*)<', page)
    uses = re.findall(r'data-sentence="([\w-]+)">([^<]*)<', page)
    models = ("lavt-full", "rmsin-full", "mafn-full")
    assert above == [(model, "no" if change == "no better" else "yes") for model in models]
    assert uses == [
        (m, "not significantly" if change == "sentence unused" and m == "lavt-full" else "yes, significantly")
        for m in models
    ]
    assert ("does not lower the mIoU of LAVT significantly" in page) == (change == "sentence unused")


# the page -------------------------------------------------------------------------------------------------------------


def test_sentences_stay_text(page):
    assert page.lower().count("<script") == 1  # our own
    assert "<script>alert" not in page.lower()
    assert (
        "&lt;script&gt;alert(1)&lt;/script&gt; the &#34;small&#34; ship &amp; the harbor&#39;s gate" in page
    )


def test_names_from_outside_are_escaped(params, render):
    run = params.run_dir("lavt-full-s0") / "provenance.json"
    record = json.loads(run.read_text(encoding="utf-8"))
    record |= {
        "device": "<b>device</b>",
        "command": "harness </code><img src=x>",
        "versions": {"<i>": "<u>1</u>"},
    }
    run.write_text(json.dumps(record), encoding="utf-8")
    page = render(params)
    for raw in ("<b>device", "<img src=x", "<i>", "<u>1"):
        assert raw not in page


def test_nothing_is_loaded(page):
    assert "http" not in page.replace("http-equiv", "")
    for tag in ("<link", "<script ", "<iframe", "<object", "<embed", "<base", "@import", "@font-face"):
        assert tag not in page.lower()
    assert all(source.startswith("data:image/webp;base64,") for source in re.findall(r'src="([^"]*)"', page))
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))
    for target in re.findall(r"url\(([^)]*)\)", page):
        assert target.startswith(("#", "data:image/webp;base64,"))
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in unescape(page)
    assert not re.search(r'\son\w+="', page)


def test_page_is_small(page):
    assert len(page.encode("utf-8")) < 5_000_000


def test_structure(page):
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
    assert page.count("<table") == page.count("<caption")
    assert all(alt for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page))
    assert page.count("<img ") == len(re.findall(r'<img [^>]*alt="', page)) == 12 * 4
    assert page.count('role="img" aria-label="Aerial image for') == 12
    assert not re.search(r"<th(?![^>]*scope=)[ >]", page)
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)  # no cell without a word


def luminance(color):
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_wcag_aa_contrast_in_light_and_dark(page):
    both = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", page)
    assert len(both) == 12
    for scheme in (0, 1):
        color = {name: shades[scheme] for name, *shades in both}
        on = {
            "paper": ("ink", "muted", "accent"),
            "panel": ("ink", "muted", "accent"),
            "accent-wash": ("ink", "muted", "accent"),
            "print-wash": ("print-ink", "muted", "accent"),
            "warn-wash": ("ink", "warn"),
        }
        for ground, texts in on.items():
            for text in texts:
                light, dark = sorted((luminance(color[ground]), luminance(color[text])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, text)


def test_banner_is_for_the_embedded_profile_only(page, params, render):
    warning = "These figures say nothing about RRSIS-D."
    assert page.count(warning) == 1
    assert "for context only" in page

    edit_statistics(params, lambda content: content.update(profile="rrsisd", dataset="rrsis-d"))
    other = render(params)
    assert warning not in other
    assert "for context only" not in other
    assert "Profile <strong>rrsisd</strong>, data set <strong>rrsis-d</strong>" in other


def test_same_inputs_same_bytes_in_another_process(params, tmp_path):
    build_site(params)

    def files():
        return {
            path.relative_to(params.report.html).as_posix(): path.read_bytes()
            for path in params.report.html.rglob("*.*")
        }

    first = files()
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    shutil.rmtree(params.report.html)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from harness.cli import main; main()",
            "report",
            "build",
            "--params",
            str(file),
        ],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"index.html: {sum(name.endswith('.html') for name in first)} pages, " in done.stdout
    assert files() == first


# gaps -----------------------------------------------------------------------------------------------------------------


def test_a_missing_run_is_stated_and_the_rest_stands(params, render):
    without(params, "mafn-k13")
    shutil.rmtree(params.run_dir("mafn-k13-s0"))
    page = render(params)
    assert "Run mafn-k13-s0: was not trained, or its provenance.json is gone" in page
    assert "Table III, [1,3]: Not measured (mafn-k13-s0 missing from statistics.json)" in page
    assert "10 of 11 trained" in page
    assert printed(page)["table3/[1,3]/val/mIoU"] == ("64.54", False)  # the published one stays
    assert 'data-measured="table3/mafn-k1357/val/mIoU"' in page
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)


def test_a_missing_main_model_leaves_the_other_two(params, render):
    without(params, "rmsin-full")
    for seed in (0, 1):
        shutil.rmtree(params.run_dir(f"rmsin-full-s{seed}"))
    page = render(params)
    assert "MAFN has the highest mIoU of the 2 models measured" in page
    assert "not measured on test" in page
    assert "No run of rmsin-full has predictions.parquet" in page
    assert "for RMSIN shuffled sentences were not measured" in page
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)


def test_a_missing_seed_is_stated(params, render):
    def drop(content):
        for summary in content["summaries"]:
            if summary["model"] == "lavt":
                summary["seeds"] = [0]

    edit_statistics(params, drop)
    assert "LAVT: 1 seed of 2, lavt-full-s1 missing" in render(params)


def test_missing_files_of_a_run_are_stated(params, render):
    (params.run_dir("mafn-full-s0") / "history.csv").unlink()
    (params.run_dir("lavt-full-s1") / "provenance.json").write_text("{", encoding="utf-8")
    for seed in (0, 1):
        (params.run_dir(f"rmsin-full-s{seed}") / "predictions.parquet").unlink()
    page = render(params)
    assert "no history.csv, so no training curve" in page
    assert "provenance.json cannot be read as JSON" in page
    assert "No run of rmsin-full has predictions.parquet" in page
    assert "mean IoU of LAVT and MAFN" in page  # the samples are chosen by the two that are there


def test_a_prediction_that_cannot_be_decoded_is_stated(params, render):
    path = params.run_dir("lavt-full-s0") / "predictions.parquet"
    pd.read_parquet(path).assign(height=7).to_parquet(path)
    page = render(params)
    assert page.count("The stored prediction cannot be decoded") == 12
    assert page.count("<img ") == 12 * 3


def test_nothing_but_statistics(params, render):
    shutil.rmtree(params.out / "runs")
    shutil.rmtree(params.out / "data")
    page = render(params)
    assert "No predictions are drawn" in page
    assert "Training loss: no run has recorded it." in page
    assert "No run has left a provenance.json" in page


def test_no_test_images(params, render):
    params.split_file("test").unlink()
    page = render(params)
    assert "is missing or cannot be read, so no images" in page
    assert "<img " not in page


def test_empty_statistics_still_make_a_page(params, render):
    edit_statistics(
        params, lambda content: content.update(summaries=[], comparisons=[], trivial=[], shuffled=[])
    )
    page = render(params)
    assert "No model of Table I has been measured on test yet" in page
    assert "holds no comparison, so nothing was tested" in page
    assert "No split was measured." in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema_version=9), "has schema version 9, this report reads 2"),
        (lambda content: content.pop("settings"), "lacks the key 'settings'"),
        (
            lambda content: content["summaries"][0]["metrics"]["mIoU"].update(value="much"),
            "value of the wrong kind",
        ),
    ],
)
def test_damaged_statistics_are_refused(params, change, message):
    edit_statistics(params, change)
    with pytest.raises(HarnessError, match=message):
        build_site(params)


def test_no_statistics_names_the_command(params):
    params.statistics_file.unlink()
    with pytest.raises(HarnessError, match="`harness statistics` writes it"):
        build_site(params)
    assert not (Path(params.report.html) / "index.html").exists()
