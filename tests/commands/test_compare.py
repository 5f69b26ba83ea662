import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from harness.commands.compare import command
from harness.comparing.sheet import verdict
from harness.config import load_params
from harness.errors import HarnessError
from harness.metrics import METRICS
from harness.samples import read_samples, write_samples
from harness.statistics import compare
from harness.statistics.evaluated import evaluate_command

sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))
from sample_tables import copied_profile, evaluated_profile, sample_table, without


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    return evaluated_profile(tmp_path_factory.mktemp("profile"))


def run(params, *arguments):
    result = CliRunner().invoke(command, [*arguments, "--params", str(params.params)])
    if isinstance(result.exception, HarnessError):
        raise result.exception
    return result


def test_the_table_shows_every_metric_and_says_how(params):
    result = run(params, "mafn", "rmsin")
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[:3] == [
        "mini-rrsis, test, resized",
        "  A  mafn-full, seeds 0 and 1",
        "  B  rmsin-full, seeds 0 and 1",
    ]
    record = json.loads(run(params, "mafn", "rmsin", "--format", "json").output)
    for name, metric in record["metrics"].items():
        row = next(line for line in lines if line.startswith(f"   {name} "))
        low, high = metric["interval"]
        assert f"{metric['a']:.2f}   {metric['b']:.2f}   {metric['difference']:+.2f}" in row
        assert f"{low:+.2f} to {high:+.2f}".replace("-", "−") in row
        assert f"{metric['p_value']:.4f}" in row
        assert f"{metric['p_adjusted']:.4f}" in row
        assert row.endswith("*") == (metric["p_adjusted"] < 0.05)
    text = " ".join(result.output.split())
    assert "Paired on dataset, split, protocol, ref_id and sentence: 40 expressions" in text
    assert "Each metric is the mean over a model's seeds." in text
    assert "Interval Welch-Satterthwaite, images and seeds; 200 resamples, seed 0." in text
    assert "Scope models trained this way, on images of this kind: seed variance is included." in text
    assert "Images of these trained models alone: mIoU" in text
    assert "of these trained models alone" not in run(params, "mafn-s0", "rmsin-s0").output


def test_json_is_the_comparison(params):
    record = json.loads(run(params, "mafn-k1", "mafn", "--format", "json", "--split", "val").output)
    assert record.pop("schema_version") == 2
    k1, *full = [
        read_samples(params.run_dir(name) / "val.resized.parquet")
        for name in ("mafn-k1-s0", "mafn-full-s0", "mafn-full-s1")
    ]
    assert record == compare(k1, pd.concat(full), n_resamples=200).to_dict()


def test_options_reach_the_comparison(params):
    output = run(
        params,
        "mafn",
        "lavt",
        "--protocol",
        "native",
        "--seeds",
        "1",
        "--resamples",
        "150",
        "--format",
        "json",
    ).output
    record = json.loads(output)
    assert (record["protocol"], record["resamples"], record["permutations"]) == ("native", 150, 150)
    assert record["a"]["seeds"] == record["b"]["seeds"] == [1]


def test_a_trivial_predictor_meets_every_seed(params):
    for names in (("mafn", "trivial-mean"), ("trivial-mean", "mafn", "--seeds", "0,1")):
        record = json.loads(run(params, *names, "--format", "json").output)
        assert sorted(record[side]["seeds"] for side in "ab") == [[0], [0, 1]]


def test_files_need_no_params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_samples(sample_table(30, quality=0.1), "a.parquet")
    write_samples(sample_table(30, model="mine"), "b.parquet")
    result = CliRunner().invoke(command, ["a.parquet", "b.parquet", "--resamples", "199"])
    assert result.exit_code == 0, result.output
    assert "  A  a.parquet, seed 0" in result.output
    assert CliRunner().invoke(command, ["a.parquet", "b.parquet", "--split", "test"]).exit_code == 0


def test_a_file_against_a_run(params, tmp_path):
    write_samples(sample_table(40, model="mine", seeds=(5,)), tmp_path / "mine.parquet")
    record = json.loads(run(params, "mafn-s1", str(tmp_path / "mine.parquet"), "--format", "json").output)
    assert (record["a"]["seeds"], record["b"]) == ([1], {"model": "mine", "variant": "full", "seeds": [5]})


def test_options_that_a_file_contradicts(tmp_path):
    path = str(tmp_path / "a.parquet")
    write_samples(sample_table(30), path)
    for option, value, message in (
        ("--split", "val", "--split val, but .*a.parquet holds test"),
        ("--protocol", "native", "--protocol native, but .*a.parquet holds resized"),
        ("--seeds", "3", "a.parquet holds no run with seed 3"),
    ):
        result = CliRunner().invoke(command, [path, path, option, value])
        assert isinstance(result.exception, HarnessError)
        assert re.search(message, str(result.exception))


