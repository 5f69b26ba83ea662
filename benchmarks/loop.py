"""What the training loop costs beside the bare step: `python -m benchmarks loop`.

The bare step is forward, loss, backward and optimizer over batches that lie ready in memory. The loop is `harness
train` as it is: loading, schedule, gradient norm, checks, curves, display and checkpoints; without setting up and
looking at val. Both take the same batches in turns: the embedded profile, half as large.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
import yaml

from benchmarks.page import Figures
from harness.config import Params, load_params
from harness.data.dataset import normalize, open_dataset
from harness.data.drawing.synthetic import write_dataset
from harness.data.loader import Batch, batches
from harness.data.prepare import prepare
from harness.data.source import record_source
from harness.files import read_json
from harness.training.checkpoint import build_network
from harness.training.loop import train
from harness.training.losses import segmentation_loss
from harness.training.optimizer import make_optimizer
from harness.training.plan import resolve_recipe

REFS = 2300  # half of the embedded profile's: 100 steps an epoch
ROUNDS = 3
LIMIT = 1.05


def run(names: list[str]) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        params = _profile(Path(folder))
        yield (
            f"{params.training.epochs} epochs of {REFS} drawn images of {params.image_size} pixels, median of "
            f"{ROUNDS} rounds, ms a step; the loop may take {LIMIT} times the bare step."
        )
        yield "", "bare step", "loop", "ratio", "of it: data wait", "checkpoints"
        for name in names or ["lavt", "rmsin", "mafn"]:
            yield _measure(params, f"{name}-full-s0")


def _measure(params: Params, name: str) -> tuple[str, ...]:
    batch = resolve_recipe(params, name).batch_size
    data = open_dataset(params, "train", black_boxes=True, seed=0)
    loaded = [
        step[0] for step in batches(data, batch, seed=0, epoch=0, workers=0, device=torch.device("cpu"))
    ]
    _bare_seconds(params, name, loaded[:5])  # what is made at first use
    bare, loop, waits, saves = [], [], [], []
    for _ in range(ROUNDS):
        bare.append(_bare_seconds(params, name, loaded))
        train(params, name)
        phases = read_json(params.run_dir(name) / "provenance.json", "harness train")["phases"]
        steps = params.training.epochs * len(loaded)
        waits.append(phases["data wait"] / steps)
        saves.append(phases["checkpoints"] / steps)
        loop.append(phases["steps"] / steps + waits[-1] + saves[-1])
    ratio = statistics.median(ours / plain for ours, plain in zip(loop, bare, strict=True))
    milliseconds = [f"{1e3 * statistics.median(each):.1f}" for each in (bare, loop, waits, saves)]
    return name.split("-")[0], *milliseconds[:2], f"{ratio:.3f}", *milliseconds[2:]


def _bare_seconds(params: Params, name: str, loaded: list[Batch]) -> float:
    """Seconds a step of a plain loop."""
    torch.manual_seed(0)
    recipe = resolve_recipe(params, name)
    model = build_network(params, params.runs[name]).train()
    optimizer = make_optimizer(model, recipe, recipe.learning_rate, pretrained=False)
    images = [normalize(batch["image"]) for batch in loaded]
    began = time.perf_counter()
    for image, batch in zip(images, loaded, strict=True):
        logits = model(image, batch["input_ids"], batch["attention_mask"])
        segmentation_loss(logits, batch["mask"], recipe).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (time.perf_counter() - began) / len(loaded)


def _profile(folder: Path) -> Params:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content |= {"out": str(folder / "out"), "params": str(folder / "params.yaml")}
    content["data"]["root"] = str(folder / "raw")
    content["data"]["synthetic"]["refs"] = REFS
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    params = load_params(folder / "params.yaml")
    write_dataset(params.data.root, **params.data.synthetic.model_dump())
    record_source(params)
    prepare(params)
    return params
