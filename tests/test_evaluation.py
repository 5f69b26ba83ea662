import json
import multiprocessing

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import nn
from toy import toy_params

from harness.data.dataset import open_dataset
from harness.evaluation import (
    EvaluationStopped,
    Identity,
    evaluate,
    evaluate_run,
    predict,
    shuffled_rows,
    write_predictions,
)
from harness.metrics import summarize
from harness.samples import SCHEMA, is_last, is_shuffled, read_samples
from harness.scoring import encode_mask, native_prediction, score
from harness.training.checkpoint import build_network, checkpoint_file, last_file, save_checkpoint
from harness.training.distributed import Ranks
from harness.trivial import evaluate_trivial, mean_train_mask

CPU = torch.device("cpu")
RUN = "lavt-full-s0"
IDENTITY = Identity("mafn", "full", 0, "mini-rrsis")


class Oracle(nn.Module):
    """Logits of the true mask of an image it has seen, found by the image itself; blank words give an empty mask."""

    def __init__(self, dataset):
        super().__init__()
        self.known = {}
        for row in range(len(dataset)):
            sample = dataset[row]
            self.known[sample["image"].float().mean().item()] = (sample["mask"], sample["input_ids"])

    def forward(self, image, input_ids, attention_mask):
        from harness.data.dataset import IMAGENET_MEAN, IMAGENET_STD

        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        logits = []
        for pixels, ids in zip(image, input_ids, strict=True):
            brightness = ((pixels * std + mean) * 255).round().mean().item()
            mask, own_ids = self.known[min(self.known, key=lambda key: abs(key - brightness))]
            shown = mask.float() if torch.equal(ids, own_ids) else torch.zeros_like(mask, dtype=torch.float)
            logits.append(torch.stack((0.5 - shown, shown - 0.5)))
        return torch.stack(logits)


def test_a_perfect_network_scores_one_and_needs_its_own_sentence(prepared):
    dataset = open_dataset(prepared, "test")
    device = torch.device("cpu")
    tables, _ = evaluate(predict(Oracle(dataset), dataset, 3, device), dataset, IDENTITY, "test", ["resized"])
    assert (tables["resized"]["iou"] == 1).all()
    rows = shuffled_rows(len(dataset), np.random.default_rng(0))
    shuffled, _ = evaluate(
        predict(Oracle(dataset), dataset, 3, device, text_rows=rows), dataset, IDENTITY, "test", ["resized"]
    )
    differs = [dataset.sentences[row] != dataset.sentences[other] for row, other in enumerate(rows)]
    assert (shuffled["resized"]["iou"] == 0).tolist() == differs
    assert shuffled["resized"]["sentence"].tolist() == dataset.sentences, "it pairs with the unshuffled table"


def test_a_table_has_the_schema_and_the_splits_own_columns(prepared):
    dataset = open_dataset(prepared, "val")
    tables, predictions = evaluate(
        predict(Oracle(dataset), dataset, 32, CPU),
        dataset,
        IDENTITY,
        "val",
        ["resized", "native"],
    )
    assert list(tables) == ["resized", "native"]
    for protocol, table in tables.items():
        assert table.columns.tolist() == SCHEMA.names
        assert (table["protocol"] == protocol).all()
        assert table["ref_id"].tolist() == dataset.table["ref_id"].to_pylist()
        areas = [dataset.native_mask(row).sum() for row in range(len(dataset))]
        assert table["mask_area"].tolist() == areas, "toy images have the network's size in both protocols"
    assert len(predictions) == len(dataset)


def test_batches_do_not_change_the_integers(prepared):
    dataset = open_dataset(prepared, "test")
    results = []
    for batch_size in (1, 3, 100):
        batches = predict(Oracle(dataset), dataset, batch_size, CPU)
        results.append(evaluate(batches, dataset, IDENTITY, "test", ["resized"])[0]["resized"])
    pd.testing.assert_frame_equal(results[0], results[1])
    pd.testing.assert_frame_equal(results[0], results[2])


