import json
import shutil

import pandas as pd
import pytest
import torch
from toy import toy_params

from harness.config import Pretrained
from harness.errors import HarnessError
from harness.evaluation import evaluate_run
from harness.memory import peak_memory
from harness.training import loop
from harness.training.checkpoint import build_network, checkpoint_file, load_checkpoint, save_checkpoint
from harness.training.loop import train


@pytest.fixture
def profile(prepared, tmp_path):
    """A profile of its own on the prepared toy data."""
    params = toy_params(tmp_path)
    shutil.copytree(prepared.out / "data", params.out / "data")
    return params


def with_training(params, **changes):
    return params.model_copy(update={"training": params.training.model_copy(update=changes)})


@pytest.mark.parametrize(
    "run", ["lavt-full-s0", pytest.param("rmsin-full-s0", marks=pytest.mark.big), "mafn-full-s0"]
)
def test_the_same_seed_gives_the_same_tables_byte_for_byte(profile, run):
    """Trained and evaluated twice, from nothing, one after the other."""
    tables = []
    for _ in range(2):
        train(profile, run)
        evaluate_run(profile, run)
        files = sorted(profile.run_dir(run).glob("*.parquet"))
        assert len(files) == 8
        tables.append([file.read_bytes() for file in files])
        shutil.rmtree(profile.run_dir(run))
    assert tables[0] == tables[1]


def test_another_seed_gives_another_network(profile):
    weights = []
    for run in ("lavt-full-s0", "lavt-full-s1"):
        train(profile, run)
        weights.append(checkpoint_file(profile, run).read_bytes())
    assert weights[0] != weights[1]


