"""One loader worker against the released transform written plainly: 800 pixels to 480, images and masks.

Both paths read the same prepared file and go through a DataLoader with one worker process of one thread, in turn. The
second table is the dataset alone, without collating and handing over to another process.

    python -m benchmarks loader              64 drawn images, two minutes on two cores
"""

import io
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader, Dataset

from benchmarks.page import Figures
from harness.config import Params, Synthetic, load_params
from harness.data.dataset import IMAGENET_MEAN, IMAGENET_STD, ExpressionDataset, open_dataset
from harness.data.drawing.synthetic import write_dataset
from harness.data.loader import batches
from harness.data.prepare import prepare
from harness.data.source import record_source

REFS, NATIVE, SIDE = 64, 800, 480
BATCH, BATCHES, WARM_UP = 8, 44, 4
REPEATS = 5
LIMIT = 1.6


class Reference(Dataset):
    """The released transform with PIL, torchvision and pycocotools, as one would write it."""

    def __init__(self, dataset: ExpressionDataset) -> None:
        self.dataset = dataset
        self.rows = dataset.table.select(["image", "height", "width", "mask_counts"]).to_pylist()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        row = self.rows[index]
        image = Image.open(io.BytesIO(row["image"])).convert("RGB")
        image = F.resize(image, [SIDE, SIDE], F.InterpolationMode.BILINEAR)
        image = F.normalize(F.to_tensor(image), IMAGENET_MEAN, IMAGENET_STD)
        rle = {"size": [row["height"], row["width"]], "counts": row["mask_counts"].encode()}
        mask = Image.fromarray(coco_mask.decode(rle)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        return {
            "index": index,
            "image": image,
            "mask": torch.from_numpy(np.array(mask)).long(),
            "input_ids": self.dataset.input_ids[index],
            "attention_mask": self.dataset.attention_mask[index],
        }


class Repeated(Dataset):
    """The rows of a small set over and over, so that a loader runs long enough to be measured."""

    def __init__(self, dataset: Dataset, length: int) -> None:
        self.dataset, self.length = dataset, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        return self.dataset[index % len(self.dataset)]

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)


def run(names: list[str]) -> Figures:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        ours = open_dataset(_prepared(Path(folder)), "train")
        plain = Reference(ours)
        yield f"{len(ours)} drawn images of {NATIVE} pixels to {SIDE}, batches of {BATCH}, median of {REPEATS}."
        seconds: dict[str, list[float]] = {}
        peaks: dict[str, int] = {}
        for _ in range(REPEATS):
            for name, loaded in (
                ("reference, a worker", _plain_batches(plain)),
                ("ours, a worker", _our_batches(ours)),
            ):
                taken, peak = _worker_seconds(loaded)
                seconds.setdefault(name, []).append(taken)
                peaks[name] = max(peak, peaks.get(name, 0))
            for name, dataset in (("reference, dataset alone", plain), ("ours, dataset alone", ours)):
                seconds.setdefault(name, []).append(_dataset_seconds(dataset))
    yield "", "ms a sample", "images/s", "MB"
    for name, taken in seconds.items():
        median = statistics.median(taken)
        memory = f"{peaks[name] / 1e6:.0f}" if name in peaks else ""
        yield name, f"{median * 1e3:.2f}", f"{1 / median:.0f}", memory
    yield f"The reference's time by ours, pair by pair; a worker's limit is {LIMIT}."
    yield "", "median", "least", "most"
    for what in ("a worker", "dataset alone"):
        pairs = zip(seconds[f"reference, {what}"], seconds[f"ours, {what}"], strict=True)
        ratios = [theirs / mine for theirs, mine in pairs]
        yield what, *(f"{ratio:.2f}" for ratio in (statistics.median(ratios), min(ratios), max(ratios)))


def _prepared(folder: Path) -> Params:
    params = load_params(Path(__file__).parents[1] / "params.yaml")
    synthetic = Synthetic(refs=REFS, size=NATIVE, seed=0)
    data = params.data.model_copy(update={"root": folder / "raw", "synthetic": synthetic})
    params = params.model_copy(update={"out": folder / "out", "data": data, "image_size": SIDE})
    write_dataset(data.root, refs=REFS, size=NATIVE, seed=0)
    record_source(params)
    prepare(params)
    return params


def _plain_batches(dataset: Reference) -> Iterator:
    repeated = Repeated(dataset, BATCH * BATCHES)
    return iter(DataLoader(repeated, BATCH, shuffle=True, drop_last=True, num_workers=1))


def _our_batches(dataset: ExpressionDataset) -> Iterator:
    repeated = Repeated(dataset, BATCH * BATCHES)
    steps = batches(repeated, BATCH, seed=0, epoch=0, workers=1, device=torch.device("cpu"))
    return (batch for step in steps for batch in step)


def _worker_seconds(loaded: Iterator) -> tuple[float, int]:
    """Seconds a sample once the worker runs; its peak memory in bytes, with what it shares with this process."""
    for _ in range(WARM_UP):
        next(loaded)
    started = time.perf_counter()
    peak = 0
    for _ in range(BATCHES - WARM_UP - 2):
        next(loaded)
    seconds = (time.perf_counter() - started) / (BATCH * (BATCHES - WARM_UP - 2))
    (worker,) = multiprocessing.active_children()
    status = Path(f"/proc/{worker.pid}/status")
    if status.is_file():  # Linux
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        peak = int(line.split()[1]) * 1024
    for _ in loaded:
        pass
    return seconds, peak


def _dataset_seconds(dataset: Dataset) -> float:
    started = time.perf_counter()
    for index in range(len(dataset)):
        dataset[index]
    return (time.perf_counter() - started) / len(dataset)