def test_native_predictions_are_bilinear_without_aligned_corners():
    logits = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(logits[None], (15, 11), mode="bilinear", align_corners=False).argmax(1)[0].bool()
    assert np.array_equal(native_prediction(logits, 15, 11), expected.numpy())
    aligned = F.interpolate(logits[None], (15, 11), mode="bilinear", align_corners=True).argmax(1)[0].bool()
    assert not np.array_equal(native_prediction(logits, 15, 11), aligned.numpy())


def test_a_score_by_hand():
    target = np.zeros((4, 8), bool)
    target[1:3, 2:6] = True  # 8 pixels; centre x (2 + 6) / 2 / 8, y (1 + 3) / 2 / 4
    predicted = np.zeros((4, 8), bool)
    predicted[1, 0:4] = True  # 4 pixels, 2 of them right
    measured = score(predicted, target)
    assert (measured["intersection"], measured["union"], measured["iou"]) == (2, 10, 0.2)
    assert (measured["mask_area"], measured["area_share"]) == (8, 0.25)
    assert (measured["center_x"], measured["center_y"]) == (0.5, 0.5)


def test_an_empty_mask_scores_zero_and_has_no_centre():
    empty = np.zeros((4, 4), bool)
    measured = score(empty, empty)
    assert (measured["union"], measured["iou"], measured["mask_area"]) == (0, 0.0, 0)
    assert np.isnan(measured["center_x"])


def test_shuffling_leaves_no_image_its_sentence():
    for count in (2, 3, 10, 101):
        rows = shuffled_rows(count, np.random.default_rng(count))
        assert sorted(rows) == list(range(count))
        assert (rows != np.arange(count)).all()


def test_predictions_are_written_as_run_lengths(prepared, tmp_path):
    params = toy_params(tmp_path)
    dataset = open_dataset(prepared, "test")
    masks = [np.random.default_rng(row).random((64, 64)) < 0.3 for row in range(len(dataset))]
    write_predictions(params, "mafn-full-s0", dataset, [encode_mask(mask) for mask in masks])
    rows = pq.read_table(params.run_dir("mafn-full-s0") / "predictions.parquet").to_pylist()
    for row, mask in zip(rows, masks, strict=True):
        decoded = coco_mask.decode(
            {"size": [row["height"], row["width"]], "counts": row["prediction"].encode()}
        )
        assert np.array_equal(decoded.astype(bool), mask)


def test_the_trivial_predictors_are_what_their_names_say(prepared, tmp_path):
    params = prepared.model_copy(update={"out": tmp_path})
    (tmp_path / "data").symlink_to(prepared.out / "data")
    evaluate_trivial(params)
    tables = {
        name: read_samples(tmp_path / f"runs/trivial-{name}-s0/test.resized.parquet")
        for name in ("empty", "whole", "mean")
    }
    assert (tables["empty"]["intersection"] == 0).all()
    assert (tables["empty"]["union"] == tables["empty"]["mask_area"]).all()
    assert (tables["whole"]["union"] == 64 * 64).all()
    assert (tables["whole"]["iou"] == tables["whole"]["area_share"]).all()
    assert tables["mean"]["union"].nunique() > 1


def test_the_mean_train_mask_is_cut_where_it_scores_best(prepared):
    dataset = open_dataset(prepared, "train")
    predicted = mean_train_mask(dataset) > 0
    masks = np.stack([dataset.resized_mask(row) for row in range(len(dataset))]).astype(bool)

    def miou(candidate):
        union = (masks | candidate).sum((1, 2))
        return ((masks & candidate).sum((1, 2)) / union).mean()

    mean = masks.mean(0)
    best = max(miou(mean > threshold) for threshold in np.linspace(0.01, 0.6, 60))
    assert miou(predicted) == pytest.approx(best)
    assert predicted.any()


def test_a_stop_is_asked_for_before_each_batch_and_leaves_no_result(prepared):
    dataset = open_dataset(prepared, "test")
    model = Oracle(dataset).train()
    answers = iter([False, False, True])
    predicted = predict(model, dataset, 3, CPU, workers=1, stopped=lambda: next(answers))
    with pytest.raises(EvaluationStopped):
        evaluate(predicted, dataset, IDENTITY, "test", ["resized"])
    assert next(answers, None) is None
    assert model.training
    assert multiprocessing.active_children() == [], "the loader's process has ended"


