"""Train one network.

    harness train --run mafn-full-s0                                                   one process
    harness train --run mafn-full-s0 --processes auto                                  one for each GPU
    torchrun --nproc-per-node 4 -m harness train --run mafn-full-s0                    the same, by torchrun itself
    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
        -m harness train --run mafn-full-s0                                            on each of two machines

The whole run reads from top to bottom in `_train`. While it runs, its state is under `${out}/training/RUN` (see
resume.py), and whatever interrupts it, the same command goes on to the same result. At the end the run's folder,
`${out}/runs/RUN`, has

    weights/model.safetensors   the weights with the best oIoU on val, looked at every `validate_every` epochs
    weights/last.safetensors    the weights after the last step
    history.csv                 a line an epoch
    curves/                     loss, learning rate and gradient norm over the steps, figures on val over the epochs
    provenance.json             what ran, on what, with which versions, and how long it took
"""

import math
import os
import socket
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, cast

import torch
from torch import nn

from harness.config import Params
from harness.data.dataset import KEPT, ExpressionDataset, open_dataset
from harness.data.loader import Batch, batches
from harness.errors import HarnessError
from harness.evaluation import EvaluationStopped, Identity, evaluate, predict
from harness.metrics import summarize
from harness.models import try_network
from harness.provenance import Phases, Session
from harness.training.checkpoint import build_network, checkpoint_file, describe_network, save_checkpoint
from harness.training.curves import Curves
from harness.training.display import TrainingDisplay
from harness.training.distributed import Ranks, joined
from harness.training.fingerprint import fingerprint, unwatched
from harness.training.memory import return_freed_tensors
from harness.training.numerics import autocast, make_scaler, prepare_network, set_numerics
from harness.training.optimizer import make_optimizer, polynomial_schedule
from harness.training.plan import make_plan, resolve_recipe
from harness.training.publish import Results, place_in_line, publish
from harness.training.recipe import Recipe
from harness.training.resume import Checkpoints, only_writer
from harness.training.step import accumulate_gradient, gradient_norm
from harness.training.stop import Stopped, StopRequests
from harness.weights import load_pretrained


def train(params: Params, name: str) -> Path:
    """Train the run `name` of params.yaml, or go on with it, and return the file of its best weights.

    Raises:
        HarnessError: something in params.yaml or the data does not fit, another process trains this run, a loss is not
            finite, the disk is full, or another process of this job was lost.
        Stopped: SIGTERM or SIGINT came, or the parent process died; the state is saved.
    """
    if (weights := params.runs[name].weights) is not None:
        raise HarnessError(f"{name} of {params.params} is not trained: it is what {weights} holds, evaluated")
    recipe = resolve_recipe(params, name)
    set_numerics(params.training)
    is_main = os.environ.get("RANK", "0") == "0"
    folder = params.training_dir(name)
    with StopRequests() as stop, only_writer(folder) if is_main else nullcontext():
        checkpoints = Checkpoints(folder, fingerprint(params, name, asdict(recipe)) if is_main else {})
        with joined(params.training.timeout) as ranks, stop.listening():
            _train(params, name, recipe, checkpoints, ranks, stop)
    return checkpoint_file(params, name)


