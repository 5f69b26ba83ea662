import json
import re
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner
from sample_tables import copied_profile, evaluated_profile, sample_table, without

from harness.breakdowns import BREAKDOWNS, breakdown
from harness.commands.statistics import command
from harness.config import Statistics
from harness.errors import HarnessError
from harness.metrics import METRICS, summarize
from harness.samples import read_samples, write_samples
from harness.statistics import compare
from harness.statistics.build import build, plan
from harness.statistics.evaluated import TRIVIAL, read_run, resolve


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    return evaluated_profile(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def content(params):
    return build(params)


def pairs(records):
    return [
        (f"{c['a']['model']}-{c['a']['variant']}", f"{c['b']['model']}-{c['b']['variant']}", c["split"])
        for c in records
    ]


def test_is_json_with_the_shared_keys(content, params):
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content) == [
        "schema_version", "profile", "dataset", "settings", "summaries", "comparisons", "trivial", "shuffled",
        "breakdowns", "rankings",
    ]  # fmt: skip
    assert (content["schema_version"], content["profile"], content["dataset"]) == (
        2,
        "embedded",
        "mini-rrsis",
    )
    assert content["settings"] == {
        "resamples": 200,
        "permutations": 200,
        "seed": 0,
        "confidence": 0.95,
        "margin": 1.0,
    }


def test_one_summary_a_variant_split_protocol_and_condition(content, params):
    rows = [
        (f"{s['model']}-{s['variant']}", s["split"], s["protocol"], s["condition"])
        for s in content["summaries"]
    ]
    assert len(set(rows)) == len(rows)
    for variant in (*params.variants, *TRIVIAL):
        for split in ("val", "test"):
            for protocol in ("resized", "native"):
                assert (variant, split, protocol, "sentence") in rows
        shuffled = (variant, "test", "resized", "shuffled")
        assert (shuffled in rows) == (variant not in TRIVIAL)
    assert len(rows) == 11 * 4 + 8


def test_summaries_hold_the_metrics_of_the_files(content, params):
    summary = next(s for s in content["summaries"] if s["variant"] == "full" and s["protocol"] == "native")
    assert (summary["model"], summary["split"], summary["seeds"]) == ("lavt", "val", [0, 1])
    for position, seed in enumerate((0, 1)):
        expected = summarize(read_samples(params.run_dir(f"lavt-full-s{seed}") / "val.native.parquet"))
        for name in METRICS:
            assert summary["metrics"][name]["per_seed"][position] == expected[name]


def test_the_comparisons_of_the_three_tables(content):
    assert pairs(content["comparisons"]) == [
        ("rmsin-full", "lavt-full", "test"),
        ("mafn-full", "lavt-full", "test"),
        ("mafn-full", "rmsin-full", "test"),
        ("rmsin-full", "lavt-full", "val"),
        ("mafn-full", "lavt-full", "val"),
        ("mafn-full", "rmsin-full", "val"),
        ("mafn-fusion", "rmsin-full", "val"),
        ("mafn-noise", "mafn-fusion", "val"),
        ("mafn-full", "mafn-noise", "val"),
        ("mafn-k1", "mafn-full", "val"),
        ("mafn-k13", "mafn-full", "val"),
        ("mafn-k1357", "mafn-full", "val"),
    ]
    assert {c["protocol"] for part in ("comparisons", "trivial", "shuffled") for c in content[part]} == {
        "resized"
    }


def test_trained_against_trivial_uses_every_seed(content):
    assert pairs(content["trivial"]) == [
        (f"{model}-full", trivial, "test") for model in ("lavt", "rmsin", "mafn") for trivial in TRIVIAL
    ]
    for comparison in content["trivial"]:
        assert (comparison["a"]["seeds"], comparison["b"]["seeds"]) == ([0, 1], [0])
        assert comparison["metrics"]["mIoU"]["interval"][0] > 0


def test_right_sentences_against_shuffled_ones(content, params):
    assert pairs(content["shuffled"]) == [(v, v, "test") for v in ("lavt-full", "rmsin-full", "mafn-full")]
    right, shuffled = (
        pd.concat(
            [read_samples(params.run_dir(f"lavt-full-s{s}") / f"{name}.resized.parquet") for s in (0, 1)],
            ignore_index=True,
        )
        for name in ("test", "test-shuffled")
    )
    expected = compare(right, shuffled, n_resamples=200)
    assert content["shuffled"][0] == expected.to_dict()
    assert expected.metrics["mIoU"].difference > 20


def test_steps_of_table_two_use_all_seeds_of_both(content):
    last = content["comparisons"][8]
    assert (last["a"]["seeds"], last["b"]["seeds"]) == ([0, 1], [0])
    assert last["scope"] == "these trained models"


