"""The weights of a finished run as a folder to publish: model.safetensors and its model card.

Every figure of the card comes from the run's own files: provenance.json, the weights' description, the per-sample
tables. The front matter is what the Hugging Face hub reads.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Params
from harness.data.source import source_file
from harness.errors import HarnessError
from harness.evaluation import EVALUATED_SPLITS
from harness.files import read_json, replace_together, sha256_of
from harness.metrics import METRICS
from harness.registry import MODELS
from harness.report.wording import is_rrsisd
from harness.samples import read_samples
from harness.statistics.summary import summarize_runs
from harness.training.checkpoint import checkpoint_file, last_file
from harness.weights import Network, open_network

WEIGHTS, CARD = "model.safetensors", "README.md"
TITLES = {"lavt": "LAVT", "rmsin": "RMSIN", "mafn": "MAFN"}
PAPERS = {
    "lavt": "Yang et al., *LAVT: Language-aware vision transformer for referring image segmentation*, CVPR 2022.",
    "rmsin": "Liu et al., *Rotated multi-scale interaction network for referring remote sensing image segmentation*, "
    "CVPR 2024.",
    "mafn": "Shi and Zhang, *Multimodal-aware fusion network for referring remote sensing image segmentation*, 2024.",
}
RECIPE = {  # what of it the card shows, and how it calls it
    "learning_rate": "Learning rate",
    "batch_size": "Batch",
    "epochs": "Epochs",
    "weight_decay": "Weight decay (AdamW)",
    "cross_entropy": "Weight of the cross entropy",
    "dice": "Weight of the Dice loss",
    "black_boxes": "Black boxes on training images",
}


@dataclass(frozen=True)
class ResultTable:
    """The metrics of the weights on one split under one protocol."""

    split: str
    protocol: str
    n: int
    values: dict[str, float]  # percent, full precision
    cells: dict[str, str]  # "64.21 [62.90, 65.48]"


def export_run(
    params: Params,
    name: str,
    folder: Path,
    *,
    last: bool = False,
    licence: str = "apache-2.0",
    force: bool = False,
) -> Path:
    """Write the weights of a run and their model card, and return the folder.

    Args:
        params: the profile.
        name: of the run.
        folder: to write to.
        last: the weights after the last step, not the best on val.
        licence: of the weights, as the hub calls it.
        force: replace what an earlier export left.

    Raises:
        HarnessError: the run is not trained or not evaluated, was not trained here, or the folder has such files.
    """
    run = params.runs[name]
    if run.weights is not None:
        raise HarnessError(
            f"{name} was not trained here: {run.weights} is its authors' to publish, and their licence holds"
        )
    source = (last_file if last else checkpoint_file)(params, name)
    if not source.is_file():
        raise HarnessError(
            f"{name} is not trained, there is no {source}; `harness train --run {name}` trains it"
        )
    record = read_json(params.run_dir(name) / "provenance.json", f"harness train --run {name}")
    network = open_network(source)
    paths = [folder / WEIGHTS, folder / CARD]
    if not force and (there := [path.name for path in paths if path.exists()]):
        raise HarnessError(
            f"{folder} has {' and '.join(there)}; name another folder, or replace them with --force"
        )
    card = model_card(params, name, network, record, source, last=last, licence=licence)
    with replace_together(paths) as (weights, text):
        shutil.copyfile(source, weights)
        text.write_text(card, encoding="utf-8")
    return folder


def model_card(
    params: Params,
    name: str,
    network: Network,
    record: dict[str, Any],
    source: Path,
    *,
    last: bool,
    licence: str,
) -> str:
    """The text of README.md."""
    import jinja2

    results = list(result_tables(params, name, last=last))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    packages = list(dict.fromkeys(("rrsis-harness", MODELS.package(network.model))))
    variant = params.variants[params.runs[name].variant]
    title = TITLES.get(network.model, network.model)
    options = ", ".join(f"{key} {value}" for key, value in variant.options.items())
    cited = [
        network.model,
        *(["rmsin"] if is_rrsisd(params.data.dataset) else []),
    ]  # its paper has the data set
    papers = [PAPERS[model] for model in dict.fromkeys(cited) if model in PAPERS]
    return environment.get_template("card.md.j2").render(
        front=front_matter(params, name, network, results, licence),
        run=name,
        packages=packages,
        what=f"{title}{f' ({options})' if options else ''}, preset {network.preset}.",
        network=network,
        params=params,
        parameters=record["parameters"],
        last=last,
        dataset=params.data.dataset,
        expressions=_expressions(params),
        recipe=list(_recipe(params, record)),
        results=results,
        metrics=METRICS,
        percent=f"{100 * params.statistics.confidence:.10g}%",
        seed=params.runs[name].seed,
        drawn=params.data.synthetic is not None,
        provenance=list(_provenance(params, record, network, source)),
        citation="\n".join(f"- {paper}" for paper in papers)
        or "Cite the paper of the network, and this run's commit.",
    )


def front_matter(
    params: Params, name: str, network: Network, results: list[ResultTable], licence: str
) -> str:
    """The card's metadata, as the hub reads it, between its lines of dashes."""
    from huggingface_hub import EvalResult, ModelCardData

    data = ModelCardData(
        language="en",
        license=licence,
        library_name="rrsis-harness",
        pipeline_tag="image-segmentation",
        tags=["referring-image-segmentation", "remote-sensing", network.model],
        datasets=[params.data.dataset],
        metrics=["mIoU", "oIoU"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="image-segmentation",
                task_name="Referring remote sensing image segmentation",
                dataset_type=params.data.dataset,
                dataset_name=f"{params.data.dataset} ({table.protocol})",
                dataset_config=table.protocol,
                dataset_split=table.split,
                metric_type=metric,
                metric_name=metric,
                metric_value=round(table.values[metric], 4),
            )
            for table in results
            for metric in METRICS
        ],
    )
    return f"---\n{data.to_yaml().rstrip()}\n---\n"