@pytest.mark.parametrize("world", [2, 3, 4])
def test_processes_share_the_batches_of_one(prepared, world):
    """Three batches; the last of four processes has none."""
    dataset = open_dataset(prepared, "test")

    def batches(rank, world):
        return [
            (rows, logits.numpy().tobytes())
            for rows, logits in predict(Oracle(dataset), dataset, 3, CPU, ranks=Ranks(rank, world, CPU))
        ]

    alone = batches(0, 1)
    assert [rows for rows, _ in alone] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    shares = [batches(rank, world) for rank in range(world)]
    assert shares == [alone[rank::world] for rank in range(world)]


def test_rows_that_are_missing_are_not_taken_for_a_table(prepared):
    dataset = open_dataset(prepared, "test")
    batches = list(predict(Oracle(dataset), dataset, 3, CPU))
    with pytest.raises(ValueError, match="5 rows were predicted, not each of the 8 rows once"):
        evaluate(iter(batches[1:]), dataset, IDENTITY, "test", ["resized"])


@pytest.fixture
def profile(prepared, tmp_path):
    """A profile of its own on the prepared toy data; its run has untrained weights, those of the first step."""
    params = toy_params(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/data").symlink_to(prepared.out / "data")
    save_weights(params, checkpoint_file(params, RUN), seed=0, step=1)
    return params


def save_weights(params, path, *, seed, step):
    torch.manual_seed(seed)
    save_checkpoint(build_network(params, params.runs[RUN]), path, {"run": RUN, "step": step})


def test_a_gpu_would_evaluate_in_float32(profile, monkeypatch):
    """torch lets convolutions use TF32, and a training in TF32 may have come before in the process."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("high")
    save_weights(profile, checkpoint_file(profile, RUN), seed=0, step=1)
    evaluate_run(profile, RUN)
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_metrics_json_is_what_dvc_reads(profile):
    save_weights(profile, last_file(profile, RUN), seed=1, step=2)
    evaluate_run(profile, RUN)
    folder = profile.run_dir(RUN)
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured.keys() == {"val", "test", "test-shuffled", "val-last", "test-last"}
    assert measured["test"].keys() == {"resized", "native"}
    assert measured["test"]["resized"]["n"] == 8
    for stem, by_protocol in measured.items():
        for protocol, summary in by_protocol.items():
            assert summary == summarize(read_samples(folder / f"{stem}.{protocol}.parquet"))


def test_tables_of_the_last_weights_say_so_and_are_theirs(profile, tmp_path):
    save_weights(profile, last_file(profile, RUN), seed=1, step=2)
    evaluate_run(profile, RUN)
    folder = profile.run_dir(RUN)
    assert sorted(path.name for path in folder.glob("*.parquet") if is_last(path)) == [
        "test-last.resized.parquet",
        "val-last.resized.parquet",
    ]
    assert not is_shuffled(folder / "test-last.resized.parquet")
    last = {split: read_samples(folder / f"{split}-last.resized.parquet") for split in ("val", "test")}
    save_weights(profile, checkpoint_file(profile, RUN), seed=1, step=2)
    evaluate_run(profile, RUN)
    for split, table in last.items():
        pd.testing.assert_frame_equal(table, read_samples(folder / f"{split}.resized.parquet"))


def test_weights_of_one_step_are_evaluated_once(profile):
    """The two files differ here, which those of one step never do, so that a second evaluation would show."""
    folder = profile.run_dir(RUN)
    for step, same in ((1, True), (2, False)):
        save_weights(profile, last_file(profile, RUN), seed=1, step=step)
        evaluate_run(profile, RUN)
        best, last = (read_samples(folder / f"{stem}.resized.parquet") for stem in ("test", "test-last"))
        assert best.equals(last) == same


def test_weights_without_a_last_leave_no_table_of_an_earlier_one(profile):
    save_weights(profile, last_file(profile, RUN), seed=1, step=2)
    evaluate_run(profile, RUN)
    last_file(profile, RUN).unlink()
    evaluate_run(profile, RUN)
    folder = profile.run_dir(RUN)
    assert len(list(folder.glob("*.parquet"))) == 6
    assert not list(folder.glob("*-last*"))
    assert json.loads((folder / "metrics.json").read_text()).keys() == {"val", "test", "test-shuffled"}