def test_table_ones_models_by_every_breakdown(content, params):
    keys = [(b["model"], b["by"], b["split"], b["protocol"]) for b in content["breakdowns"]]
    assert keys == [
        (model, by, "test", "resized") for model in ("lavt", "rmsin", "mafn") for by in BREAKDOWNS
    ]
    samples = pd.concat(
        [read_samples(params.run_dir(f"mafn-full-s{seed}") / "test.resized.parquet") for seed in (0, 1)],
        ignore_index=True,
    )
    sizes = next(b for b in content["breakdowns"] if (b["model"], b["by"]) == ("mafn", "size"))
    assert sizes["seeds"] == [0, 1]
    assert sizes["bins"] == [one.to_dict() for one in breakdown(samples, "size", n_resamples=200)]
    whole = next(
        s for s in content["summaries"] if (s["model"], s["variant"], s["split"]) == ("mafn", "full", "test")
    )
    for broken in content["breakdowns"]:
        assert sum(one["n"] for one in broken["bins"]) == 40
    mean = sum(one["n"] * one["metrics"]["mIoU"]["value"] for one in sizes["bins"] if one["n"]) / 40
    assert mean == pytest.approx(whole["metrics"]["mIoU"]["value"])


def test_all_pairs_of_table_one_are_one_family_with_ranks(content):
    (ranking,) = content["rankings"]
    assert (ranking["split"], ranking["protocol"]) == ("test", "resized")
    assert ranking["models"] == ["mafn-full", "rmsin-full", "lavt-full"]
    assert [c["names"] for c in ranking["comparisons"]] == [
        ["mafn-full", "rmsin-full"],
        ["mafn-full", "lavt-full"],
        ["rmsin-full", "lavt-full"],
    ]
    same = {(c["a"]["model"], c["b"]["model"]): c for c in content["comparisons"] if c["split"] == "test"}
    for pair in ranking["comparisons"]:
        assert pair["family"] == "7 metrics of 3 pairs"
        alone = same[pair["a"]["model"], pair["b"]["model"]]
        for metric, found in pair["metrics"].items():
            assert found["difference"] == alone["metrics"][metric]["difference"]
            assert found["p_adjusted"] >= alone["metrics"][metric]["p_adjusted"] - 1e-12
    assert [rank["rank"] for rank in ranking["ranks"]["mIoU"]] == [1.0, 2.0, 3.0]


def test_a_single_model_has_no_ranking(params):
    rows = params.tables.table1.model_copy(update={"rows": {"MAFN": "mafn-full"}})
    planned = plan(params.model_copy(update={"tables": params.tables.model_copy(update={"table1": rows})}))
    assert not [entry for entry in planned if entry.part == "rankings"]


def test_advances_once_an_entry_and_is_reproducible(params, content):
    steps = []
    assert build(params, advance=lambda: steps.append(1)) == content
    assert len(steps) == len(plan(params)) == 52 + 12 + 9 + 3 + 3 * 5 + 1


def test_variants_without_a_run_are_left_out(params):
    runs = {name: run for name, run in params.runs.items() if run.variant not in ("rmsin-full", "mafn-k1")}
    planned = plan(params.model_copy(update={"runs": runs}))
    assert not [entry for entry in planned if entry.a.variant in ("rmsin-full", "mafn-k1")]
    assert len([entry for entry in planned if entry.part == "comparisons"]) == 2 + 2 + 2


def test_table_three_needs_the_papers_choice(params):
    tables = params.tables
    rows = {"1": "mafn-k1", "2": "mafn-k13"}
    changed = tables.model_copy(update={"table3": tables.table3.model_copy(update={"rows": rows})})
    with pytest.raises(HarnessError, match=re.escape("tables.table3.rows has no row '[1,3,5]'")):
        plan(params.model_copy(update={"tables": changed}))


@pytest.mark.parametrize(
    ("run", "command"), [("mafn-k13-s0", "--run mafn-k13-s0"), ("trivial-whole-s0", "--trivial")]
)
def test_a_run_that_is_not_evaluated_is_an_error_with_the_command(params, tmp_path, run, command):
    params = copied_profile(params, tmp_path)
    without(params, run)
    message = (
        f"{params.run_dir(run)}/val.resized.parquet does not exist; "
        f"`harness evaluate {command} --params {tmp_path}/params.yaml` writes it"
    )
    with pytest.raises(HarnessError, match=re.escape(message)):
        build(params)


