import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from toy import toy_params

from harness.cli import cli
from harness.data.dataset import normalize, open_dataset
from harness.errors import HarnessError
from harness.features import area_shares, extract_features
from harness.stage_maps import SCHEMA_KEY, read_feature_maps, spread_over_sizes
from harness.training.checkpoint import build_network, checkpoint_file, load_checkpoint, save_checkpoint

NETWORKS = ("rmsin-full-s0", "mafn-fusion-s0", "mafn-noise-s0", "mafn-full-s0")  # Table II of the profile


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A profile on the prepared toy data whose Table II has (untrained) weights; do not change its files."""
    folder = tmp_path_factory.mktemp("features")
    params = toy_params(folder)
    (folder / "out").mkdir()
    (folder / "out/data").symlink_to(prepared.out / "data")
    for seed, name in enumerate(NETWORKS):
        save_weights(params, name, seed)
    return params


def save_weights(params, name, seed):
    torch.manual_seed(seed)
    save_checkpoint(
        build_network(params, params.runs[name]), checkpoint_file(params, name), {"run": name, "step": 1}
    )


def elsewhere(trained, folder, **report):
    """The same profile with a folder of its own, on the same data and weights."""
    (folder / "data").symlink_to(trained.out / "data")
    for name in NETWORKS:
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "weights").symlink_to(trained.run_dir(name) / "weights")
    return trained.model_copy(
        update={"out": folder, "report": trained.report.model_copy(update={"features": 3} | report)}
    )


def test_a_map_is_the_norm_of_what_the_decoder_is_given(trained, tmp_path):
    params = elsewhere(trained, tmp_path)
    found = read_feature_maps(extract_features(params))
    assert [one.stage for one in found.maps] == 4 * 3 * [1, 2, 3, 4]
    assert tuple(dict.fromkeys(one.run for one in found.maps)) == NETWORKS, "the rows of Table II, in order"
    dataset = open_dataset(params, "test")
    keys = list(zip(dataset.table["ref_id"].to_pylist(), dataset.sentences, strict=True))
    for name in NETWORKS:
        model = build_network(params, params.runs[name]).eval()
        load_checkpoint(model, checkpoint_file(params, name))
        given = []
        model.classifier.register_forward_pre_hook(lambda _, inputs, given=given: given.append(inputs[0]))
        for key in found.samples:
            sample = dataset[keys.index(key)]
            with torch.inference_mode():
                model(
                    normalize(sample["image"][None]),
                    sample["input_ids"][None],
                    sample["attention_mask"][None],
                )
            of_sample = [one for one in found.maps if one.run == name and (one.ref_id, one.sentence) == key]
            assert len(of_sample) == 4
            for one, stage in zip(of_sample, given.pop(), strict=True):
                assert (one.channels, *one.norm.shape) == tuple(stage.shape[1:])
                assert one.norm.dtype == np.float32
                assert np.allclose(one.norm, stage[0].square().sum(0).sqrt().numpy(), rtol=1e-5)
    assert [one.norm.shape for one in found.maps[:4]] == [(16, 16), (8, 8), (4, 4), (2, 2)]


def test_the_same_inputs_give_the_same_bytes_and_nothing_random_is_left(trained, tmp_path):
    params = elsewhere(trained, tmp_path)
    torch.manual_seed(1)
    first = extract_features(params).read_bytes()
    torch.manual_seed(2)
    assert extract_features(params).read_bytes() == first, "in eval mode: no dropout, no drawn noise"


def test_samples_are_the_middles_of_equal_parts_by_size():
    shares = np.random.default_rng(0).permutation(100) / 100
    keys = [(number, "s") for number in range(100)]
    chosen, rule = spread_over_sizes(keys, shares, 4)
    assert np.allclose(np.sort(shares)[1:][[12, 37, 61, 86]], shares[chosen]), (
        "the one of share 0 is left out"
    )
    assert rule.startswith("The 99 expressions of the split with an object were ordered by the share")
    assert "cut into 4 parts" in rule
    turned, _ = spread_over_sizes(keys[::-1], shares[::-1], 4)
    assert [keys[::-1][row] for row in turned] == [keys[row] for row in chosen], "whatever the rows' order"
    assert len(spread_over_sizes(keys[:2], [0.3, 0.2], 5)[0]) == 2
    assert spread_over_sizes(keys[:2], [0.0, 0.0], 5)[0] == []


def test_shares_are_those_of_the_masks(prepared):
    dataset = open_dataset(prepared, "test")
    masks = [dataset.native_mask(row) for row in range(len(dataset))]
    assert area_shares(dataset.table) == [mask.mean() for mask in masks]


def test_missing_runs_and_networks_without_stage_maps_are_gaps(trained, tmp_path, monkeypatch):
    params = elsewhere(trained, tmp_path)
    (params.run_dir("mafn-noise-s0") / "weights").unlink()
    runs = {name: run for name, run in params.runs.items() if run.variant != "mafn-full"}
    build = build_network

    def without(params, run):
        model = build(params, run)
        if run.variant == "mafn-fusion":
            model.stage_maps = None
        return model

    monkeypatch.setattr("harness.features.build_network", without)
    found = read_feature_maps(extract_features(params.model_copy(update={"runs": runs})))
    assert found.gaps == (
        "mafn-fusion: the network 'mafn' has no method stage_maps",
        "mafn-noise: mafn-noise-s0 has no weights/model.safetensors",
        "mafn-full: no run of params.yaml trains it",
    )
    assert {one.run for one in found.maps} == {"rmsin-full-s0"}


def test_none_wanted_is_an_empty_file(trained, tmp_path):
    found = read_feature_maps(extract_features(elsewhere(trained, tmp_path, features=0)))
    assert found.maps == found.samples == ()


def test_stage_maps_of_another_shape_are_refused(trained, tmp_path, monkeypatch):
    def three(params, run):
        model = build_network(params, run)
        maps = model.stage_maps
        model.stage_maps = lambda *inputs: maps(*inputs)[:3]
        return model

    monkeypatch.setattr("harness.features.build_network", three)
    with pytest.raises(HarnessError, match=r"rmsin-full-s0: stage_maps .* 4 of \(1, C, H, W\) are expected"):
        extract_features(elsewhere(trained, tmp_path))


@pytest.mark.parametrize("damage", ["missing", "text", "version", "another table"])
def test_files_that_are_no_feature_maps_are_refused(trained, tmp_path, damage):
    params = elsewhere(trained, tmp_path)
    path = params.features_file
    if damage == "text":
        path.parent.mkdir()
        path.write_text("maps")
    elif damage != "missing":
        extract_features(params)
        table = pq.read_table(path)
        described = json.loads(table.schema.metadata[SCHEMA_KEY]) | {"version": 9}
        metadata = {SCHEMA_KEY: json.dumps(described).encode()} if damage == "version" else None
        pq.write_table(table.replace_schema_metadata(metadata), path)
    message = {"missing": "does not exist; `harness features` writes it", "version": "has schema version 9"}
    with pytest.raises(HarnessError, match=message.get(damage, "is no file of feature maps")):
        read_feature_maps(path)


def test_the_command_says_what_it_wrote_and_refuses_damaged_weights(trained, tmp_path):
    done = CliRunner().invoke(cli, ["features", "--params", str(trained.params)], catch_exceptions=False)
    assert "features.parquet: 4 networks, 3 expressions, 4 stages" in done.stdout
    assert "dvc repro" not in done.stdout
    params = toy_params(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/data").symlink_to(trained.out / "data")
    path = checkpoint_file(params, "rmsin-full-s0")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    command = [sys.executable, "-m", "harness", "features", "--params", str(params.params)]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert f"error: {path} is not a checkpoint of this harness" in refused.stderr
    assert not params.features_file.exists()


def test_the_command_names_the_way_out_where_nothing_is_trained(trained, tmp_path):
    params = toy_params(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/data").symlink_to(trained.out / "data")
    done = CliRunner().invoke(cli, ["features", "--params", str(params.params)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "features.parquet: 0 networks" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"`dvc repro {tmp_path}/dvc.yaml` trains")


def test_reading_the_file_needs_no_torch():
    program = (
        "import sys, harness.stage_maps, harness.report.features; assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
