"""`harness evaluate --weights`: the integers of `evaluate --run`, and a profile that the other commands take."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from toy import toy_params

from harness.cli import main
from harness.config import Params, load_params
from harness.errors import HarnessError
from harness.evaluation import evaluate_run
from harness.features import extract_features
from harness.released import Request, evaluate_weights
from harness.released.profile import DataSet
from harness.report.build import build_site
from harness.samples import read_samples
from harness.stage_maps import read_feature_maps
from harness.statistics.build import build
from harness.statistics.evaluated import evaluated
from harness.training.checkpoint import build_network, checkpoint_file, describe_network, save_checkpoint
from harness.training.loop import train
from harness.weights import open_network

RUNS = ("lavt-full-s0", "mafn-full-s0", "mafn-full-s1", "mafn-k13-s0")
INTEGERS = ["ref_id", "sentence", "intersection", "union", "mask_area"]


@pytest.fixture(scope="module")
def trained(prepared: Params, tmp_path_factory) -> Params:
    """A profile of its own on the prepared toy data, with weights of four runs; lavt's is evaluated."""
    folder = tmp_path_factory.mktemp("trained")
    params = toy_params(folder)
    params = params.model_copy(update={"data": params.data.model_copy(update={"root": prepared.data.root})})
    (folder / "out").mkdir()
    (folder / "out/data").symlink_to(prepared.out / "data")
    for seed, run in enumerate(RUNS, 1):
        torch.manual_seed(seed)
        network = build_network(params, params.runs[run])
        save_checkpoint(network, checkpoint_file(params, run), describe_network(params, run) | {"step": seed})
    evaluate_run(params, RUNS[0])
    return params


def request(trained: Params, run: str, out: Path, **changes) -> Request:
    settings = {"data": DataSet(trained.data.root), "batch_size": trained.evaluation.batch_size}
    return Request(checkpoint_file(trained, run), out, **settings | changes)


def command(*arguments: object) -> int:
    """The exit code of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["harness", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


@pytest.fixture(scope="module")
def profile(trained: Params, tmp_path_factory) -> Path:
    """A profile with two networks; do not change its files."""
    out = tmp_path_factory.mktemp("released") / "here"
    for run in ("mafn-full-s0", "lavt-full-s0"):
        evaluate_weights(request(trained, run, out))
    return out


def copied(profile: Path, folder: Path) -> Path:
    """A copy of the profile to add to, whose data is prepared."""
    out = folder / "here"
    shutil.copytree(profile, out)
    text = (out / "params.yaml").read_text().replace(str(profile), str(out))
    (out / "params.yaml").write_text(text)
    return out


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {path.name: read_samples(path) for path in sorted(folder.glob("*.*.parquet"))}


def test_the_integers_are_those_of_evaluate_run(trained: Params, profile: Path) -> None:
    ours, theirs = trained.run_dir("lavt-full-s0"), profile / "runs/lavt-full-s0"
    expected, found = tables(ours), tables(theirs)
    assert list(found) == list(expected)
    assert len(found) == 5
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name][INTEGERS], table[INTEGERS])
    assert (found["test.native.parquet"]["intersection"] > 0).any()
    assert (theirs / "predictions.parquet").read_bytes() == (ours / "predictions.parquet").read_bytes()
    assert (theirs / "metrics.json").read_bytes() == (ours / "metrics.json").read_bytes()
    measured, again = (json.loads((folder / "efficiency.json").read_text()) for folder in (ours, theirs))
    assert measured.keys() == again.keys()
    assert again["flops"] == measured["flops"]


def test_the_run_says_what_was_evaluated(trained: Params, profile: Path) -> None:
    record = json.loads((profile / "runs/lavt-full-s0/provenance.json").read_text())
    content = checkpoint_file(trained, "lavt-full-s0").read_bytes()
    assert record["weights"] == {
        "file": "model.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "dropped": [],
    }
    assert record["described"]["step"] == 1
    assert record["seeds"] == {"run": 0}
    assert record["data"].keys() == {"data/val.arrow", "data/test.arrow"}
    assert "sessions" not in record
    kept = open_network(profile / "runs/lavt-full-s0/weights/model.safetensors")
    original = open_network(checkpoint_file(trained, "lavt-full-s0"))
    assert all(
        torch.equal(tensor, kept.network.state_dict()[name])
        for name, tensor in original.network.state_dict().items()
    )
    assert kept.tokenizer is not None


@pytest.mark.big
def test_the_profile_is_one_that_the_other_commands_take(profile: Path, tmp_path: Path) -> None:
    """Statistics, features and report, of networks in the order of the paper's rows."""
    params = load_params(copied(profile, tmp_path) / "params.yaml")
    assert list(params.tables.table1.rows) == ["LAVT", "MAFN"]
    settings = params.statistics.model_copy(update={"resamples": 100, "permutations": 100})
    params = params.model_copy(update={"statistics": settings})
    complete, lacking = evaluated(params)
    assert lacking == {}
    params.statistics_file.parent.mkdir()
    params.statistics_file.write_text(json.dumps(build(complete)))
    maps = read_feature_maps(extract_features(params))
    assert {one.variant for one in maps.maps} == {"mafn-full"}
    front = build_site(params)
    pages = {page.name: page.read_text() for page in front.parent.glob("*.html")}
    assert "2 of 2 evaluated, none trained here" in pages["index.html"]
    assert "no history.csv" not in pages["index.html"]
    assert "not trained here: model.safetensors" in pages["training.html"]
    assert "their recipes are not known" in pages["fidelity.html"]
    assert "Weights evaluated" in pages["provenance.html"]
    assert "dvc.yaml does not exist" not in pages["provenance.html"]


