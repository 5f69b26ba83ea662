"""The provenance page: what the runs and DVC recorded, and words for what they did not."""

import json
import re

import pytest
import yaml
from report_inputs import ROOT

from harness.report.build import build_site
from harness.report.graph import columns, draw, essential, places
from harness.report.pipeline import read_pipeline
from harness.report.provenance import dirty_sentence, facts, phase_rows, read_source, session_rows, short

MD5 = "0123456789abcdef0123456789abcdef"


def lock(params, *stages, report="first"):
    """Write a dvc.lock with these stages and, always, the report's own entry."""
    entries = {
        name: {
            "cmd": f"recorded {name}",
            "outs": [
                {"path": f"out/{name}/file", "hash": "md5", "md5": MD5, "size": 1234567},
                {"path": f"out/{name}/folder", "md5": f"{MD5}.dir"},
            ],
        }
        for name in stages
    }
    entries["report"] = {"cmd": report, "outs": [{"path": "reports/html", "md5": f"{report}.dir", "size": 1}]}
    path = params.params.with_name("dvc.lock")
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": entries}), encoding="utf-8")


# dvc.yaml and dvc.lock ------------------------------------------------------------------------------------------------


def test_the_stages_of_the_project(params):
    pipeline = read_pipeline(params)
    stages = {stage.name: stage for stage in pipeline.stages}
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert list(stages) == list(declared)
    assert stages["train"].keys == tuple(params.runs)
    assert stages["prepare"].command == f"harness prepare --params {params.params}"
    assert (
        stages["train"]
        .commands["train@lavt-full-s1"]
        .startswith("harness train --run lavt-full-s1 --params ")
    )
    assert f"{params.out}/runs/<run>/history.csv" in stages["train"].outs  # one of its plots
    assert f"{params.out}/runs/<run>/metrics.json" in stages["evaluate"].outs
    assert not any("${" in text for one in pipeline.stages for text in (one.command, *one.deps, *one.outs))
    assert "dvc.lock does not exist" in pipeline.gaps[0]


def test_edges_follow_from_outputs_and_dependencies(params):
    edges = read_pipeline(params).edges()
    assert ("train", "report") in edges
    assert ("report", "data") not in edges
    assert essential(edges) == [
        ("data", "prepare"),
        ("prepare", "train"),
        ("train", "evaluate"),
        ("evaluate", "features"),
        ("trivial", "features"),
        ("prepare", "trivial"),
        ("evaluate", "statistics"),
        ("trivial", "statistics"),
        ("features", "report"),
        ("statistics", "report"),
    ]


def test_what_dvc_recorded_without_the_reports_own_entry(params):
    lock(params, "data", "train@mafn-full-s0", "train@gone-s9")
    pipeline = read_pipeline(params)
    assert pipeline.gaps == ()
    assert [(one.stage, one.path, one.size) for one in pipeline.artefacts] == [
        ("data", "out/data/file", 1234567),
        ("data", "out/data/folder", None),
        ("train@mafn-full-s0", "out/train@mafn-full-s0/file", 1234567),
        ("train@mafn-full-s0", "out/train@mafn-full-s0/folder", None),
    ]
    stages = {stage.name: stage for stage in pipeline.stages}
    assert stages["train"].recorded == ("train@mafn-full-s0",)
    assert stages["train"].commands["train@mafn-full-s0"] == "recorded train@mafn-full-s0"
    assert stages["report"].recorded == ()
    assert stages["report"].commands["report"].startswith("harness report build")


def test_the_reports_entry_in_dvc_lock_changes_no_byte(params):
    lock(params, "data", report="first")
    folder = build_site(params).parent
    first = {path.name: path.read_bytes() for path in folder.glob("*.html")}
    lock(params, "data", report="second")
    build_site(params)
    assert {path.name: path.read_bytes() for path in folder.glob("*.html")} == first
    lock(params, "data", "prepare")
    build_site(params)
    assert (folder / "provenance.html").read_bytes() != first["provenance.html"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "dvc.yaml does not exist. The graph of the pipeline is not shown."),
        ("a: [", "dvc.yaml cannot be read as YAML. The graph"),
        ("- a", "dvc.yaml holds no mapping. The graph"),
        ("vars: []", "dvc.yaml has no stages. The graph"),
    ],
)
def test_without_dvc_yaml_the_page_says_so(params, render_section, content, words):
    path = params.params.with_name("dvc.yaml")
    path.unlink()
    if content is not None:
        path.write_text(content)
    page = render_section(params, "provenance")
    assert words in page
    assert "<svg" not in page
    assert "No artefact's hash is known" in page


def test_odd_stages_do_not_break_the_page(params, render_section):
    odd = {
        "stages": {
            "<b>": {"cmd": ["a", "b"], "outs": "x", "deps": [{"y": {}}]},
            "empty": None,
            "loop": {"foreach": ["1", "2"], "do": {"cmd": "run ${item} ${unknown}", "deps": ["loop-${key}"]}},
        }
    }
    params.params.with_name("dvc.yaml").write_text(yaml.safe_dump(odd))
    pipeline = read_pipeline(params)
    assert pipeline.stages[2].commands == {"loop@1": "run 1 ${unknown}", "loop@2": "run 2 ${unknown}"}
    page = render_section(params, "provenance")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", page)


