"""A checkpoint in the released form, at the released size, evaluated from its file."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from test_official_files import official_state

from harness.config import load_params
from harness.data.drawing.synthetic import write_dataset
from harness.data.text import load_pretrained_tokenizer
from harness.errors import HarnessError
from harness.evaluation import Identity, evaluate, predict
from harness.models import create_model
from harness.released import Request, evaluate_weights
from harness.released.evaluate import network_dataset
from harness.released.profile import DataSet
from harness.samples import read_samples
from harness.weights import open_network

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "red", "ship", "left", "of", "on", "a"]


def tokenizer_folder(folder: Path, pieces: int) -> str:
    """A vocabulary of BERT's form, with as many pieces as its network has."""
    folder.mkdir()
    words = [*WORDS, *(f"[unused{number}]" for number in range(pieces - len(WORDS)))]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return str(folder)


@pytest.mark.big
@pytest.mark.timeout(600)
def test_a_released_checkpoint_is_evaluated_by_its_own_sizes_and_an_offline_tokenizer(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", refs=10, size=64, seed=3, workers=1)
    torch.manual_seed(0)
    network = create_model("lavt", preset="swin-b").eval()
    official = tmp_path / "model_best_lavt.pth"
    torch.save({"model": official_state("lavt", network)}, official)
    asked = Request(
        official,
        tmp_path / "released",
        model="lavt",
        data=DataSet(tmp_path / "raw", name="rrsis-d"),
        splits=("val",),
        batch_size=1,
    )
    wrong = Request(**vars(asked) | {"tokenizer": tokenizer_folder(tmp_path / "small", 100)})
    with pytest.raises(HarnessError, match=r"has 100 word pieces, the network of .* 30,522"):
        evaluate_weights(wrong)
    assert not asked.out.exists()
    folder = tokenizer_folder(tmp_path / "bert", 30522)
    assert evaluate_weights(Request(**vars(asked) | {"tokenizer": folder})) == "lavt-released-s0"

    params = load_params(asked.out / "params.yaml")
    assert (params.image_size, params.preset, params.text.tokenizer) == (480, "swin-b", folder)
    assert params.tables.table1.rows == {"LAVT": "lavt-released"}
    record = json.loads((params.run_dir("lavt-released-s0") / "provenance.json").read_text())
    assert record["weights"]["file"] == "model_best_lavt.pth"
    assert record["weights"]["dropped"] == [
        "backbone.layers.3.res_gate.0.weight",
        "backbone.layers.3.res_gate.2.weight",
    ]
    assert "seeds" not in record, "what it was trained with is not known"

    kept = open_network(params.run_dir("lavt-released-s0") / "weights/model.safetensors")
    assert kept.tokenizer is not None
    assert kept.tokenizer.to_str() == load_pretrained_tokenizer(folder).to_str()
    dataset = network_dataset(params, "val", kept)
    del kept
    identity = Identity("lavt", "released", 0, "rrsis-d")
    expected, _ = evaluate(
        predict(network, dataset, 1, torch.device("cpu")), dataset, identity, "val", ["resized", "native"]
    )
    for protocol, table in expected.items():
        found = read_samples(params.run_dir("lavt-released-s0") / f"val.{protocol}.parquet")
        pd.testing.assert_frame_equal(found, table, check_dtype=False)
        assert len(found) >= 1
