"""What the report reads, made without training: drawn scenes, shifted masks as predictions, real writers."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from harness.config import Params
from harness.data.prepare import SCHEMA as EXPRESSIONS
from harness.data.prepare import SCHEMA_KEY, SCHEMA_VERSION
from harness.files import write_json
from harness.samples import SCHEMA, write_samples
from harness.statistics.build import build

ROOT = Path(__file__).parents[2]
SIDE = 48
SKILL = {  # pixels that a variant's predictions are off, on average
    "lavt-full": 3.4,
    "rmsin-full": 2.6,
    "mafn-full": 0.5,
    "mafn-default": 2.7,
    "mafn-fusion": 2.6,
    "mafn-noise": 2.3,
    "mafn-k1": 2.8,
    "mafn-k13": 2.2,
    "mafn-k1357": 2.0,
}
DEFECTS = {
    "empty_mask": {"found": 3, "treatment": "kept; its IoU is 0, as the released metric has it"},
    "mask_size": {"found": 1234, "treatment": "left out"},
}
CATEGORIES = ("<b>harbor</b> & gate", "building")  # a share of 1 to 7
ATTACK = '<script>alert(1)</script> the "small" ship & the harbor\'s gate'


def make_params(folder: Path, **changes: object) -> Params:
    """The project's own params.yaml, at a small size and in `folder`, with dvc.yaml beside it and no dvc.lock."""
    shutil.copy(ROOT / "dvc.yaml", folder)
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content |= {
        "params": str(folder / "params.yaml"),
        "out": str(folder / "out"),
        "image_size": SIDE,
        **changes,
    }
    content["statistics"] = {"resamples": 200, "permutations": 200, "seed": 0, "confidence": 0.95}
    content["report"] = {
        "html": str(folder / "html"),
        "published": str(ROOT / "reports" / "published.yaml"),
        "gallery": 12,
    }
    return Params.model_validate(content)