def test_its_runs_are_compared(profile: Path, capsys) -> None:
    named = ("mafn", "lavt", "--params", profile / "params.yaml", "--resamples", "100")
    assert command("compare", *named) == 0
    assert "A  mafn-full, seed 0" in capsys.readouterr().out


def test_data_is_prepared_once(trained: Params, profile: Path, tmp_path: Path) -> None:
    out = copied(profile, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (out / "data").iterdir()}
    assert evaluate_weights(request(trained, "mafn-k13-s0", out, splits=("test",))) == "mafn-k13-s0"
    assert {path: path.stat().st_mtime_ns for path in (out / "data").iterdir()} == before
    params = load_params(out / "params.yaml")
    assert params.variants["mafn-k13"].options == {"kernels": [1, 3]}
    assert params.tables.table1.rows["mafn-k13"] == "mafn-k13", "no row of the paper's"
    assert params.statistics.splits == params.tables.table1.splits == ("test",), "what all runs have"
    assert not list((out / "runs/mafn-k13-s0").glob("val*"))


def test_seeds_of_one_variant_stand_together(trained: Params, profile: Path, tmp_path: Path) -> None:
    out = copied(profile, tmp_path)
    evaluate_weights(request(trained, "mafn-full-s1", out, splits=("val",)))
    params = load_params(out / "params.yaml")
    assert list(params.runs) == ["mafn-full-s0", "lavt-full-s0", "mafn-full-s1"]
    assert list(params.variants) == ["mafn-full", "lavt-full"]
    with pytest.raises(HarnessError, match=r"has mafn-full with \{\}.*of a network with .*kernels.*--name"):
        evaluate_weights(request(trained, "mafn-k13-s0", out, splits=("val",), variant="full"))


def test_the_same_weights_again_replace_and_others_do_not(
    trained: Params, profile: Path, tmp_path: Path, capsys
) -> None:
    out = copied(profile, tmp_path)
    evaluate_weights(request(trained, "mafn-full-s0", out, splits=("val",)))
    told = "mafn-full-s0 was evaluated from these weights before (val and test); this replaces it"
    assert told in capsys.readouterr().err
    assert not list((out / "runs/mafn-full-s0").glob("test*"))
    other = tmp_path / "other.safetensors"
    model = build_network(trained, trained.runs["mafn-full-s0"])
    save_checkpoint(model, other, describe_network(trained, "mafn-full-s0"))
    before = (out / "params.yaml").read_bytes()
    again = Request(other, out, splits=("val",))
    with pytest.raises(
        HarnessError, match=r"mafn-full-s0 already, of other weights \(model.safetensors.*--name"
    ):
        evaluate_weights(again)
    assert (out / "params.yaml").read_bytes() == before
    assert evaluate_weights(Request(other, out, splits=("val",), variant="mine")) == "mafn-mine-s0"
    rows = load_params(out / "params.yaml").tables.table1.rows
    assert rows == {"LAVT": "lavt-full", "MAFN": "mafn-full", "MAFN (mafn-mine)": "mafn-mine"}


