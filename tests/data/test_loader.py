import multiprocessing
import os
import pickle
import signal

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, default_collate

from harness.config import BlackBoxes
from harness.data.dataset import ExpressionDataset, open_dataset
from harness.data.loader import batches, batches_in_order, rows_of_steps
from harness.data.prepare import open_split
from harness.data.text import load_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.evaluation import predict

CPU = torch.device("cpu")


def boxed(params, path=None, kind=ExpressionDataset, keep=0):
    """The train split, black boxes on half of it."""
    return kind(
        path or params.split_file("train"),
        load_tokenizer(tokenizer_file(params)),
        image_size=48,
        max_tokens=20,
        black_boxes=BlackBoxes(share=0.5, size=6),
        seed=5,
        keep=keep,
    )


def load(dataset, **options):
    """The batches of one process that takes each at once."""
    options = {"seed": 0, "epoch": 0, "workers": 0, "device": CPU} | options
    for step in batches(dataset, 4, **options):
        yield from step


def as_bytes(loaded):
    """Every tensor of every batch, in order."""
    return [
        {name: (tensor.shape, tensor.numpy().tobytes()) for name, tensor in batch.items()} for batch in loaded
    ]


@pytest.fixture(scope="module")
def two_epochs(prepared):
    """Made in this process, epoch after epoch."""
    return [as_bytes(load(boxed(prepared), epoch=epoch)) for epoch in range(2)]


def test_a_batch_is_made_of_the_datasets_samples_in_the_samplers_order(prepared, two_epochs):
    dataset = boxed(prepared)
    order = rows_of_steps(len(dataset), 4, seed=0, epoch=1)
    dataset.set_epoch(1)
    expected = [default_collate([dataset[row] for row in rows]) for rows in order]
    assert as_bytes(expected) == two_epochs[1]
    assert len(two_epochs[0]) == 7
    assert two_epochs[0] != two_epochs[1]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")  # on fewer cores
@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("first_step", [0, 3])
def test_any_number_of_workers_and_a_resume_give_the_same_tensors(prepared, two_epochs, workers, first_step):
    """Black boxes on. After a resume in the middle of epoch 0, all of epoch 1 follows."""
    dataset = boxed(prepared)
    assert dataset.boxed.sum() == 14
    first = as_bytes(load(dataset, workers=workers, first_step=first_step))
    assert first == two_epochs[0][first_step:]
    assert as_bytes(load(dataset, epoch=1, workers=workers)) == two_epochs[1]


WHOLE = (
    14 * (4 * 64 * 64 + 48 * 48) + 14 * (3 + 1) * 48 * 48
)  # images that get black boxes, inputs, and all masks


@pytest.mark.parametrize(("keep", "kept"), [(0, 0), (WHOLE - 1, 27), (WHOLE, 28), (2**30, 28)])
def test_what_is_kept_gives_the_same_tensors(prepared, two_epochs, keep, kept):
    """None, some, all of them; black boxes are painted on copies."""
    dataset = boxed(prepared, keep=keep)
    assert [as_bytes(load(dataset, epoch=epoch)) for epoch in range(2)] == two_epochs
    assert len(dataset.kept) == kept
    dataset.native_image = dataset.resized_mask = None  # nothing is decoded for what is kept
    assert kept < 28 or as_bytes(load(dataset, epoch=1)) == two_epochs[1]
    del dataset.native_image, dataset.resized_mask
    worker = pickle.loads(pickle.dumps(dataset))
    assert worker.kept == {}
    worker[0]
    assert worker.kept == {}  # a worker ends with its epoch


def test_two_epochs_at_once_keep_their_own_black_boxes(prepared, two_epochs):
    dataset = boxed(prepared)
    pairs = zip(load(dataset, epoch=0), load(dataset, epoch=1), strict=True)
    assert [as_bytes(pair) for pair in pairs] == [list(pair) for pair in zip(*two_epochs, strict=True)]


def test_a_spawned_worker_reads_the_same_samples(prepared):
    dataset = boxed(prepared)
    dataset.set_epoch(2)
    spawned = DataLoader(dataset, 4, num_workers=1, multiprocessing_context="spawn")
    assert as_bytes(spawned) == as_bytes(DataLoader(dataset, 4))


def test_order_depends_on_seed_and_epoch_alone(prepared):
    def order(seed, epoch, workers=0):
        loaded = load(open_dataset(prepared, "train"), seed=seed, epoch=epoch, workers=workers)
        return torch.cat([batch["index"] for batch in loaded]).tolist()

    assert sorted(order(0, 0)) == list(range(28))
    assert order(0, 0) == order(0, 0) == order(0, 0, workers=2)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_an_epoch_goes_on_where_it_stopped():
    whole = rows_of_steps(30, 4, seed=1, epoch=2)
    rows = [row for step in whole for row in step]
    assert len(whole) == 7
    assert len(set(rows)) == 28
    for first in (0, 1, 6, 7):
        assert rows_of_steps(30, 4, seed=1, epoch=2, first_step=first) == whole[first:]
    for first in (-1, 8):
        with pytest.raises(ValueError, match=f"step {first} is not within an epoch of 7"):
            rows_of_steps(30, 4, seed=1, epoch=2, first_step=first)


