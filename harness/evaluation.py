"""A network and a prepared split in, a per-sample table out.

`evaluate_run` is the `evaluate` stage of one run; `harness.released` does the same with weights from elsewhere, by the
same `measure` and `write_results`. Into the run's folder go

    {val,test}.{resized,native}.parquet   per-sample tables of the best weights on val
    test-shuffled.resized.parquet         the same with sentences shuffled between images
    {val,test}-last.resized.parquet       per-sample tables of the weights after the last step
    predictions.parquet                   the masks of test at the network's input size, run-length encoded
    metrics.json                          the summaries, for `dvc metrics`
    efficiency.json                       parameters, operations, time and memory of the evaluation: efficiency.py

Several processes share the batches. A batch holds the same rows whatever their number, so the network sees the same
tensors and the tables are the same bytes. (On a CPU the number of threads of a process has to be the same, too: it
changes the order of sums inside a matrix product.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from harness.config import Params
from harness.data.dataset import ExpressionDataset, normalize, open_dataset
from harness.data.loader import batches_in_order
from harness.data.text import load_tokenizer, tokenizer_file
from harness.efficiency import Stopwatch, measured_efficiency
from harness.errors import HarnessError
from harness.files import atomic_write, write_json
from harness.metrics import summarize
from harness.progress import Progress
from harness.samples import SCHEMA, write_samples
from harness.scoring import Scored, score_batch
from harness.statistics.evaluated import evaluate_command
from harness.training.checkpoint import build_network, checkpoint_file, last_file, load_checkpoint
from harness.training.distributed import Ranks, joined
from harness.training.numerics import set_tf32

EVALUATED_SPLITS = ("val", "test")
SHUFFLE_SEED = 0  # which sentences go with which images is the same for every run

Tables = dict[str, pd.DataFrame]  # a per-sample table by protocol


class EvaluationStopped(Exception):
    """A process was told to stop; no process has a result."""


@dataclass(frozen=True)
class Identity:
    """The columns that are the same for every row of a run's table."""

    model: str
    variant: str
    seed: int
    dataset: str

    @classmethod
    def of(cls, params: Params, name: str) -> "Identity":
        """The identity of the run `name` of params.yaml."""
        run = params.runs[name]
        model, variant = run.variant.split("-", 1)
        return cls(model, variant, run.seed, params.data.dataset)


@dataclass
class Measured:
    """What the evaluation of one network gave."""

    tables: dict[str, Tables]  # by stem: "val", "test", "test-shuffled", "test-last" ...
    predictions: list[bytes]  # as `evaluate` returns them, of the split that was last
    watch: Stopwatch  # of that split


def evaluate_run(params: Params, name: str) -> None:
    """Evaluate a trained run of params.yaml: its best weights on val, test and test shuffled, its last on val and test.

    Under torchrun the processes share the work, and process 0 writes.
    """
    if params.runs[name].weights is not None:
        command = evaluate_command(params, name)
        raise HarnessError(
            f"{name} of {params.params} was not trained here; evaluate it again with `{command}`"
        )
    # What can be wrong with the files is found before the processes join, so that one message is enough.
    data = {split: open_dataset(params, split) for split in EVALUATED_SPLITS}
    model = build_network(params, params.runs[name])
    best = load_checkpoint(model, checkpoint_file(params, name))
    variant = params.variants[params.runs[name].variant]
    vocabulary = load_tokenizer(tokenizer_file(params)).get_vocab_size()
    with joined(params.training.timeout) as ranks:
        model.to(ranks.device)
        measured = measure(params, name, model, data, ranks)
        tables = measured.tables
        if last_file(params, name).exists():
            last = load_checkpoint(model, last_file(params, name))
            same = "step" in last and last["step"] == best.get("step")
            for split in EVALUATED_SPLITS:
                if same and "resized" in tables[split]:
                    tables[f"{split}-last"] = {"resized": tables[split]["resized"]}
                else:
                    tables[f"{split}-last"], _ = _measure(
                        params, name, model, data[split], f"{split}-last", ["resized"], ranks
                    )
        built = (variant.model, {"vocab_size": vocabulary, **variant.options})
        efficiency = measured_efficiency(
            params, name, model, built, "test", len(data["test"]), measured.watch, ranks
        )
    if ranks.is_main:
        write_json(params.run_dir(name) / "efficiency.json", efficiency)
        write_results(params, name, measured, data)