def test_a_run_leaves_history_and_provenance(profile):
    params = with_training(profile, epochs=3, validate_every=2)
    train(params, "lavt-full-s0")
    history = pd.read_csv(params.run_dir("lavt-full-s0") / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["step"].tolist() == [3, 6, 9], "28 train refs in batches of 8, the last four dropped"
    assert history["val_mIoU"].notna().tolist() == [False, True, True]
    assert history["learning_rate"].is_monotonic_decreasing
    record = json.loads((params.run_dir("lavt-full-s0") / "provenance.json").read_text())
    assert (record["model"], record["variant"], record["seed"], record["steps"]) == ("lavt", "full", 0, 9)
    assert record["recipe"]["learning_rate"] == params.training.learning_rate
    network = build_network(params, params.runs["lavt-full-s0"])
    assert 50e6 < record["peak_memory"] <= peak_memory(torch.device("cpu")), "bytes"
    assert record["parameters"] == sum(parameter.numel() for parameter in network.parameters())


def test_the_kept_checkpoint_is_the_best_on_val(profile):
    params = with_training(profile, epochs=4)
    train(params, "lavt-full-s0")
    history = pd.read_csv(params.run_dir("lavt-full-s0") / "history.csv")
    network = build_network(params, params.runs["lavt-full-s0"])
    kept = load_checkpoint(network, checkpoint_file(params, "lavt-full-s0"))
    best = history.loc[history["val_oIoU"].idxmax()]
    assert (kept["epoch"], kept["val_oIoU"]) == (best["epoch"], pytest.approx(best["val_oIoU"]))
    evaluate_run(params, "lavt-full-s0")
    measured = json.loads((params.run_dir("lavt-full-s0") / "metrics.json").read_text())["val"]["resized"]
    assert measured["oIoU"] == pytest.approx(kept["val_oIoU"]), (
        "evaluation alone agrees with the one while training"
    )


def test_training_lowers_the_loss(profile):
    params = with_training(profile, epochs=8)
    train(params, "lavt-full-s0")
    loss = pd.read_csv(params.run_dir("lavt-full-s0") / "history.csv")["loss"]
    assert loss.iloc[-1] < 0.8 * loss.iloc[0]


def test_a_batch_that_the_recipe_cannot_group_is_refused(profile):
    with pytest.raises(HarnessError, match="no multiple of 8"):
        train(with_training(profile, batch_size=12), "mafn-full-s0")


def test_a_set_smaller_than_a_batch_is_refused(profile):
    with pytest.raises(HarnessError, match="fewer than one batch of 64"):
        train(with_training(profile, batch_size=64), "lavt-full-s0")


def test_a_pretrained_start_reaches_the_run(profile, tmp_path):
    torch.manual_seed(9)
    donor = build_network(profile, profile.runs["lavt-full-s0"])
    state = donor.backbone.state_dict()
    swin = {
        name: state[name]
        for name in state
        if ".blocks." in name or "patch_embed" in name or "downsample" in name
    }
    torch.save({"model": swin}, tmp_path / "swin.pth")
    donor.text_encoder.save_pretrained(tmp_path / "bert")
    sources = Pretrained(swin=str(tmp_path / "swin.pth"), bert=str(tmp_path / "bert"))
    train(with_training(profile, pretrained=sources, learning_rate=1e-12), "lavt-full-s0")
    network = build_network(profile, profile.runs["lavt-full-s0"])
    load_checkpoint(network, checkpoint_file(profile, "lavt-full-s0"))
    trained, given = network.state_dict(), donor.state_dict()
    for name in (
        "backbone.layers.2.blocks.1.mlp.fc1.weight",
        "text_encoder.encoder.layer.0.output.dense.weight",
    ):
        torch.testing.assert_close(trained[name], given[name], rtol=0, atol=1e-6)
    name = "classifier.head.weight"
    assert (trained[name] - given[name]).abs().max() > 1e-3, "the rest starts from the seed"


def test_a_pretrained_start_that_is_not_there_stops_the_run(profile, tmp_path):
    sources = Pretrained(swin=str(tmp_path / "swin.pth"))
    with pytest.raises(HarnessError, match=r"swin\.pth does not exist"):
        train(with_training(profile, pretrained=sources), "lavt-full-s0")


def test_an_infinite_gradient_of_a_finite_loss_stops_the_run_before_the_weights_change(profile, monkeypatch):
    monkeypatch.setattr(loop, "gradient_norm", lambda *arguments: float("inf"))
    with pytest.raises(HarnessError, match="the gradient of step 1 is not finite"):
        train(profile, "lavt-full-s0")
    assert not list(profile.training_dir("lavt-full-s0").glob("step-*"))


@pytest.mark.big
def test_options_for_large_machines_train_the_same_network(profile):
    profile = profile.model_copy(update={"image_size": 96})  # bf16 on a CPU wants 3 x 3: see test_numerics.py
    losses = {}
    for name, changes in {
        "plain": {},
        "recomputing": {"activation_checkpointing": True, "channels_last": True},
        "bf16": {"precision": "bf16"},
        "fp16": {"precision": "fp16"},
        "tf32": {"precision": "tf32"},  # on a CPU the same as fp32
        "deterministic": {"deterministic": True},
        "clipped": {"clip_norm": 1e6},
    }.items():
        # At a rate so small that Adam, which goes by signs, cannot make something of rounding errors.
        train(with_training(profile, learning_rate=1e-7, **changes), "mafn-full-s0")
        losses[name] = pd.read_csv(profile.run_dir("mafn-full-s0") / "history.csv")["loss"].tolist()
    assert losses["recomputing"] == pytest.approx(losses["plain"], rel=1e-4)
    for half in ("bf16", "fp16"):
        assert losses[half] == pytest.approx(losses["plain"], rel=0.05)
        assert losses[half] != losses["plain"]
    for same in ("tf32", "deterministic", "clipped"):
        assert losses[same] == losses["plain"]


def test_a_loss_that_is_not_finite_stops_the_run(profile):
    with pytest.raises(HarnessError, match=r"step \d is not finite, in the samples with ref_ids \d+, "):
        train(with_training(profile, learning_rate=1e30, epochs=3), "lavt-full-s0")


def test_the_weights_of_another_network_are_refused_with_what_differs(profile, tmp_path):
    lavt = build_network(profile, profile.runs["lavt-full-s0"])
    path = tmp_path / "model.safetensors"
    save_checkpoint(lavt, path, {})
    with pytest.raises(HarnessError, match="another network") as caught:
        load_checkpoint(build_network(profile, profile.runs["rmsin-full-s0"]), path)
    assert "none in the network" in str(caught.value) or "missing in the file" in str(caught.value)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(HarnessError, match="not a checkpoint"):
        load_checkpoint(lavt, path)
    with pytest.raises(HarnessError, match="harness train"):
        load_checkpoint(lavt, tmp_path / "none.safetensors")


def test_without_its_three_parts_mafn_is_rmsin(profile):
    """Why the embedded profile's `default` row is the run of RMSIN: the same weights, the same function."""
    parts = {"correlation_fusion": False, "adaptive_noise": False, "msrc": False}
    variants = profile.variants | {
        "mafn-full": profile.variants["mafn-full"].model_copy(update={"options": parts})
    }
    networks = []
    for params, run in (
        (profile, "rmsin-full-s0"),
        (profile.model_copy(update={"variants": variants}), "mafn-full-s0"),
    ):
        torch.manual_seed(0)
        networks.append(build_network(params, params.runs[run]).eval())
    states = [network.state_dict() for network in networks]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    image, words = torch.randn(2, 3, 64, 64), torch.ones(2, 20, dtype=torch.int64)
    assert torch.equal(networks[0](image, words, words), networks[1](image, words, words))