def test_changed_data_is_not_mixed_with_the_old(trained: Params, profile: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "raw", copied(profile, tmp_path)
    shutil.copytree(trained.data.root, root)
    text = (out / "params.yaml").read_text().replace(str(trained.data.root), str(root))
    (out / "params.yaml").write_text(text)
    data = {"data": DataSet(root), "splits": ("val",)}
    (root / "more.txt").write_text("changed")
    with pytest.raises(HarnessError, match=r"has changed since mafn-full-s0, .* were evaluated on it"):
        evaluate_weights(request(trained, "mafn-k13-s0", out, **data))
    assert not (out / "runs/mafn-k13-s0").exists()
    (root / "more.txt").unlink()
    evaluate_weights(request(trained, "mafn-k13-s0", out, **data))
    with pytest.raises(HarnessError, match=r"has networks evaluated on .*another folder"):
        evaluate_weights(request(trained, "mafn-k13-s0", out))


def test_networks_of_another_size_have_a_profile_of_their_own(
    trained: Params, profile: Path, tmp_path: Path
) -> None:
    smaller = trained.model_copy(update={"image_size": 32})
    path = tmp_path / "small.safetensors"
    network = build_network(smaller, smaller.runs["lavt-full-s0"])
    save_checkpoint(network, path, describe_network(smaller, "lavt-full-s0"))
    before = (profile / "params.yaml").read_bytes()
    with pytest.raises(HarnessError, match="have images of 64 pixels, this one images of 32 pixels"):
        evaluate_weights(Request(path, profile, variant="small"))
    assert (profile / "params.yaml").read_bytes() == before


def test_an_interrupted_evaluation_leaves_no_run(
    trained: Params, profile: Path, tmp_path: Path, monkeypatch
) -> None:
    out = copied(profile, tmp_path)
    before = (out / "params.yaml").read_bytes()

    def interrupted(*_) -> None:
        assert list(out.glob(".evaluating-*")), "its files are on the disk by now"
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("harness.released.evaluate.write_results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            evaluate_weights(request(trained, "mafn-k13-s0", out))
    assert not (out / "runs/mafn-k13-s0").exists()
    assert not list(out.glob(".evaluating-*"))
    assert (out / "params.yaml").read_bytes() == before
    (out / ".evaluating-killed").mkdir()  # what a kill leaves
    evaluate_weights(Request(checkpoint_file(trained, "mafn-k13-s0"), out, splits=("val",)))
    assert not list(out.glob(".evaluating-*"))
    assert "mafn-k13-s0" in load_params(out / "params.yaml").runs


@pytest.mark.big
def test_a_first_evaluation_that_was_broken_off_goes_on(trained: Params, tmp_path: Path, monkeypatch) -> None:
    """The second call needs no --data."""
    out = tmp_path / "here"
    with monkeypatch.context() as patched:
        patched.setattr("harness.released.profile.evaluate_trivial", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate_weights(request(trained, "mafn-full-s0", out, splits=("val",)))
    assert load_params(out / "params.yaml").runs == {}
    assert evaluate_weights(Request(checkpoint_file(trained, "mafn-full-s0"), out, splits=("val",)))
    assert (out / "runs/trivial-mean-s0/test.native.parquet").is_file()


def test_a_run_that_was_not_trained_is_neither_trained_nor_evaluated_as_one(profile: Path, capsys) -> None:
    params = load_params(profile / "params.yaml")
    with pytest.raises(HarnessError, match=r"is not trained: it is what .* holds"):
        train(params, "lavt-full-s0")
    assert command("evaluate", "--run", "lavt-full-s0", "--params", profile / "params.yaml") == 2
    error = capsys.readouterr().err
    assert "evaluate it again with `harness evaluate --weights" in error
    assert "--params" not in error.split("`")[1]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("another profile", "is a profile with the run"),
        ("other files", "holds notes.txt and no params.yaml of evaluated weights"),
        ("nothing", "there is no .* yet: name the folder of the data set with --data"),
    ],
)
def test_folders_that_cannot_hold_the_profile(trained: Params, tmp_path: Path, made: str, words: str) -> None:
    out = tmp_path / "out"
    if made == "another profile":
        out = trained.params.parent
    elif made == "other files":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    with pytest.raises(HarnessError, match=words):
        evaluate_weights(Request(checkpoint_file(trained, "lavt-full-s0"), out))
    assert made != "nothing" or not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "mafn-s0", "--weights", "a.pth"], "name one of --run"),
        (["--weights", "a.pth", "--trivial"], "name one of --run"),
        (["--run", "mafn-s0", "--data", "raw"], "--data goes with --weights"),
        (["--trivial", "--split", "val"], "--split goes with --weights"),
        (["--weights", "a.pth", "--params", "params.yaml"], "--params does not go with --weights"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], words: str, capsys) -> None:
    assert command("evaluate", *arguments) == 2
    assert words in capsys.readouterr().err