def result_tables(params: Params, name: str, *, last: bool) -> Iterator[ResultTable]:
    """Yield the metrics of each split and protocol from the per-sample tables, val before test.

    Raises:
        HarnessError: a table is missing or damaged.
    """
    settings = params.statistics
    for split in EVALUATED_SPLITS:
        for protocol in ("resized",) if last else params.evaluation.protocols:
            path = params.run_dir(name) / f"{split}{'-last' if last else ''}.{protocol}.parquet"
            if not path.is_file():
                raise HarnessError(
                    f"{name} is not evaluated, there is no {path}; `harness evaluate --run {name}` writes it"
                )
            found = summarize_runs(
                read_samples(path),
                condition="sentence",
                n_resamples=settings.resamples,
                seed=settings.seed,
                confidence=settings.confidence,
            )
            yield ResultTable(
                split,
                protocol,
                found.n,
                {metric: one.value for metric, one in found.metrics.items()},
                {
                    metric: f"{one.value:.2f} [{one.interval[0]:.2f}, {one.interval[1]:.2f}]"
                    for metric, one in found.metrics.items()
                },
            )


def _expressions(params: Params) -> str:
    path = source_file(params)
    if not path.is_file():
        return ""
    counts = read_json(path, "harness data source")["expressions"]
    return f", {', '.join(f'{count:,} expressions in {split}' for split, count in counts.items())}"


def _recipe(params: Params, record: dict[str, Any]) -> Iterator[tuple[str, object]]:
    start = params.training.pretrained
    yield "Recipe", params.training.recipe
    yield "Start", "from scratch" if start is None else f"Swin {start.swin}, BERT {start.bert}"
    yield "Seed", record["seed"]
    yield "Steps", f"{record['steps']:,}, best on val after {record['best_step']:,}"
    for key, label in RECIPE.items():
        yield label, record["recipe"][key]
    yield "Precision", params.training.precision


def _provenance(
    params: Params, record: dict[str, Any], network: Network, source: Path
) -> Iterator[tuple[str, object]]:
    commit = record.get("commit") or "not recorded"
    yield (
        "Run",
        f"{record['run']}, profile {params.profile}, step {network.description.get('step', 'not recorded')}",
    )
    yield "Commit", f"{commit}{' with uncommitted changes' if record.get('dirty') else ''}"
    yield "Command", f"`{record['command']}`"
    yield "Finished", record["finished"]
    yield (
        "Device",
        f"{record['device']}, {record['processes']} process{'' if record['processes'] == 1 else 'es'}",
    )
    yield "Training", f"{record['seconds']:,.0f} s, {record['images_per_second']:,} images a second"
    versions = record.get("versions", {})
    yield (
        "Versions",
        ", ".join(f"{key} {versions[key]}" for key in ("python", "torch", "timm") if versions.get(key)),
    )
    if source_file(params).is_file():
        yield "Data, SHA-256", read_json(source_file(params), "harness data source")["fingerprint"]["sha256"]
    for file, digest in record.get("data", {}).items():
        yield f"{file}, SHA-256", digest
    yield f"{WEIGHTS}, SHA-256", sha256_of(source)
