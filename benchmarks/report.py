"""The report of a test split of RRSIS-D's size: nine variants with three seeds each, all files made up."""

import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image, ImageFilter
from pycocotools import mask as coco_mask

from benchmarks import process
from benchmarks.page import Figures
from harness.config import Params, load_params
from harness.data.prepare import SCHEMA as EXPRESSIONS
from harness.data.prepare import SCHEMA_KEY, SCHEMA_VERSION
from harness.files import write_json
from harness.samples import SCHEMA, write_samples

ROOT = Path(__file__).parents[1]
SIZES = {"train": 12_181, "val": 1_740, "test": 3_481}
NATIVE = 800  # pixels a side of RRSIS-D's images
PICTURES = 60  # different photographs, used again and again
CATEGORIES = (
    "airplane",
    "bridge",
    "chimney",
    "dam",
    "golf field",
    "harbor",
    "ship",
    "stadium",
    "vehicle",
    "windmill",
)


def run(names: list[str]) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        path = _profile(Path(folder))
        params = load_params(path)
        _make(params)
        yield f"{len(params.runs)} runs of {SIZES['test']:,} test and {SIZES['val']:,} val expressions."
        yield "", "s", "GB"
        for command in (["statistics"], ["report", "build"]):
            seconds, _, peak = process.harness(*command, "--params", str(path))
            yield f"`harness {' '.join(command)}`", f"{seconds:.1f}", f"{peak / 1e9:.2f}"
        pages = sorted(Path(params.report.html).glob("*.html"), key=lambda page: -page.stat().st_size)
        largest = pages[0].stat().st_size / 1e6
        yield f"The largest of {len(pages)} pages, {pages[0].name}, has {largest:.2f} MB."


def _profile(folder: Path) -> Path:
    content = yaml.safe_load((ROOT / "profiles" / "rrsisd" / "params.yaml").read_text(encoding="utf-8"))
    path = folder / "params.yaml"
    content |= {"root": ".", "params": str(path), "out": str(folder / "out")}
    content["report"] |= {"html": str(folder / "html"), "published": str(ROOT / "reports" / "published.yaml")}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _make(params: Params) -> None:
    rng = np.random.default_rng(0)
    pictures = [_photograph(rng) for _ in range(PICTURES)]
    for split, count in SIZES.items():
        boxes = _boxes(rng, count)
        table = _expressions(params, split, boxes, pictures, rng)
        if split == "train":
            continue
        for name, run_ in params.runs.items():
            skill = 0.05 + 0.02 * list(params.variants).index(run_.variant)
            _evaluated(params, name, split, table, boxes, rng, skill)
        for trivial in ("empty", "whole", "mean"):
            _evaluated(params, f"trivial-{trivial}-s0", split, table, boxes, rng, 1.0)
    for name in params.runs:
        _trained(params, name, rng)


def _photograph(rng: np.random.Generator) -> bytes:
    """A texture about as large, as a JPEG, as RRSIS-D's photographs."""
    coarse = Image.fromarray(rng.integers(40, 200, (25, 25, 3)).astype(np.uint8)).resize((NATIVE, NATIVE))
    fine = Image.fromarray(rng.integers(0, 255, (NATIVE, NATIVE, 3)).astype(np.uint8))
    buffer = io.BytesIO()
    Image.blend(coarse, fine.filter(ImageFilter.GaussianBlur(1.2)), 0.4).save(
        buffer, format="JPEG", quality=85
    )
    return buffer.getvalue()


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """True masks as boxes: x, y, width, height as shares of the image."""
    size = np.exp(rng.uniform(np.log(0.02), np.log(0.6), (count, 2)))
    return np.hstack([rng.uniform(0, 1, (count, 2)) * (1 - size), size])


def _run_lengths(boxes: np.ndarray, side: int) -> list[str]:
    found = coco_mask.frPyObjects((boxes * side).round().clip(1).astype(np.float64), side, side)
    return [each["counts"].decode() for each in found]