@pytest.mark.parametrize(("world", "micro_batch"), [(1, 2), (1, 1), (2, 4), (2, 2), (4, 1), (8, 1)])
def test_processes_and_micro_batches_make_up_the_same_batches(world, micro_batch):
    whole = rows_of_steps(50, 8, seed=1, epoch=0)
    parts = [
        rows_of_steps(50, 8, seed=1, epoch=0, rank=rank, world=world, micro_batch=micro_batch)
        for rank in range(world)
    ]
    accumulated = 8 // world // micro_batch
    for step, rows in enumerate(whole):
        own = [part[step * accumulated : (step + 1) * accumulated] for part in parts]
        assert [row for micros in own for micro in micros for row in micro] == rows


@pytest.mark.parametrize(("world", "micro_batch"), [(3, None), (2, 3)])
def test_a_batch_that_does_not_divide_is_refused(world, micro_batch):
    with pytest.raises(ValueError, match="8 samples do not divide"):
        rows_of_steps(50, 8, seed=1, epoch=0, world=world, micro_batch=micro_batch)


def test_accumulated_micro_batches_come_together(prepared):
    dataset = boxed(prepared)
    options = {"seed": 0, "epoch": 0, "workers": 0, "device": CPU}
    steps = list(batches(dataset, 4, micro_batch=2, **options))
    assert [len(step) for step in steps] == [2] * 7
    joined = [{name: torch.cat([micro[name] for micro in step]) for name in step[0]} for step in steps]
    assert as_bytes(joined) == as_bytes(load(dataset))


@pytest.mark.parametrize("workers", [0, 2])
def test_torchs_own_generator_is_left_as_it_is(prepared, workers):
    dataset = boxed(prepared)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    for loaded in (load(dataset, workers=workers), batches_in_order(dataset, 4, workers=workers, device=CPU)):
        assert torch.equal(torch.get_rng_state(), before)
        assert len(list(loaded)) == 7
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_in_order_every_row_comes_once(prepared, workers):
    dataset = open_dataset(prepared, "train")
    loaded = list(batches_in_order(dataset, 5, workers=workers, device=CPU))
    assert [len(batch["index"]) for batch in loaded] == [5, 5, 5, 5, 5, 3]
    assert torch.cat([batch["index"] for batch in loaded]).tolist() == list(range(28))
    for batch in loaded:
        for position, row in enumerate(batch["index"].tolist()):
            assert torch.equal(batch["image"][position], dataset[row]["image"])
            assert torch.equal(batch["input_ids"][position], dataset.input_ids[row])


class Brightness(nn.Module):
    """Logits that depend on every pixel and word."""

    def forward(self, image, input_ids, attention_mask):
        text = (input_ids * attention_mask).sum(1).view(-1, 1, 1)
        return torch.stack((image.mean(1), image.sum(1) * text), dim=1)


def test_predictions_do_not_depend_on_workers(prepared):
    dataset = open_dataset(prepared, "val")
    rows = np.roll(np.arange(len(dataset)), 1)
    results = [
        [
            (rows_, logits.numpy().tobytes())
            for rows_, logits in predict(Brightness(), dataset, 3, CPU, text_rows=rows, workers=workers)
        ]
        for workers in (0, 2)
    ]
    assert results[0] == results[1]


@pytest.fixture
def damaged(prepared, tmp_path):
    """The train split with one JPEG cut off in the middle."""
    table = open_split(prepared.split_file("train"))
    images = table["image"].to_pylist()
    images[11] = images[11][: len(images[11]) // 2]
    table = table.set_column(table.schema.get_field_index("image"), "image", pa.array(images, pa.binary()))
    path = tmp_path / "train.arrow"
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return path, table["file_name"][11].as_py()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_is_one_message_from_any_process(prepared, damaged, workers):
    path, name = damaged
    with pytest.raises(HarnessError) as caught:
        list(load(boxed(prepared, path), workers=workers))
    message = str(caught.value)
    assert message.startswith(f"{name} in {path} cannot be decoded (")
    assert "Traceback" not in message
    assert "\n" not in message
    assert multiprocessing.active_children() == []


class Deadly(ExpressionDataset):
    """Ends the process that asks for its sixth row."""

    def __getitem__(self, index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


@pytest.mark.big
def test_a_worker_that_is_killed_is_one_message(prepared):
    with pytest.raises(
        HarnessError, match=r"a loader process failed \(.+\); .*lower training\.workers"
    ) as caught:
        list(load(boxed(prepared, kind=Deadly), workers=1))
    assert "Traceback" not in str(caught.value)


def test_no_worker_outlives_a_loader_that_is_left_early(prepared):
    loaded = load(boxed(prepared), workers=2)
    next(loaded)
    assert len(multiprocessing.active_children()) == 2
    loaded.close()
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu_are_those_of_the_cpu(prepared, two_epochs):
    device = torch.device("cuda")
    for workers in (0, 2):
        found = []
        for batch in load(boxed(prepared), workers=workers, device=device):
            assert batch["image"].device.type == batch["mask"].device.type == "cuda"
            found.append({name: tensor.cpu() for name, tensor in batch.items()})
            torch.randn(2000, 2000, device=device).mm(torch.randn(2000, 2000, device=device))
        assert as_bytes(found) == two_epochs[0]
