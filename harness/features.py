"""What the four stages of a network hand to its decoder, on a few test expressions: the `features` stage.

The rows of Table II add MAFN's parts one by one. For each row the network of its variant's lowest seed runs in eval
mode on expressions that are chosen by a rule, one at a time, and of each stage's map (B, C, H, W) the L2 norm over its
channels is kept, at the stage's own grid.

A network has to say what its stages are by a method `stage_maps(image, input_ids, attention_mask)`, which returns four
tensors (B, C_i, H_i, W_i) from the finest to the coarsest. A network without it is named in the file, as is a run
that has no weights.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from harness.config import Params
from harness.data.dataset import ExpressionDataset, normalize, open_dataset
from harness.errors import HarnessError
from harness.progress import Progress
from harness.released.evaluate import network_dataset
from harness.stage_maps import STAGES, FeatureMaps, StageMap, spread_over_sizes, write_feature_maps
from harness.training.checkpoint import build_network, checkpoint_file, load_checkpoint
from harness.training.distributed import pick_device
from harness.training.numerics import set_tf32
from harness.weights import open_network

SPLIT = "test"


def extract_features(params: Params) -> Path:
    """Write features.parquet of a profile and return its path.

    Raises:
        HarnessError: the prepared data or a run's weights are damaged or do not fit params.yaml, or a network's
            `stage_maps` gives something else than four maps.
    """
    dataset = open_dataset(params, SPLIT)
    keys = list(zip(dataset.table["ref_id"].to_pylist(), dataset.sentences, strict=True))
    chosen, rule = spread_over_sizes(keys, area_shares(dataset.table), params.report.features)
    variants = tuple(dict.fromkeys(params.tables.table2.rows.values()))
    device = pick_device()
    set_tf32(False)
    maps: list[StageMap] = []
    gaps = []
    with Progress("features", len(variants), "networks") as progress:
        for variant in variants:
            found = _of_variant(params, variant, dataset, chosen, device)
            if isinstance(found, str):
                gaps.append(found)
            else:
                maps += found
            progress.advance()
    path = params.features_file
    samples = tuple(keys[row] for row in chosen)
    write_feature_maps(FeatureMaps(SPLIT, samples, rule, tuple(maps), tuple(gaps)), path)
    return path


def _of_variant(
    params: Params, variant: str, dataset: ExpressionDataset, rows: list[int], device: torch.device
) -> list[StageMap] | str:
    """The maps of a variant's first run on these rows, or why there are none."""
    seeds = {run.seed: name for name, run in params.runs.items() if run.variant == variant}
    if not seeds:
        return f"{variant}: no run of params.yaml trains it"
    name = seeds[min(seeds)]
    if not checkpoint_file(params, name).exists():
        return f"{variant}: {name} has no weights/model.safetensors"
    if params.runs[name].weights is not None:  # not trained here: sizes and tokenizer are the file's own
        network = open_network(checkpoint_file(params, name))
        model, dataset = network.network, network_dataset(params, SPLIT, network)
    else:
        model = build_network(params, params.runs[name])
        load_checkpoint(model, checkpoint_file(params, name))
    if not callable(getattr(model, "stage_maps", None)):
        return f"{variant}: the network {params.variants[variant].model!r} has no method stage_maps"
    model.to(device).eval()
    return [
        StageMap(variant, name, int(dataset.table["ref_id"][row].as_py()), dataset.sentences[row], *one)
        for row in rows
        for one in _norms(model, dataset, row, device, name)
    ]


def _norms(
    model: nn.Module, dataset: ExpressionDataset, row: int, device: torch.device, name: str
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield stage, channels and the norm (H, W) of one expression."""
    sample = dataset[row]
    with torch.inference_mode():
        stages: tuple[Tensor, ...] = model.stage_maps(  # type: ignore[operator]
            normalize(sample["image"][None].to(device)),
            sample["input_ids"][None].to(device),
            sample["attention_mask"][None].to(device),
        )
        shapes = [tuple(stage.shape) for stage in stages]
        if len(stages) != STAGES or any(len(shape) != 4 or shape[0] != 1 for shape in shapes):
            raise HarnessError(
                f"{name}: stage_maps of one image returned tensors of the shapes {shapes}; {STAGES} of (1, C, H, W) "
                "are expected"
            )
        for stage, values in enumerate(stages, 1):
            yield stage, values.shape[1], values[0].float().norm(dim=0).cpu().numpy()


def area_shares(table: pa.Table) -> list[float]:
    """The share of its image that each expression's true mask covers, from the run lengths.

    Raises:
        HarnessError: a mask is damaged.
    """
    from harness.data import Rle
    from harness.data.inspection import run_lengths

    columns = [table[name].to_pylist() for name in ("height", "width", "mask_counts", "ref_id")]
    shares = []
    for height, width, counts, ref_id in zip(*columns, strict=True):
        try:
            area = run_lengths(Rle(height, width, counts))[1::2].sum()
        except ValueError as error:
            raise HarnessError(f"the mask of ref_id {ref_id} of {SPLIT} is damaged: {error}") from None
        shares.append(float(area) / (height * width))
    return shares