def test_what_the_command_asks_of_the_weights(trained: Params, tmp_path: Path, capsys) -> None:
    weights = str(checkpoint_file(trained, "lavt-full-s0"))
    out = str(tmp_path / "out")
    data = ["--data", str(trained.data.root), "--out", out]
    for arguments, words in (
        (["--weights", weights, "--model", "rmsin", *data], "holds lavt, not rmsin"),
        (["--weights", weights, "--tokenizer", "bert-base-uncased", *data], "has a tokenizer of its own"),
        (["--weights", weights, "--name", "A-b", *data], "a name has lower-case letters, digits and _"),
        (["--weights", str(tmp_path / "none.pth"), *data], "none.pth does not exist"),
        (["--weights", weights, "--data", str(tmp_path / "none"), "--out", out], "none is no folder"),
    ):
        assert command("evaluate", *arguments) == 2
        assert words in " ".join(capsys.readouterr().err.split())
    assert not Path(out).exists(), "what is wrong is found before anything is written"


def test_nothing_is_left_of_a_failed_first_call(trained: Params, tmp_path: Path, capsys) -> None:
    root, out = tmp_path / "raw", tmp_path / "out"
    root.mkdir()
    (root / "output_phrase_train.txt").write_text("1 a ship")
    call = ["evaluate", "--weights", checkpoint_file(trained, "lavt-full-s0"), "--out", out]
    assert command(*call, "--data", root) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"--data {root} has not the layout rrsis-d: there is no rrsisd/refs(unc).p" in said
    assert (
        "Name its layout with --reader (refsegrs, risbench, rrsis-d), or another folder with --data" in said
    )
    assert not out.exists()
    assert command(*call, "--data", root, "--reader", "refsegrs") == 2, "it has no images"
    assert "or with --data" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()
    assert command(*call) == 2
    assert "name the folder of the data set with --data" in " ".join(capsys.readouterr().err.split())


def test_a_failed_first_call_leaves_what_was_in_the_folder(trained: Params, tmp_path: Path) -> None:
    root, out = tmp_path / "raw", tmp_path / "out"
    root.mkdir()
    (root / "output_phrase_train.txt").write_text("1 a ship")
    (out / "data").mkdir(parents=True)
    (out / "data/mine.txt").write_text("kept")
    call = ["evaluate", "--weights", checkpoint_file(trained, "lavt-full-s0"), "--out", out]
    assert command(*call, "--data", root, "--reader", "refsegrs") == 2
    assert (out / "data/mine.txt").read_text() == "kept"


def test_an_untrained_run_names_the_whole_command(trained: Params, capsys) -> None:
    assert command("evaluate", "--run", "rmsin-s0", "--params", trained.params) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "rmsin-full-s0 is not trained, there is no" in said
    assert f"`harness train --run rmsin-full-s0 --params {trained.params}` trains it" in said


def test_a_profile_keeps_what_its_owner_changed(trained: Params, profile: Path, tmp_path: Path) -> None:
    out = copied(profile, tmp_path)
    content = yaml.safe_load((out / "params.yaml").read_text())
    content["statistics"]["resamples"] = 123
    (out / "params.yaml").write_text(yaml.safe_dump(content))
    evaluate_weights(request(trained, "mafn-k13-s0", out, splits=("val",)))
    assert load_params(out / "params.yaml").statistics.resamples == 123
