"""`harness weights export`: the run's weights, and a card whose figures are the run's own."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from toy import toy_params

from harness.config import Params
from harness.errors import HarnessError
from harness.evaluation import evaluate_run
from harness.metrics import METRICS
from harness.registry import Registry
from harness.released.card import export_run
from harness.training.loop import train
from harness.weights import open_network

RUN = "lavt-full-s1"


@pytest.fixture(scope="module")
def finished(prepared: Params, tmp_path_factory) -> Params:
    """A profile with a run that is trained for an epoch and evaluated."""
    folder = tmp_path_factory.mktemp("finished")
    params = toy_params(folder)
    (folder / "out").mkdir()
    for part in ("data", "source"):
        (folder / "out" / part).symlink_to(prepared.out / part)
    train(params, RUN)
    evaluate_run(params, RUN)
    return params


def test_the_exported_file_is_the_runs_network(finished: Params, tmp_path: Path) -> None:
    folder = export_run(finished, RUN, tmp_path / "card")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors"]
    exported = open_network(folder / "model.safetensors", "lavt")
    original = open_network(finished.run_dir(RUN) / "weights/model.safetensors").network.state_dict()
    assert exported.tokenizer is not None
    assert exported.description["run"] == RUN
    assert all(torch.equal(tensor, original[name]) for name, tensor in exported.network.state_dict().items())


@pytest.mark.parametrize("last", [False, True], ids=["best", "last"])
def test_figures_of_the_card_are_those_of_metrics_json(finished: Params, tmp_path: Path, last: bool) -> None:
    folder = export_run(finished, RUN, tmp_path / "card", last=last)
    measured = json.loads((finished.run_dir(RUN) / "metrics.json").read_text())
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "rrsis-harness"
    assert card.data.datasets == ["mini-rrsis"]
    found = {
        (one.dataset_split, one.dataset_config, one.metric_type): one.metric_value
        for one in card.data.eval_results
    }
    protocols = ("resized",) if last else ("resized", "native")
    expected = {
        (split, protocol, metric): round(measured[f"{split}{'-last' if last else ''}"][protocol][metric], 4)
        for split in ("val", "test")
        for protocol in protocols
        for metric in METRICS
    }
    assert found == expected
    row = re.search(r"^\| mIoU \| (.*) \|", card.text, re.M)
    assert row is not None
    values = [float(value) for value in re.findall(r"(\d+\.\d\d) \[", row[1])]
    assert values == [
        float(f"{expected[split, protocol, 'mIoU']:.2f}")
        for split in ("val", "test")
        for protocol in protocols
    ]


def test_the_card_says_where_the_weights_come_from(finished: Params, tmp_path: Path) -> None:
    text = (export_run(finished, RUN, tmp_path / "card", licence="cc-by-4.0") / "README.md").read_text()
    record = json.loads((finished.run_dir(RUN) / "provenance.json").read_text())
    source = json.loads((finished.out / "source/source.json").read_text())
    assert "license: cc-by-4.0" in text
    for said in (
        f"# {RUN}",
        record["data"]["data/train.arrow"],
        source["fingerprint"]["sha256"],
        f"Seed | {record['seed']} |",
        f"| Steps | {record['steps']}, best on val after {record['best_step']} |",
        "28 expressions in train",
        "Language-aware vision transformer",
        "drawn images",
    ):
        assert said in text
    commit = re.search(r"^\| Commit \| (.*) \|$", text, re.M)
    assert commit is not None
    assert commit[1].startswith(record["commit"] or "not recorded")
    assert ("uncommitted changes" in commit[1]) == bool(record["dirty"])
    assert not re.search(r"\{[{%]", text)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("rrsis-harness", "With the package `rrsis-harness`:"),
        ("coldnet", "With the packages `rrsis-harness` and `coldnet`:"),
    ],
)
def test_the_card_names_every_package_that_is_needed(
    finished: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, said: str
) -> None:
    monkeypatch.setattr(Registry, "package", lambda *_: package)
    assert said in (export_run(finished, RUN, tmp_path / "card") / "README.md").read_text()


def test_a_run_that_is_not_finished_is_not_exported(finished: Params, tmp_path: Path) -> None:
    folder = tmp_path / "card"
    with pytest.raises(
        HarnessError, match=r"mafn-full-s0 is not trained.*`harness train --run mafn-full-s0`"
    ):
        export_run(finished, "mafn-full-s0", folder)
    copied = finished.model_copy(update={"out": tmp_path / "out"})
    shutil.copytree(finished.run_dir(RUN), copied.run_dir(RUN))
    (copied.run_dir(RUN) / "test.native.parquet").unlink()
    with pytest.raises(HarnessError, match=rf"is not evaluated.*`harness evaluate --run {RUN}`"):
        export_run(copied, RUN, folder)
    assert not folder.exists()
    elsewhere = finished.runs[RUN].model_copy(update={"weights": "official.pth"})
    with pytest.raises(HarnessError, match=r"official\.pth is its authors' to publish"):
        export_run(finished.model_copy(update={"runs": {RUN: elsewhere}}), RUN, folder)


def test_an_export_is_not_replaced_unasked(finished: Params, tmp_path: Path) -> None:
    folder = export_run(finished, RUN, tmp_path / "card")
    (folder / "README.md").write_text("edited by hand")
    with pytest.raises(HarnessError, match=r"has model\.safetensors and README\.md; .* --force"):
        export_run(finished, RUN, folder)
    assert (folder / "README.md").read_text() == "edited by hand"
    export_run(finished, RUN, folder, force=True)
    front = (folder / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front)["model-index"][0]["name"] == RUN