def _expressions(
    params: Params, split: str, boxes: np.ndarray, pictures: list[bytes], rng: np.random.Generator
) -> pd.DataFrame:
    count = len(boxes)
    identity = np.arange(count) + 100_000 * list(SIZES).index(split)
    category = rng.integers(0, len(CATEGORIES), count)
    table = pd.DataFrame(dict.fromkeys(("image_id", "ref_id", "ann_id", "sent_id", "cluster_id"), identity))
    table["split"] = split
    table["category_id"] = category
    table["category"] = [CATEGORIES[number] for number in category]
    table["sentence"] = [
        f"the {CATEGORIES[k]} number {n} on the left of the road" for n, k in enumerate(category)
    ]
    table["file_name"] = [f"{number:06d}.jpg" for number in identity]
    small = pictures[0][:0]  # only the pictures of test are looked at
    table["image"] = [pictures[n % PICTURES] if split == "test" else small for n in range(count)]
    table["height"] = table["width"] = NATIVE
    table["mask_counts"] = _run_lengths(boxes, NATIVE)
    metadata = {"version": SCHEMA_VERSION, "dataset": params.data.dataset, "defects": {}}
    schema = EXPRESSIONS.with_metadata({SCHEMA_KEY: json.dumps(metadata).encode()})
    path = params.split_file(split)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(
            pa.Table.from_pandas(table[EXPRESSIONS.names], schema=schema, preserve_index=False)
        )
    return table


def _evaluated(
    params: Params,
    run_: str,
    split: str,
    table: pd.DataFrame,
    boxes: np.ndarray,
    rng: np.random.Generator,
    skill: float,
) -> None:
    """Per-sample tables and predictions of a run whose boxes are shifted copies of the true ones."""
    side = params.image_size
    shift = rng.normal(0, 0.5 - 0.4 * min(skill, 1.0), (len(boxes), 2)) * boxes[:, 2:]
    predicted = np.hstack([(boxes[:, :2] + shift).clip(0, 1 - boxes[:, 2:]), boxes[:, 2:]])
    low = np.maximum(boxes[:, :2], predicted[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], predicted[:, :2] + predicted[:, 2:])
    area = (boxes[:, 2:].prod(1) * side**2).round().astype(np.int64).clip(1)
    intersection = ((high - low).clip(0).prod(1) * side**2).round().astype(np.int64).clip(0, area)
    union = 2 * area - intersection
    variant, _, seed = run_.rpartition("-s")
    model, _, name = variant.partition("-")
    samples = table[["image_id", "ref_id", "sentence", "category", "cluster_id"]].assign(
        model=model, variant=name, seed=int(seed), split=split, dataset=params.data.dataset,
        intersection=intersection, union=union, iou=intersection / union, mask_area=area,
        area_share=area / side**2, center_x=boxes[:, 0] + boxes[:, 2] / 2, center_y=boxes[:, 1] + boxes[:, 3] / 2,
    )  # fmt: skip
    folder = params.run_dir(run_)
    folder.mkdir(parents=True, exist_ok=True)
    for protocol in params.evaluation.protocols:
        write_samples(samples.assign(protocol=protocol)[SCHEMA.names], folder / f"{split}.{protocol}.parquet")
    if split == "test":
        shuffled = samples.assign(protocol="resized", intersection=intersection // 8)
        shuffled["iou"] = shuffled["intersection"] / shuffled["union"]
        write_samples(shuffled[SCHEMA.names], folder / "test-shuffled.resized.parquet")
        masks = samples[["ref_id", "sentence"]].assign(
            prediction=_run_lengths(predicted, side), height=side, width=side
        )
        pq.write_table(pa.Table.from_pandas(masks, preserve_index=False), folder / "predictions.parquet")


def _trained(params: Params, run_: str, rng: np.random.Generator) -> None:
    folder = params.run_dir(run_)
    steps = np.arange(1, 41) * 1523
    quality = 80 - 60 * np.exp(-steps / 9000)
    history = pd.DataFrame(
        {"epoch": np.arange(1, 41), "step": steps, "loss": 0.5 * np.exp(-steps / 15_000),
         "learning_rate": 3e-5 * (1 - steps / 61_000) ** 0.9, "val_oIoU": quality + rng.normal(0, 1, 40),
         "val_mIoU": quality - 12 + rng.normal(0, 1, 40)}
    )  # fmt: skip
    history.to_csv(folder / "history.csv", index=False)
    write_json(folder / "provenance.json", {"run": run_, "command": f"harness train --run {run_}"})