# the drawing ----------------------------------------------------------------------------------------------------------


def test_stages_stand_right_of_what_they_need_and_never_on_each_other():
    names = ["a", "b", "c", "d", "e", "f"]
    edges = [("a", "b"), ("b", "c"), ("c", "e"), ("a", "d"), ("a", "f"), ("d", "e"), ("f", "e")]
    place, lanes = places(names, edges)
    assert all(place[earlier][0] < place[later][0] for earlier, later in edges)
    assert len(set(place.values())) == len(names)
    for (earlier, later), row in lanes.items():  # a long line passes no box
        passed = range(place[earlier][0] + 1, place[later][0])
        assert not {(column, row) for column in passed} & set(place.values())


def test_a_cycle_is_drawn_all_the_same():
    edges = [("a", "b"), ("b", "a")]
    assert max(columns(["a", "b"], edges).values()) == 1
    places(["a", "b"], edges)


def test_the_drawing_has_words_and_every_stage_once(params):
    lock(params, "data", "train@mafn-full-s0")
    drawing = draw(read_pipeline(params))
    assert drawing.count("<rect") == 8
    assert f"train × {len(params.runs)}<" in drawing
    assert f"1 of {len(params.runs)} recorded" in drawing
    assert "prepare before train" in drawing.partition("</desc>")[0]
    assert 'role="img" aria-labelledby="dag-title dag-desc"' in drawing
    assert drawing == draw(read_pipeline(params))


# the runs' own records ------------------------------------------------------------------------------------------------


def edit_record(params, run, **changes):
    path = params.run_dir(run) / "provenance.json"
    record = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def recorded(params):
    """Runs with everything that a training records."""
    for number, run in enumerate(params.runs):
        edit_record(
            params,
            run,
            harness="0.1.0",
            hardware={"system": "Linux", "memory_gb": 25.3, "cores_usable": 2, "gpus": [{"name": "A40"}]},
            processes=2,
            seeds={"run": number},
            data={"data/train.arrow": "f" * 64 if run != "mafn-k1-s0" else "e" * 64},
            phases={"setup": 1.5, "steps": 30.25},
            finished="2024-09-24T10:00:00+00:00",
            sessions=[
                {"started": "09:00", "ended": "09:30", "ending": "SIGTERM", "from_step": 0, "to_step": 5},
                {"started": "09:40", "ended": "10:00", "ending": "finished", "commit": "a" * 40},
            ],
        )
    edit_record(params, "mafn-full-s0", dirty=True)
    return params


def test_facts_name_the_runs_where_they_differ(recorded, render_section):
    page = render_section(recorded, "provenance")
    assert "11 runs left a provenance.json, from 1 commit; 1 run had uncommitted changes" in page
    assert "with uncommitted changes" in page
    assert re.search(r"GPUs</th><td>A40</td>", page)
    row = page[page.index("data/train.arrow") :].partition("</tr>")[0]
    assert (
        f'title="{"e" * 64}">eeeeeeeeeeee…</code> <span class="aside" title="mafn-k1-s0">(mafn-k1-s0)</span>'
        in row
    )
    assert "lavt-full-s0, rmsin-full-s0" in row  # the title of "(10 runs)"
    assert ">(10 runs)</span>" in row
    assert "(the runs differ)" in row


def test_durations_add_up_and_a_gap_has_a_word(recorded, render_section):
    edit_record(recorded, "lavt-full-s0", phases={"setup": 2.0, "validation": 1})
    page = render_section(recorded, "provenance")
    row = re.search(r'<th scope="row">lavt-full-s0</th>(.*?)</tr>', page, re.DOTALL)[1]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row) == [
        "2.0",
        "1.0",
        "not recorded",
        "3.0",
        "2",
        "2024-09-24T10:00:00+00:00",
    ]
    assert "22 sessions of the trainings" in page
    assert "SIGTERM" in page


def test_records_of_the_wrong_kind_are_passed_over(params, render_section):
    for run in params.runs:
        edit_record(
            params, run, phases=[1], sessions="many", hardware=None, versions=3, data=7, seeds=[], hosts=1
        )
    page = render_section(params, "provenance")
    assert "No run has recorded how long its phases took." in page
    assert "No run has recorded the hashes" in page


def test_nothing_recorded_is_said(params):
    assert facts((), lambda record: record) == ()
    assert phase_rows(()) == ((), ())
    assert session_rows(()) == ()
    assert "No run has left a provenance.json" in dirty_sentence(())


def test_the_datas_fingerprint(tmp_path, params, render_section):
    path = params.out / "source" / "source.json"
    assert "does not exist, so the data's fingerprint is unknown" in read_source(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"dataset": 3}')
    assert "cannot be read" in read_source(path)
    mark = {"files": 4604, "bytes": 25173255, "sha256": "d" * 64}
    content = {"dataset": "mini", "expressions": {"train": 3220, "val": 460}, "fingerprint": mark}
    path.write_text(json.dumps(content))
    page = render_section(params, "provenance")
    assert "3,220 train, 460 val" in page
    assert "d" * 64 in page


def test_hashes_are_shortened():
    assert short(f"{MD5}.dir") == "0123456789ab….dir"
    assert short("abc") == "abc"
