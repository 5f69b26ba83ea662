"""Train one network: `harness train --run mafn-full-s0`.

The whole run reads from top to bottom in `train`. It ends with three files in the run's folder:

    model.safetensors   the weights with the best oIoU on val, looked at every `validate_every` epochs
    history.csv         a line an epoch
    provenance.json     what ran, on what, with which versions, and how long it took
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from harness.config import SPLITS, Params
from harness.data.dataset import normalize, open_dataset
from harness.data.loader import batches
from harness.errors import HarnessError
from harness.evaluation import Identity, evaluate, predict
from harness.files import atomic_write, read_json, write_json
from harness.metrics import summarize
from harness.progress import Progress, clock
from harness.provenance import provenance
from harness.training.checkpoint import build_network, checkpoint_file, pick_device, save_checkpoint
from harness.training.memory import return_freed_tensors
from harness.training.recipe import find_recipe, make_optimizer, polynomial_schedule, segmentation_loss
from harness.weights import load_pretrained


def train(params: Params, name: str) -> Path:
    """Train the run `name` of params.yaml and return its checkpoint."""
    run, options = params.runs[name], params.training
    model_name = params.variants[run.variant].model
    recipe = find_recipe(options.recipe, model_name)
    epochs = options.epochs or recipe.epochs
    batch_size = options.batch_size or recipe.batch_size
    learning_rate = options.learning_rate or recipe.learning_rate
    if batch_size % recipe.loss_group:
        raise HarnessError(
            f"training.batch_size {batch_size} is no multiple of {recipe.loss_group}, the number of samples that the "
            f"{options.recipe} recipe of {model_name} takes its loss over"
        )
    data = {split: open_dataset(params, split) for split in SPLITS[1:]}
    data["train"] = open_dataset(params, "train", black_boxes=recipe.black_boxes, seed=run.seed)
    steps_an_epoch = len(data["train"]) // batch_size  # the last, smaller batch is dropped, as released
    if not steps_an_epoch:
        raise HarnessError(
            f"{data['train'].path} has {len(data['train'])} rows, fewer than one batch of {batch_size}; "
            "lower training.batch_size"
        )
    steps = steps_an_epoch * epochs
    print(f"{name}: {steps} steps of {batch_size}{_place_in_line(params, name)}", flush=True)

    # Initialisation and dropout; data order and black boxes have generators of their own.
    torch.manual_seed(run.seed)
    device = pick_device()
    model = build_network(params, run)
    if options.pretrained is not None:
        load_pretrained(model, options.pretrained)
    model.to(device)
    return_freed_tensors(model, device)
    if options.activation_checkpointing:
        enable_checkpointing(model, model_name)
    if options.channels_last:
        to_channels_last(model)
    network = torch.compile(model) if options.compile else model  # the same weights
    bf16 = options.precision == "bf16"
    optimizer = make_optimizer(model, recipe, learning_rate, pretrained=options.pretrained is not None)
    identity = Identity.of(params, name)

    started = time.perf_counter()
    validation_seconds, step, best = 0.0, 0, -1.0
    history: list[dict[str, float | None]] = []
    with Progress(name, steps) as progress:
        for epoch in range(epochs):
            model.train()
            loss_sum = torch.zeros((), device=device)
            for batch in batches(
                data["train"],
                batch_size,
                seed=run.seed,
                epoch=epoch,
                workers=options.workers,
                device=device,
            ):
                factor = polynomial_schedule(step, steps, recipe.power)
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * factor
                image = normalize(batch["image"])
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    logits = network(image, batch["input_ids"], batch["attention_mask"])
                loss = segmentation_loss(logits.float(), batch["mask"], recipe)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)  # here, so that no gradients lie beside the activations
                loss_sum += loss.detach()
                step += 1
                rate = step * batch_size / (time.perf_counter() - started - validation_seconds)
                progress.advance(f"epoch {epoch + 1}/{epochs}  loss {loss.item():.3f}  {rate:.0f} images/s")

            loss_mean = loss_sum.item() / steps_an_epoch
            if not math.isfinite(loss_mean):
                raise HarnessError(
                    f"{name}: the loss is {loss_mean} in epoch {epoch + 1}; lower training.learning_rate"
                )
            row: dict[str, float | None] = {
                "epoch": epoch + 1,
                "step": step,
                "loss": loss_mean,
                "learning_rate": learning_rate * factor,
                "val_oIoU": None,
                "val_mIoU": None,
            }
            if (epoch + 1) % options.validate_every == 0 or epoch + 1 == epochs:
                before = time.perf_counter()
                predicted = predict(
                    model, data["val"], params.evaluation.batch_size, device, workers=options.workers
                )
                tables, _ = evaluate(predicted, data["val"], identity, "val", ["resized"])
                measured = summarize(tables["resized"])
                row |= {"val_oIoU": measured["oIoU"], "val_mIoU": measured["mIoU"]}
                if measured["oIoU"] > best:
                    best = measured["oIoU"]
                    save_checkpoint(model, checkpoint_file(params, name), {"run": name, **row})
                validation_seconds += time.perf_counter() - before
            history.append(row)

    seconds = time.perf_counter() - started
    with atomic_write(params.run_dir(name) / "history.csv") as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)
    write_json(
        params.run_dir(name) / "provenance.json",
        {
            "run": name,
            **vars(identity),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "recipe": vars(recipe)
            | {"learning_rate": learning_rate, "batch_size": batch_size, "epochs": epochs},
            "steps": steps,
            "seconds": round(seconds, 2),
            "validation_seconds": round(validation_seconds, 2),
            "images_per_second": round(steps * batch_size / (seconds - validation_seconds), 2),
            **provenance(),
        },
    )
    last = history[-1]
    print(
        f"{name}: val mIoU {last['val_mIoU']:.2f}, oIoU {last['val_oIoU']:.2f} after {clock(seconds)}",
        flush=True,
    )
    return checkpoint_file(params, name)


def enable_checkpointing(model: nn.Module, name: str) -> None:
    """Have a network recompute activations in the backward pass.

    Raises:
        HarnessError: it cannot.
    """
    switch: Callable[[], None] | None = getattr(model, "set_grad_checkpointing", None)
    if switch is None:
        raise HarnessError(
            f"training.activation_checkpointing is true, but model {name!r} has no set_grad_checkpointing(); set it "
            "to false"
        )
    switch()


def to_channels_last(model: nn.Module) -> None:
    """Lay out the weights of all two-dimensional convolutions channels-last.

    `model.to(memory_format=...)` would do that, but refuses the five-dimensional weights of the rotated convolution.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)


def _place_in_line(params: Params, name: str) -> str:
    """ "; network 4 of 12, about 6:30 of training left", from the runs that this data has trained already."""
    prepared = params.split_file("train").stat().st_mtime
    others = [params.run_dir(other) / "provenance.json" for other in params.runs if other != name]
    trained = [path for path in others if path.is_file() and path.stat().st_mtime > prepared]
    text = f"; network {len(trained) + 1} of {len(params.runs)}"
    if trained:
        seconds = [read_json(path, "harness train")["seconds"] for path in trained]
        left = sum(seconds) / len(seconds) * (len(params.runs) - len(trained))
        text += f", about {clock(left)} of training left in all"
    return text