def _scene(rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """A field with one turned rectangle: JPEG bytes and its mask (SIDE x SIDE, bool)."""
    ground = np.clip(rng.normal((96, 118, 84), 12, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(ground)
    mask = Image.new("L", (SIDE, SIDE))
    center, half, angle = rng.uniform(14, SIDE - 14, 2), rng.uniform((6, 3), (11, 6)), rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = [tuple(center + turn @ (half * sign)) for sign in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    ImageDraw.Draw(image).polygon(corners, fill=(214, 210, 204))
    ImageDraw.Draw(mask).polygon(corners, fill=1)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue(), np.asarray(mask).astype(bool)


def _encode(mask: np.ndarray) -> str:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def _expressions(params: Params, split: str, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    rows, masks = [], []
    for number in range(count):
        image, mask = _scene(rng)
        masks.append(mask)
        identity = number + {"train": 38, "val": 0, "test": 1000}[split]  # train and val share two pictures
        sentence = ATTACK if number % 4 == 0 else f"The gray building number {number}"
        rows.append(
            dict.fromkeys(("image_id", "ref_id", "ann_id", "sent_id", "cluster_id"), identity)
            | {"split": split, "category_id": 0, "category": CATEGORIES[number % 8 > 0], "sentence": sentence}
            | {"file_name": f"{identity:05d}.jpg", "image": image, "height": SIDE, "width": SIDE}
            | {"mask_counts": _encode(mask)}
        )
    path = params.split_file(split)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"version": SCHEMA_VERSION, "dataset": params.data.dataset, "defects": DEFECTS}
    schema = EXPRESSIONS.with_metadata({SCHEMA_KEY: json.dumps(metadata).encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write(pa.RecordBatch.from_pylist(rows, schema))
    return masks


def _table(
    params: Params, run: str, split: str, masks: list[np.ndarray], predicted: list[np.ndarray]
) -> pd.DataFrame:
    variant, _, seed = run.rpartition("-s")
    model, _, name = variant.partition("-")
    with pa.memory_map(str(params.split_file(split))) as source:
        described = pa.ipc.open_file(source).read_all()
        columns = described.select(["image_id", "ref_id", "sentence", "category", "cluster_id"]).to_pandas()
    both = [(int((p & t).sum()), int((p | t).sum())) for p, t in zip(predicted, masks, strict=True)]
    return columns.assign(
        model=model,
        variant=name,
        seed=int(seed),
        split=split,
        dataset=params.data.dataset,
        intersection=[i for i, _ in both],
        union=[u for _, u in both],
        iou=[i / u if u else 0.0 for i, u in both],
        mask_area=[int(t.sum()) for t in masks],
        area_share=[float(t.mean()) for t in masks],
        center_x=[float(np.nonzero(t)[1].mean() + 0.5) / SIDE for t in masks],
        center_y=[float(np.nonzero(t)[0].mean() + 0.5) / SIDE for t in masks],
    )


def _evaluate(
    params: Params, run: str, split: str, masks: list[np.ndarray], predicted: list[np.ndarray]
) -> None:
    folder = params.run_dir(run)
    table = _table(params, run, split, masks, predicted)
    for protocol in params.evaluation.protocols:
        write_samples(table.assign(protocol=protocol)[SCHEMA.names], folder / f"{split}.{protocol}.parquet")
    if split == "test":
        chances = [np.roll(mask, SIDE // 3, (0, 1)) for mask in predicted]
        shuffled = _table(params, run, split, masks, chances).assign(protocol="resized")
        write_samples(shuffled[SCHEMA.names], folder / "test-shuffled.resized.parquet")
        counts = {"prediction": [_encode(mask) for mask in predicted], "height": SIDE, "width": SIDE}
        pq.write_table(
            pa.Table.from_pandas(table[["ref_id", "sentence"]].assign(**counts), preserve_index=False),
            folder / "predictions.parquet",
        )


def _off(mask: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    return np.roll(mask, tuple(np.rint(rng.normal(0, pixels, 2)).astype(int)), (0, 1))


def _leave_training(params: Params, run: str, rng: np.random.Generator) -> None:
    folder = params.run_dir(run)
    steps = np.arange(1, 7) * 87
    quality = 70 - 12 * SKILL[params.runs[run].variant]
    history = pd.DataFrame(
        {
            "epoch": range(1, 7),
            "step": steps,
            "loss": 0.5 * np.exp(-steps / 220) + rng.uniform(0.05, 0.08, 6),
            "learning_rate": 1e-3 * (1 - steps / 523) ** 0.9,
            "val_oIoU": [None, *(quality + rng.normal(0, 2, 5))],
            "val_mIoU": [None, *(quality * (1 - np.exp(-steps[1:] / 150)) + rng.normal(0, 2, 5))],
        }
    )
    history.to_csv(folder / "history.csv", index=False)
    record = {
        "run": run,
        "parameters": 1_234_567,
        "steps": 522,
        "seconds": 61.25,
        "images_per_second": 140.5,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
        "command": f"harness train --run {run}",
        "device": "a processor",
        "threads": 2,
        "versions": {"python": "3.11.2", "torch": "2.14.1"},
    }
    write_json(folder / "provenance.json", record)


def make_inputs(params: Params, count: int = 40) -> None:
    """Write everything that the report reads; the same call gives the same files."""
    _expressions(params, "train", 2 * count, np.random.default_rng(0))
    for split in ("val", "test"):
        masks = _expressions(params, split, count, np.random.default_rng(len(split)))
        mean = np.mean(masks, axis=0) > 0.3
        for run in params.runs:
            rng = np.random.default_rng([*run.encode()])
            predicted = [_off(mask, SKILL[params.runs[run].variant], rng) for mask in masks]
            _evaluate(params, run, split, masks, predicted)
            _leave_training(params, run, rng)
        for name, mask in (("empty", masks[0] & False), ("whole", masks[0] | True), ("mean", mean)):
            _evaluate(params, f"trivial-{name}-s0", split, masks, [mask] * count)
    write_json(params.statistics_file, build(params))


def edit_statistics(params: Params, change: object) -> None:
    """Read statistics.json, pass it to `change`, and write it back."""
    path = params.statistics_file
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)  # type: ignore[operator]
    write_json(path, content)