def measure(
    params: Params, name: str, model: nn.Module, data: Mapping[str, ExpressionDataset], ranks: Ranks
) -> Measured:
    """Evaluate a network in float32 on val, test or both, in both protocols; on test with shuffled sentences, too.

    Args:
        params: the profile: batch size, protocols, loader processes, names.
        name: of the run.
        model: on the device of `ranks`.
        data: by split, val before test.
        ranks: the processes that share the work; all of them call this.

    Raises:
        HarnessError: a sample cannot be decoded.
    """
    set_tf32(False)
    tables: dict[str, Tables] = {}
    predictions: list[bytes] = []
    watch = Stopwatch()
    for split, dataset in data.items():
        watch = Stopwatch()
        with watch.timing(model, ranks.device):
            tables[split], predictions = _measure(
                params, name, model, dataset, split, params.evaluation.protocols, ranks
            )
    if "test" in data:
        others = shuffled_rows(len(data["test"]), np.random.default_rng(SHUFFLE_SEED))
        tables["test-shuffled"], _ = _measure(
            params, name, model, data["test"], "test-shuffled", ["resized"], ranks, others
        )
    return Measured(tables, predictions, watch)


def _measure(
    params: Params,
    name: str,
    model: nn.Module,
    dataset: ExpressionDataset,
    stem: str,
    protocols: Sequence[str],
    ranks: Ranks,
    text_rows: np.ndarray | None = None,
) -> tuple[Tables, list[bytes]]:
    """The tables of one stem, and the predictions."""
    batches = predict(
        model,
        dataset,
        params.evaluation.batch_size,
        ranks.device,
        text_rows=text_rows,
        workers=params.training.workers,  # no dependency of the stage: it changes no result
        label=f"{name} {stem}",
        ranks=ranks,
    )
    split = stem.partition("-")[0]
    return evaluate(batches, dataset, Identity.of(params, name), split, protocols, ranks=ranks)


def write_results(
    params: Params, name: str, results: Measured, data: Mapping[str, ExpressionDataset]
) -> None:
    """Write the files of a run and print its figures on test, or on val where that is all there is.

    Args:
        params: the profile.
        name: of the run.
        results: what `measure` returned.
        data: what it was given.
    """
    tables = results.tables
    summaries = {stem: write_tables(params, name, stem, tables[stem]) for stem in tables}
    for stem in (f"{split}-last" for split in EVALUATED_SPLITS):
        if stem not in tables:  # weights from elsewhere have no last; an earlier one's table would mislead
            (params.run_dir(name) / f"{stem}.resized.parquet").unlink(missing_ok=True)
    if "test" in data:
        write_predictions(params, name, data["test"], results.predictions)
    write_json(params.run_dir(name) / "metrics.json", summaries)
    split = "test" if "test" in data else "val"
    measured = summaries[split]["resized" if "resized" in summaries[split] else "native"]
    line = f"{name}: {split} mIoU {measured['mIoU']:.2f}, oIoU {measured['oIoU']:.2f}"
    if "test-shuffled" in summaries:
        line += f", with shuffled sentences {summaries['test-shuffled']['resized']['mIoU']:.2f}"
    print(line, flush=True)


def write_tables(params: Params, name: str, stem: str, tables: Tables) -> dict[str, dict[str, float]]:
    """Write `<stem>.<protocol>.parquet` of a run; return the summary of each protocol."""
    shuffled, last = stem.endswith("-shuffled"), stem.endswith("-last")
    for protocol, table in tables.items():
        path = params.run_dir(name) / f"{stem}.{protocol}.parquet"
        write_samples(table, path, shuffled=shuffled, last=last)
    return {protocol: summarize(table) for protocol, table in tables.items()}