def _train(
    params: Params, name: str, recipe: Recipe, checkpoints: Checkpoints, ranks: Ranks, stop: StopRequests
) -> None:
    phases = Phases()
    run, options, device = params.runs[name], params.training, ranks.device
    keep = 0 if options.workers else KEPT
    train_data = open_dataset(params, "train", black_boxes=recipe.black_boxes, seed=run.seed, keep=keep)
    val_data = open_dataset(params, "val", keep=keep)
    plan = make_plan(params, name, recipe, rows=len(train_data), world=ranks.world)

    torch.manual_seed(run.seed)  # initialisation; data order, black boxes and dropout have seeds of their own
    model = build_network(params, run)
    checkpoint = ranks.on_main(checkpoints.latest)
    if checkpoint is None and options.pretrained is not None:
        load_pretrained(model, plan.model, options.pretrained)
    model.to(device)
    if checkpoint is None:
        sentences = (train_data.input_ids[:1].to(device), train_data.attention_mask[:1].to(device))
        try_network(model, plan.model, params.image_size, *sentences)
    return_freed_tensors(model, device)
    prepare_network(model, plan.model, options)
    optimizer = make_optimizer(model, recipe, recipe.learning_rate, pretrained=options.pretrained is not None)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    scaler = make_scaler(options, device)
    curves = Curves(
        checkpoints.folder / "curves" if ranks.is_main else None,
        every=options.curve_every,
        tensorboard=params.out / "tensorboard" / name if options.tensorboard and ranks.is_main else None,
    )

    # What changes from step to step, besides the weights.
    step, epoch_loss = 0, 0.0
    best_step: int | None = None
    best_oiou = -1.0
    sessions: list[Session] = []
    if checkpoint is not None:
        state = checkpoints.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        curves.load_state_dict(state["curves"])
        phases.load_state_dict(state["phases"])
        step, epoch_loss = state["step"], state["epoch_loss"]
        sessions = [Session.from_dict(one) for one in state["sessions"]]
        best_step, best_oiou = state["best_step"], state["best_oIoU"]
        del state
    network = ranks.parallel(cast(nn.Module, torch.compile(model)) if options.compile else model)
    session = Session.begin(step, processes=ranks.world, hosts=ranks.gather(socket.gethostname()))
    display = TrainingDisplay(
        name,
        steps=plan.steps,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        phases=phases,
        device=device,
        start=step,
        processes=ranks.world,
        validate_every=options.validate_every,
        history=curves.history,
        shown=ranks.is_main,
        stop_reason=lambda: stop.reason,
    )

    def save() -> None:
        """Save all that training needs to go on from here: data order and dropout follow from seed and step."""
        with phases("checkpoints"):
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scaler": scaler.state_dict(),
                "curves": curves.state_dict(),
                "phases": phases.state_dict(),
                "sessions": [one.as_dict() for one in (*sessions, session.until(step))],
                "epoch_loss": epoch_loss,
                "best_oIoU": best_oiou,
            }
            ranks.on_main(checkpoints.save, step, state, best_step)

    def leave() -> NoReturn:
        save()
        display.note(
            f"stopped by {stop.reason or 'another process'} and saved after step {step} of {plan.steps}; "
            "the same command goes on"
        )
        raise Stopped

    def validate() -> dict[str, float]:
        """The figures on val of the network as it is, the same in all processes."""
        with phases("validation"):
            ranks.share_buffers(model)
            predicted = predict(
                model,
                val_data,
                params.evaluation.batch_size,
                device,
                workers=options.workers,
                ranks=ranks,
                stopped=lambda: bool(stop),
            )
            tables, _ = evaluate(
                predicted, val_data, Identity.of(params, name), "val", ["resized"], ranks=ranks
            )
            return {metric: float(value) for metric, value in summarize(tables["resized"]).items()}

    with ranks.telling(), display:
        display.note(place_in_line(params, name))
        if warning := unwatched(params, name):
            display.note(warning)
        for epoch in range(len(curves.history), recipe.epochs):
            model.train()
            first_step = step - epoch * plan.steps_an_epoch
            loaded = batches(
                train_data,
                recipe.batch_size,
                seed=run.seed,
                epoch=epoch,
                first_step=first_step,
                rank=ranks.rank,
                world=ranks.world,
                micro_batch=plan.micro_batch,
                workers=options.workers,
                device=device,
            )
            with phases("steps"):
                for micro_batches in phases.waiting(loaded, "data wait"):
                    learning_rate = recipe.learning_rate * polynomial_schedule(step, plan.steps, recipe.power)
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate
                    losses = accumulate_gradient(
                        network,
                        micro_batches,
                        recipe,
                        ranks,
                        seed=(run.seed, step),
                        autocast=autocast(options, device),
                        scaler=scaler,
                    )
                    scaler.unscale_(optimizer)
                    norm = gradient_norm(trained, options.clip_norm)
                    loss, stops = ranks.sum([math.fsum(losses), float(bool(stop))])
                    # In fp16 the scaler leaves out a step whose gradient is not finite.
                    if not math.isfinite(loss) or not (math.isfinite(norm) or scaler.is_enabled()):
                        ranks.end(not_finite(name, step, losses, micro_batches, train_data, ranks))
                    scaler.step(optimizer)
                    scaler.update()
                    optimizer.zero_grad(set_to_none=True)  # now: no gradients lie beside the next activations
                    step += 1
                    epoch_loss += loss
                    curves.step(step, loss, learning_rate, norm)
                    display.step(loss, learning_rate, norm)
                    if stops:
                        leave()
                    if step % options.checkpoint_every == 0 and step % plan.steps_an_epoch:
                        save()

            row: dict[str, float | None] = {
                "epoch": epoch + 1,
                "step": step,
                "loss": epoch_loss / plan.steps_an_epoch,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "val_oIoU": None,
                "val_mIoU": None,
            }
            if (epoch + 1) % options.validate_every == 0 or epoch + 1 == recipe.epochs:
                try:
                    measured = validate()
                except EvaluationStopped:
                    leave()
                row |= {"val_oIoU": measured["oIoU"], "val_mIoU": measured["mIoU"]}
                display.measure(measured["oIoU"], measured["mIoU"])
                if measured["oIoU"] > best_oiou:
                    best_step, best_oiou = step, measured["oIoU"]
                    described = describe_network(params, name) | row
                    ranks.on_main(save_checkpoint, model, checkpoints.best_file(step), described)
            curves.epoch(row)
            epoch_loss = 0.0
            save()

    with phases("results"):
        results = Results(plan, best_step or 0, curves, phases, [*sessions, session.until(step, "finished")])
        ranks.on_main(publish, params, name, model, checkpoints, results)


def not_finite(
    name: str,
    step: int,
    losses: Sequence[float],
    micro_batches: Sequence[Batch],
    data: ExpressionDataset,
    ranks: Ranks,
) -> HarnessError:
    """The error of a loss or gradient that is not finite, with the ref_ids of the micro-batches it comes from."""
    bad = [not math.isfinite(loss) for loss in losses]
    in_loss = ranks.sum([float(any(bad))])[0] > 0
    rows = [
        row
        for is_bad, micro in zip(bad, micro_batches, strict=True)
        if is_bad or not in_loss  # a gradient is that of the whole batch
        for row in micro["index"].tolist()
    ]
    refs = [ref for share in ranks.gather(data.table["ref_id"].take(rows).to_pylist()) for ref in share]
    listed = ", ".join(map(str, refs))
    return HarnessError(
        f"{name}: the {'loss' if in_loss else 'gradient'} of step {step + 1} is not finite, in the samples with "
        f"ref_ids {listed}. The weights were not changed by it; the last checkpoint is kept. Look at these samples, or "
        "lower training.learning_rate"
    )