def test_unknown_names(params):
    with pytest.raises(
        HarnessError, match=r"no model, variant or run 'rmsim'. Did you mean 'rmsin'"
    ) as error:
        run(params, "mafn", "rmsim")
    assert "mafn-k13, seed 0" in str(error.value)
    with pytest.raises(HarnessError, match="mafn-k1 has no run with seed 1; it has 0"):
        run(params, "mafn", "mafn-k1", "--seeds", "1")


def test_a_missing_file(params):
    with pytest.raises(HarnessError, match=r"nosuch.parquet does not exist"):
        run(params, "mafn", "nosuch.parquet")


def test_seeds_must_be_numbers(params):
    result = run(params, "mafn", "rmsin", "--seeds", "0;1")
    assert result.exit_code == 2
    assert "whole numbers separated by commas" in " ".join(result.output.replace("│", " ").split())


def test_runs_that_are_not_evaluated(params, tmp_path):
    params = copied_profile(params, tmp_path, resamples=9)
    without(params, "mafn-k1-s0")
    without(params, "rmsin-full-s1")
    with pytest.raises(HarnessError, match=r"mafn-k1-s0: not evaluated on test \(resized\)") as error:
        run(params, "mafn", "mafn-k1")
    assert f"\n  harness evaluate --run mafn-k1-s0 --params {params.params}" in str(error.value)
    with pytest.raises(HarnessError, match="no model, variant or run 'rmsim'"):
        run(params, "mafn-k1", "rmsim")
    with pytest.raises(HarnessError, match="rmsin-full-s1: not evaluated"):
        run(params, "mafn", "rmsin", "--seeds", "0,1")
    text = " ".join(run(params, "mafn", "rmsin").output.split())
    assert "B rmsin-full, seed 0" in text
    assert "rmsin-full-s1 is not evaluated and left out" in text


def test_a_run_without_weights_is_left_to_the_pipeline(params, tmp_path):
    """Where there is one: in a fresh clone, nothing is trained yet."""
    params = copied_profile(params, tmp_path, resamples=9)
    for name in ("mafn-k1-s0", "rmsin-full-s1", "trivial-mean-s0"):
        without(params, name)
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    stage = f"dvc repro {tmp_path}/dvc.yaml:"
    with pytest.raises(HarnessError) as error:
        run(params, "mafn", "mafn-k1")
    assert str(error.value).endswith(f"Run\n  {stage}evaluate@mafn-k1-s0")
    with pytest.raises(HarnessError) as error:
        run(params, "mafn", "trivial-mean")
    assert str(error.value).endswith(f"Run\n  {stage}trivial")
    text = run(params, "mafn", "rmsin").output.replace(" ", "").replace("\n", "")
    assert f"`{stage}evaluate@rmsin-full-s1`wouldaddit.".replace(" ", "") in text
    weights = params.run_dir("mafn-k1-s0") / "weights/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    with pytest.raises(HarnessError, match="\n  harness evaluate --run mafn-k1-s0 --params"):
        run(params, "mafn", "mafn-k1")


def test_of_the_default_profile_the_stage_alone_is_named(monkeypatch, tmp_path):
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    assert evaluate_command(params, "mafn-full-s0") == "dvc repro evaluate@mafn-full-s0"
    released = params.runs["mafn-full-s0"].model_copy(update={"weights": "mafn.pth"})
    params = params.model_copy(update={"runs": {"mafn-full-s0": released}})
    assert evaluate_command(params, "mafn-full-s0").startswith("harness evaluate --weights mafn.pth")


def test_a_file_of_another_kind_is_named_before_params_are_missed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.csv", "text.jpg"):
        Path(name).write_text("a")
    result = CliRunner().invoke(command, ["mine.csv", "text.jpg"])
    assert str(result.exception) == "text.jpg is no file of per-sample results: those end in .parquet or .csv"


def test_the_verdict_does_not_overclaim():
    equal = sample_table(200)
    better, worse = sample_table(200, quality=0.3), sample_table(200, quality=-0.3)
    labels = ["mafn-full", "rmsin-full"]
    nothing = verdict(compare(equal, equal, n_resamples=200), labels)
    assert nothing == "No metric differs significantly at 0.05 after Holm."
    higher = verdict(compare(better, worse, n_resamples=200), labels)
    assert higher == "mafn-full is significantly higher in all seven metrics at 0.05 after Holm (*)."
    lower = verdict(compare(worse, better, n_resamples=200, confidence=0.9), labels)
    assert lower == "mafn-full is significantly lower in all seven metrics at 0.1 after Holm (*)."


def test_a_mixed_verdict_names_what_differs():
    # A has many masks just above one half, B fewer but perfect ones.
    a = sample_table(300).assign(intersection=60, union=100)
    b = a.assign(model="rmsin", intersection=[100, 0, 50] * 100)
    comparison = compare(a, b, n_resamples=400)
    found = {name for name in METRICS if comparison.metrics[name].p_adjusted < 0.05}
    assert found == set(METRICS)
    assert verdict(comparison, ["A's model", "B's"]) == (
        "A's model is significantly higher in P@0.5, P@0.6, oIoU and mIoU and lower in P@0.7, P@0.8 and P@0.9 "
        "at 0.05 after Holm (*)."
    )
    b = a.assign(model="rmsin", intersection=[61] * 150 + [60] * 150)
    partly = verdict(compare(a, b, n_resamples=400), ["x", "y"])
    assert partly == (
        "x is significantly lower in oIoU and mIoU at 0.05 after Holm (*); the other differences are not significant."
    )


