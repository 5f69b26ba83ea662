"""The retrained layer: worse networks are caught, other seeds are not, and what cannot be compared fails outright."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from toy_gate import check, profile, table_path

from harness.config import load_params
from harness.gate.noise import limits, measure_noise
from harness.gate.retrained import _verdict
from harness.metrics import METRICS
from harness.samples import SCHEMA, SCHEMA_KEY, read_samples, write_samples
from harness.statistics import compare


@pytest.fixture
def fresh(gate, tmp_path):
    """Runs of the test's own, the same as the reference's."""
    shutil.copytree(gate.params.out, tmp_path / "out")
    text = gate.params.params.read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        text.replace(str(gate.params.params.parent), str(tmp_path)), encoding="utf-8"
    )
    return load_params(tmp_path / "params.yaml")


def edit(params, run, change):
    path = table_path(params, run)
    write_samples(change(read_samples(path)), path)


def test_a_worse_network_is_caught_and_the_others_are_not(gate, tmp_path):
    worse = profile(tmp_path / "worse", "toy", quality={"mafn-full": -0.25})
    result = check(worse, gate.reference)
    assert result.exit_code == 1
    record = json.loads(check(worse, gate.reference, "--format", "json").output)
    regressed = [one["drop"] for one in record["checks"] if one["verdict"] == "regressed"]
    assert {drop["variant"] for drop in regressed} == {"mafn-full"}
    assert {"oIoU", "mIoU"} <= {drop["metric"] for drop in regressed}
    for drop in regressed:
        assert drop["drop"] == pytest.approx(drop["reference"] - drop["now"])
        assert drop["drop"] > drop["tolerance"]
        assert drop["interval"][0] > 0
        assert f"{drop['tolerance']:.2f}" in result.output
        assert f"{drop['smallest']:.2f}" in result.output
    row = next(line for line in result.output.splitlines() if line.endswith("REGRESSED"))
    assert row.split()[0] in METRICS
    assert "lavt-full: " not in result.output.splitlines()[-1]


@pytest.mark.parametrize("seeds", [(2, 3), (4,), (0, 1, 2, 3)])
def test_other_seeds_pass(gate, tmp_path, seeds):
    other = profile(tmp_path / "other", "toy", seeds=seeds)
    result = check(other, gate.reference)
    assert result.exit_code == 0, result.output
    assert "kept" in result.output


def test_a_better_network_passes_and_is_named(gate, tmp_path):
    result = check(profile(tmp_path / "better", "toy", quality={"lavt-full": 0.3}), gate.reference)
    assert result.exit_code == 0
    assert "improved" in result.output


def test_a_missing_sample_fails_outright(gate, fresh):
    edit(fresh, "rmsin-full-s1", lambda table: table[table["ref_id"] != 1007])
    result = check(fresh, gate.reference)
    assert result.exit_code == 1
    assert "rmsin-full: samples: changed" in result.output
    assert "rmsin-full-s1: 1 of 80 samples missing: ref_id 1007" in " ".join(result.output.split())
    names = [
        one["name"] for one in json.loads(check(fresh, gate.reference, "--format", "json").output)["checks"]
    ]
    assert "rmsin-full: mIoU" not in names
    assert "mafn-full: mIoU" in names


def extra(table):
    return pd.concat([table, table.iloc[:1].assign(ref_id=9)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (extra, "1 of 80 samples not in the reference: ref_id 9"),
        (lambda table: pd.concat([table, table.iloc[5:6]]), "ref_id 1005 occur more than once"),
        (lambda table: table.assign(sentence=["It", *table["sentence"][1:]]), "samples missing: ref_id 1000"),
        (lambda table: table.assign(mask_area=table["mask_area"] + 1), "other true masks for 80"),
        (lambda table: table.assign(cluster_id=table["ref_id"]), "other clusters of images for 80"),
        (lambda table: table.assign(protocol="native"), "protocol should be 'resized' and is native"),
        (lambda table: table.assign(split="val"), "split should be 'test' and is val"),
        (lambda table: table.assign(dataset="mine"), "dataset should be 'mini-rrsis' and is mine"),
    ],
)  # fmt: skip
def test_other_samples_fail_outright(gate, fresh, change, said):
    edit(fresh, "lavt-full-s0", change)
    result = check(fresh, gate.reference, "--layer", "retrained")
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


def test_a_table_of_another_schema_fails_outright(gate, fresh):
    path = table_path(fresh, "mafn-full-s0")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(dict(SCHEMA.metadata) | {SCHEMA_KEY: b"0"}), path)
    result = check(fresh, gate.reference)
    assert result.exit_code == 1
    assert "schema version 1; the file has 0" in " ".join(result.output.split())


def test_a_missing_run_names_what_makes_it(gate, fresh):
    table_path(fresh, "mafn-full-s1").unlink()
    result = check(fresh, gate.reference)
    text = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "mafn-full: samples: missing" in text
    assert "harness evaluate --run mafn-full-s1" in text
    assert "dvc repro" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evaluation": {"protocols": ["native"]}}, "protocol: reference resized,"),
        ({"image_size": 64}, "image_size: reference 32,"),
        ({"profile": "mine"}, "profile: reference toy,"),
    ],
)
def test_a_changed_protocol_fails_outright(gate, tmp_path, changes, said):
    other = profile(tmp_path / "other", "toy", **changes)
    result = check(other, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    assert "settings: changed" in result.output
    assert said in " ".join(result.output.split())


def test_another_table_one_fails_outright(gate, tmp_path):
    content = {name: {"splits": ["test"], "rows": {}} for name in ("table2", "table3")}
    rows = {"LAVT": "lavt-full", "MAFN": "mafn-full"}
    other = profile(
        tmp_path / "other", "toy", tables=content | {"table1": {"splits": ["test"], "rows": rows}}
    )
    result = check(other, gate.reference)
    assert result.exit_code == 1
    assert "no row of Table I is rmsin-full" in result.output


def test_both_conditions_are_needed():
    assert _verdict(3.0, (1.0, 5.0), 2.0) == "regressed"
    assert _verdict(1.9, (1.0, 5.0), 2.0) == "kept"
    assert _verdict(3.0, (-0.1, 5.0), 2.0) == "kept"
    assert _verdict(-3.0, (-5.0, -1.0), 2.0) == "improved"
    assert _verdict(0.0, (0.0, 0.0), 0.0) == "same"


def drawn(seeds, *, rng, drop=0.0, n=400, sd=1.0):
    """Tables whose mIoU has the standard deviation `sd` over seeds, and is lower by `drop`; in points."""
    difficulty = np.random.default_rng(7).uniform(0.3, 0.7, n)
    parts = []
    for seed in seeds:
        own = rng.normal(0, 0.04, n)
        iou = difficulty + own - own.mean() + rng.normal(0, sd) / 100 - drop / 100
        parts.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "ref_id": range(n),
                    "sentence": "it",
                    "cluster_id": range(n),
                    "intersection": np.rint(iou * 1e6).astype(int),
                    "union": 10**6,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_the_smallest_drop_is_caught_four_times_in_five_and_a_change_of_seeds_is_not():
    """With the noise known well, from 40 seeds."""
    rng = np.random.default_rng(0)
    noise = measure_noise("toy", {"mafn-full": drawn(range(40), rng=rng)}, 200)
    assert noise.sd["mafn-full"]["mIoU"] == pytest.approx(1.0, abs=0.3)
    bounds = limits(noise, "mafn-full", "mIoU", (2, 2))
    assert bounds.tolerance >= 2 * noise.sd["mafn-full"]["mIoU"]

    def share_caught(drop, repeats):
        caught = 0
        for _ in range(repeats):
            sides = drawn((0, 1), rng=rng), drawn((2, 3), rng=rng, drop=drop)
            found = compare(*sides, n_resamples=256, n_permutations=1).metrics["mIoU"]
            caught += found.difference > bounds.tolerance and found.these_models.interval[0] > 0
        return caught / repeats

    assert 0.7 < share_caught(bounds.smallest, 150) < 0.9
    assert share_caught(0.0, 150) < 0.05


def test_fewer_runs_allow_more():
    noise = measure_noise("toy", {"a-b": drawn(range(5), rng=np.random.default_rng(1))}, 200)
    allowed = [limits(noise, "a-b", "mIoU", runs).tolerance for runs in ((1, 1), (2, 2), (5, 5))]
    assert allowed == sorted(allowed, reverse=True)
    assert allowed[-1] >= 2 * noise.sd["a-b"]["mIoU"]


def test_equal_tables_have_no_drop():
    table = drawn((0, 1), rng=np.random.default_rng(2))
    for metric in compare(table, table.sample(frac=1, random_state=0), n_resamples=200).metrics.values():
        assert (metric.difference, metric.these_models.interval) == (0.0, (0.0, 0.0))