def write_predictions(
    params: Params, name: str, dataset: ExpressionDataset, predictions: list[bytes]
) -> None:
    """Write the resized predictions of a split, in its order."""
    table = dataset.table.select(["ref_id", "sentence"]).combine_chunks()
    side = pa.array([params.image_size] * len(dataset), pa.int32())
    columns = {
        "ref_id": table["ref_id"],
        "sentence": table["sentence"],
        "prediction": pa.array([counts.decode() for counts in predictions]),
        "height": side,
        "width": side,
    }
    with atomic_write(params.run_dir(name) / "predictions.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def predict(
    model: nn.Module,
    dataset: ExpressionDataset,
    batch_size: int,
    device: torch.device,
    *,
    text_rows: np.ndarray | None = None,
    workers: int = 0,
    label: str | None = None,
    ranks: Ranks | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield (rows, logits (B, 2, S, S)), batches fixed by index: batch i holds the rows from i * batch_size on.

    Of several processes each takes every world-th batch, in order: neighbours in a split are alike in size, so all have
    the same to do.

    Args:
        model: called as model(image, input_ids, attention_mask), in eval mode while this runs.
        dataset: the split.
        batch_size: samples a batch.
        device: where the model is.
        text_rows: the row whose sentence goes with image i, to shuffle sentences between images; None: its own.
        workers: processes that decode images; 0: this one.
        label: of a progress display, in process 0; None for none.
        ranks: the processes that share the split; None: this one takes all of it.
        stopped: asked before each batch.

    Raises:
        EvaluationStopped: `stopped` said so in this process. `evaluate` tells the others.
    """
    rank, world = (ranks.rank, ranks.world) if ranks else (0, 1)
    firsts = range(rank * batch_size, len(dataset), world * batch_size)
    share = sum(min(batch_size, len(dataset) - first) for first in firsts)
    shared = f" (process 1 of {world})" if world > 1 else ""
    shown = Progress(f"{label}{shared}", share, "expressions") if label and rank == 0 else None
    rows_of_text = np.arange(len(dataset)) if text_rows is None else text_rows
    was_training = model.training
    model.eval()
    try:
        with shown or nullcontext():
            for batch in batches_in_order(
                dataset, batch_size, rank=rank, world=world, workers=workers, device=device
            ):
                if stopped():
                    raise EvaluationStopped
                rows: list[int] = batch["index"].tolist()
                text = torch.from_numpy(rows_of_text[rows])
                with torch.inference_mode():
                    logits = model(
                        normalize(batch["image"]),
                        dataset.input_ids[text].to(device),
                        dataset.attention_mask[text].to(device),
                    )
                yield rows, logits
                if shown is not None:
                    shown.advance(units=len(rows))
    finally:
        model.train(was_training)


def evaluate(
    batches: Iterator[tuple[list[int], Tensor]],
    dataset: ExpressionDataset,
    identity: Identity,
    split: str,
    protocols: Sequence[str],
    *,
    ranks: Ranks | None = None,
) -> tuple[Tables, list[bytes]]:
    """Score predictions; every process gets the result of all.

    Args:
        batches: rows of the split and their logits, as `predict` yields them.
        dataset: the split.
        identity: the constant columns.
        split: "train", "val" or "test".
        protocols: "resized", "native" or both; scored from the same logits.
        ranks: the processes that share the split, as given to `predict`; all of them call this.

    Returns:
        The per-sample table of each protocol, and the resized predictions as COCO RLE counts, in the split's order.

    Raises:
        EvaluationStopped: one process was stopped; raised in all of them.
        HarnessError: one could not decode a sample; raised in all of them.
    """
    own: list[Scored] | Exception
    try:
        own = [scored for rows, logits in batches for scored in score_batch(rows, logits, dataset, protocols)]
    except (EvaluationStopped, HarnessError) as error:
        own = error  # told to the others, which would wait for this one's rows
    everything: list[Scored] = []
    for share in ranks.gather(own) if ranks else [own]:
        if isinstance(share, HarnessError) and ranks:
            ranks.end(share)
        if isinstance(share, Exception):
            raise share
        everything += share
    everything.sort(key=lambda scored: scored.row)
    if [scored.row for scored in everything] != list(range(len(dataset))):
        raise ValueError(f"{len(everything)} rows were predicted, not each of the {len(dataset)} rows once")
    tables = {
        protocol: sample_table(
            [scored.measured[protocol] for scored in everything], dataset, identity, split, protocol
        )
        for protocol in protocols
    }
    return tables, [scored.prediction for scored in everything]


def sample_table(
    scores: list[dict[str, float]], dataset: ExpressionDataset, identity: Identity, split: str, protocol: str
) -> pd.DataFrame:
    """Join measured columns with the split's own."""
    described = dataset.table.select(["image_id", "ref_id", "sentence", "category", "cluster_id"]).to_pandas()
    constant = {
        "model": identity.model,
        "variant": identity.variant,
        "seed": identity.seed,
        "split": split,
        "protocol": protocol,
        "dataset": identity.dataset,
    }
    whole = pd.concat([described, pd.DataFrame(scores)], axis=1).assign(**constant)
    table: pd.DataFrame = whole[SCHEMA.names]
    return table


def shuffled_rows(count: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of range(count) without a fixed point: every image gets another image's sentence."""
    order = rng.permutation(count)
    rows = np.empty(count, dtype=np.int64)
    rows[order] = np.roll(order, 1)
    return rows