def test_the_command_leaves_out_what_is_not_evaluated_and_says_so(params, tmp_path):
    """A model, a seed, and a run whose evaluation was interrupted."""
    params = copied_profile(params, tmp_path)
    for run in ("rmsin-full-s0", "rmsin-full-s1", "lavt-full-s1"):
        without(params, run)
    (params.run_dir("mafn-k1-s0") / "test-shuffled.resized.parquet").unlink()
    result = CliRunner().invoke(command, ["--params", str(params.params)])
    assert result.exit_code == 0, result.output
    assert [line.split(" is left out: there is no ")[0] for line in result.stderr.splitlines()[:4]] == [
        "rmsin-full-s0", "lavt-full-s1", "rmsin-full-s1", "mafn-k1-s0",
    ]  # fmt: skip
    assert (
        f"test-shuffled.resized.parquet; `harness evaluate --run mafn-k1-s0 --params {params.params}`"
        in result.stderr
    )
    content = json.loads(params.statistics_file.read_text())
    seeds = {f"{s['model']}-{s['variant']}": s["seeds"] for s in content["summaries"]}
    assert "rmsin-full" not in seeds
    assert "mafn-k1" not in seeds
    assert (seeds["lavt-full"], seeds["mafn-full"]) == ([0], [0, 1])
    assert pairs(content["comparisons"])[:2] == [
        ("mafn-full", "lavt-full", split) for split in ("test", "val")
    ]
    assert content["rankings"][0]["models"] == ["mafn-full", "lavt-full"]


def test_the_command_needs_one_evaluated_run(params, tmp_path):
    params = copied_profile(params, tmp_path)
    for run in params.runs:
        without(params, run)
    result = CliRunner().invoke(command, ["--params", str(params.params)])
    assert isinstance(result.exception, HarnessError)
    assert f"no run of {params.params} is evaluated; `dvc repro`" in str(result.exception)


def test_a_table_of_another_run_or_dataset_is_an_error(params, tmp_path):
    params = copied_profile(params, tmp_path)
    path = params.run_dir("mafn-full-s0") / "test.resized.parquet"
    for wrong, message in (
        ({"seeds": (1,)}, "seed should be 0 and is 1"),
        ({"variant": "k1"}, "variant should be 'full' and is k1"),
        ({"split": "val"}, "split should be 'test' and is val"),
    ):
        write_samples(sample_table(6, **wrong), path)
        with pytest.raises(HarnessError, match=f"{re.escape(str(path))}: {message}"):
            read_run(params, "mafn-full-s0", "test", "resized")
    write_samples(sample_table(6).assign(dataset="other"), path)
    with pytest.raises(HarnessError, match="dataset should be 'mini-rrsis' and is other"):
        read_run(params, "mafn-full-s0", "test", "resized")


def test_what_cannot_be_paired_names_the_entry(params, tmp_path):
    params = copied_profile(params, tmp_path)
    path = params.run_dir("mafn-full-s1") / "test.resized.parquet"
    write_samples(read_samples(path).iloc[:-1], path)
    with pytest.raises(
        HarnessError, match=r"summaries, mafn-full on test \(resized\): mafn-full: the runs with"
    ):
        build(params)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("mafn", ("mafn-full-s0", "mafn-full-s1")),
        ("mafn-full", ("mafn-full-s0", "mafn-full-s1")),
        ("mafn-k1", ("mafn-k1-s0",)),
        ("mafn-s1", ("mafn-full-s1",)),
        ("mafn-full-s1", ("mafn-full-s1",)),
        ("mafn-k1-s0", ("mafn-k1-s0",)),
        ("trivial-mean", ("trivial-mean-s0",)),
        ("trivial-mean-s0", ("trivial-mean-s0",)),
    ],
)
def test_names_of_runs(params, name, runs):
    assert resolve(params, name) == runs


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("rmsim", "rmsin"),
        ("mafn-k2", "mafn-k1"),
        ("mafm-k1-s0", "mafn-k1-s0"),
        ("trivial-mena", "trivial-mean"),
    ],
)
def test_an_unknown_name_has_a_suggestion_and_the_list(params, name, closest):
    with pytest.raises(HarnessError) as error:
        resolve(params, name)
    message = str(error.value)
    assert f"no model, variant or run '{name}'. Did you mean '{closest}'?" in message
    assert "  lavt-full, seeds 0, 1\n" in message
    assert "  mafn-k1357, seed 0\n" in message


def test_a_variant_without_a_run(params):
    runs = {name: run for name, run in params.runs.items() if run.variant != "mafn-k1"}
    with pytest.raises(HarnessError, match="has no run of the variant mafn-k1; add one under `runs`"):
        resolve(params.model_copy(update={"runs": runs}), "mafn-k1")


def test_splits_and_trivial_predictors_are_those_that_are_evaluated():
    pytest.importorskip("torch")
    from harness.evaluation import EVALUATED_SPLITS
    from harness.trivial import PREDICTORS

    assert Statistics().splits == EVALUATED_SPLITS
    assert tuple(f"trivial-{name}" for name in PREDICTORS) == TRIVIAL


def test_the_command_writes_what_build_returns_without_torch(params, content):
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"sys.argv = ['harness', 'statistics', '--params', {str(params.params)!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "52 summaries, 24 comparisons, 200 resamples each" in done.stdout
    path = params.statistics_file
    assert json.loads(path.read_text(encoding="utf-8")) == content