def test_significance_is_that_of_the_adjusted_p_value(tmp_path):
    # A passes every threshold where B does, and P@0.5 in 7 more of 300 expressions: p is 1/64, seven times that is not
    # below 0.05.
    a = sample_table(300).assign(union=1000, intersection=[900] * 293 + [500] * 7)
    b = a.assign(model="rmsin", intersection=[900] * 293 + [499] * 7)
    comparison = compare(a, b, n_resamples=2000)
    metric = comparison.metrics["P@0.5"]
    assert metric.p_value < 0.05 < metric.p_adjusted
    assert verdict(comparison, ["x", "y"]) == "No metric differs significantly at 0.05 after Holm."
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    for table, path in zip((a, b), paths, strict=True):
        write_samples(table, path)
    result = CliRunner().invoke(command, [*paths, "--resamples", "2000"])
    row = next(line for line in result.output.splitlines() if line.startswith("   P@0.5 "))
    assert not row.rstrip().endswith("*")


def test_as_a_process_bad_input_ends_with_one_message_and_no_torch(params):
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"sys.argv = ['harness', 'compare', 'mafn', sys.argv[1], '--params', {str(params.params)!r}]\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    good, bad = (
        subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True)
        for name in ("rmsin", "rmsim")
    )
    assert (good.returncode, good.stderr) == (0, "")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("error: there is no model, variant or run 'rmsim'. Did you mean 'rmsin'?\n")


def test_what_a_comparison_cannot_mean_is_noted(params, tmp_path):
    same = " ".join(run(params, "mafn", "mafn").output.split())
    assert "A and B hold the same rows" in same
    samples = sample_table(n=12)
    for name, shuffled in (("own", False), ("shuffled", True)):
        write_samples(samples, tmp_path / f"{name}.parquet", shuffled=shuffled)
    output = run(params, str(tmp_path / "own.parquet"), str(tmp_path / "shuffled.parquet")).output
    assert "shuffled.parquet was made with the sentences of other images" in " ".join(output.split())
    write_samples(samples, tmp_path / "last.parquet", last=True)
    output = run(params, str(tmp_path / "own.parquet"), str(tmp_path / "last.parquet")).output
    assert "last.parquet was made with the weights of the last step" in " ".join(output.split())
    assert "own.parquet was made" not in output
    assert "Note" not in run(params, "mafn", "rmsin").output


def test_models_that_share_a_run_are_noted(params):
    note = "mafn-s0 and mafn share mafn-full-s0: the difference is pulled towards 0, its tests do not hold."
    assert json.loads(run(params, "mafn-s0", "mafn", "--format", "json").output)["notes"] == [note]
    assert "notes" not in json.loads(run(params, "mafn-s0", "mafn-s1", "--format", "json").output)
    shuffled = params.run_dir("mafn-full-s0") / "test-shuffled.resized.parquet"
    assert "share" not in run(params, "mafn-s0", str(shuffled)).output


@pytest.mark.parametrize(
    ("name", "start"), [("json", "{"), ("tex", "\\begin"), ("md", ""), ("html", "<"), ("txt", "mini")]
)
def test_a_file_has_the_format_that_its_name_ends_in(params, tmp_path, name, start):
    run(params, "mafn", "rmsin", "--out", str(tmp_path / f"it.{name}"))
    text = (tmp_path / f"it.{name}").read_text()
    assert text.startswith(start)
    form = {"json": "json", "tex": "latex", "md": "markdown", "html": "html", "txt": "table"}[name]
    run(params, "mafn", "rmsin", "--format", form, "--out", str(tmp_path / "other.json"))
    assert (tmp_path / "other.json").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mafn-s7", "rmsin"], "has no run 'mafn-s7'; of mafn it has mafn-full-s0, mafn-full-s1"),
        (["MAFN", "rmsin"], "Did you mean 'mafn'?"),
        (["mafn", "README.md"], "README.md is no file of per-sample results: those end in .parquet or .csv"),
        (["mafn", "no.csv"], "no.csv does not exist; docs/comparing.md says"),
        (
            ["mafn", "rmsin", "--metric", "gIoU"],
            "gIoU is mIoU in part of the literature, oIoU in other papers.",
        ),
        (["mafn", "rmsin", "--metric", "cIoU"], "cIoU, cumulative IoU, is oIoU."),
        (["mafn", "rmsin", "--metric", "miou"], "Did you mean 'mIoU'?"),
    ],
)
def test_what_newcomers_type_is_answered(params, arguments, message):
    with pytest.raises(HarnessError, match=re.escape(message)):
        run(params, *arguments)
