"""Evaluating a weights file without training: released, converted, or of a run of another machine."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tokenizers import Tokenizer

from harness.config import Params
from harness.data.dataset import ExpressionDataset
from harness.data.source import source_file
from harness.efficiency import measured_efficiency
from harness.errors import HarnessError
from harness.evaluation import EVALUATED_SPLITS, Identity, measure, write_results
from harness.files import read_json, sha256_of, write_json
from harness.provenance import Session, provenance
from harness.released.profile import (
    LOCK,
    Content,
    DataSet,
    forget_data,
    forget_profile,
    new_profile,
    prepare_once,
    read_profile,
    require_alike,
    require_data,
    with_run,
    with_splits,
    write_profile,
)
from harness.training.checkpoint import checkpoint_file, save_tensors
from harness.training.distributed import Ranks, pick_device
from harness.weights import Network, network_tokenizer, open_network
from harness.weights.tokenizer import BERT

RELEASED = "released"  # variant of weights that do not say what they are
VARIANT = re.compile(r"[a-z0-9_]+")
STAGING = ".evaluating-"


@dataclass(frozen=True)
class Request:
    """What `harness evaluate --weights` is asked for."""

    weights: Path
    out: Path  # the profile's folder
    model: str | None = None  # what the file must hold
    data: DataSet = field(default_factory=DataSet)
    splits: Sequence[str] = EVALUATED_SPLITS
    variant: str | None = None  # the run's name is <model>-<variant>-s<seed>
    tokenizer: str | None = None  # name or folder, for a file without one; bert-base-uncased
    batch_size: int | None = None


def evaluate_weights(request: Request) -> str:
    """Evaluate a weights file as a run of the profile in `request.out`, made if need be, and return the run's name.

    The network's file is opened strictly before anything is written. The run is there whole or not at all; of a
    profile whose first evaluation ends with an error nothing is left.

    Raises:
        HarnessError: the weights, the tokenizer or the data are no good, or the profile has other data, networks of
            another image size, or a run of this name from another file.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise HarnessError("--weights is evaluated by one process; start it without torchrun")
    network = open_network(request.weights, request.model)
    source = None if network.tokenizer is not None else request.tokenizer or BERT
    network = replace(network, tokenizer=network_tokenizer(network, request.weights, request.tokenizer))
    variant, seed = _identity(network, request)
    name = f"{variant}-s{seed}"
    held = read_profile(request.out)
    if held is None or (not held["runs"] and request.data.root is not None):  # before anything is written
        require_data(request.out, request.data)
    request.out.mkdir(parents=True, exist_ok=True)
    ours = not any(request.out.iterdir())  # all that will be in it
    try:
        with FileLock(request.out / LOCK, blocking=False):
            try:
                _evaluate(request, network, source, variant, name)
            except HarnessError:
                if ours:
                    forget_profile(request.out)
                raise
    except Timeout:
        raise HarnessError(f"another `harness evaluate` is writing to {request.out}; wait for it") from None
    return name


def network_dataset(params: Params, split: str, network: Network) -> ExpressionDataset:
    """A prepared split as this network takes it, by the tokenizer in it, whatever the profile's own."""
    return ExpressionDataset(
        params.split_file(split),
        _tokenizer(network),
        image_size=network.image_size,
        max_tokens=network.max_tokens,
    )


def _tokenizer(network: Network) -> Tokenizer:
    if network.tokenizer is None:
        raise HarnessError("the weights of this run lack their tokenizer; evaluate them again with --weights")
    return network.tokenizer


def _identity(network: Network, request: Request) -> tuple[str, int]:
    """The variant's id and the seed: what the file says of its run, or "released" and 0."""
    model = network.model.replace("-", "_")
    held = re.fullmatch(rf"{model}-([a-z0-9_]+)-s(\d+)", str(network.description.get("run", "")))
    variant = request.variant or (held[1] if held else RELEASED)
    if not VARIANT.fullmatch(variant):
        raise HarnessError(
            f"--name {variant}: a name has lower-case letters, digits and _; the run is called {model}-NAME-s0"
        )
    return f"{model}-{variant}", int(held[2]) if held else 0


def _evaluate(request: Request, network: Network, tokenizer: str | None, variant: str, name: str) -> None:
    started = Session.begin(0)
    for left_over in request.out.glob(f"{STAGING}*"):  # of one that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    digest = sha256_of(request.weights)
    params, content = _profile(request, network, tokenizer, digest, variant, name)
    prepare_once(params)
    content = with_run(content, name, variant, network, str(request.weights))
    planned = Params.model_validate(content)
    data = {
        split: network_dataset(planned, split, network)
        for split in EVALUATED_SPLITS
        if split in request.splits
    }
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=request.out) as staging:
        staged = planned.model_copy(update={"out": Path(staging)})
        if request.batch_size is not None:
            evaluation = planned.evaluation.model_copy(update={"batch_size": request.batch_size})
            staged = staged.model_copy(update={"evaluation": evaluation})
        about = {"file": request.weights.name, "sha256": digest, "dropped": list(network.dropped)}
        # Kept with its tokenizer, so that the run is complete wherever it is taken: features, predict, export.
        save_tensors(
            network.network.state_dict(),
            checkpoint_file(staged, name),
            _description(network) | {"weights": about},
        )
        _measure(staged, name, network, data)
        record = _record(planned, name, network, about, list(data), started)
        write_json(staged.run_dir(name) / "provenance.json", record)
        folder = planned.run_dir(name)
        if folder.exists():
            folder.rename(Path(staging) / "replaced")
        folder.parent.mkdir(exist_ok=True)
        staged.run_dir(name).rename(folder)
    evaluated = [_evaluated_splits(planned, run) for run in planned.runs]
    write_profile(with_splits(content, evaluated))


def _profile(
    request: Request, network: Network, tokenizer: str | None, digest: str, variant: str, name: str
) -> tuple[Params, Content]:
    """The profile before this run: written anew unless it has runs."""
    content = read_profile(request.out)
    if content is not None and content["runs"]:
        require_alike(content, request.data, network)
        with_run(content, name, variant, network, str(request.weights))
        params = Params.model_validate(content)
        if name in params.runs:
            _require_same_weights(params, name, request, digest)
        return params, content
    data = request.data
    if content is not None and data.root is None:  # an earlier call was broken off
        held = content["data"]
        data = DataSet(Path(held["root"]), data.reader or held["reader"], data.name or held["dataset"])
    fresh = new_profile(request.out, data, network, tokenizer, request.batch_size or 16)
    params = Params.model_validate(fresh)
    if content is not None and content != fresh:
        forget_data(params)
    write_profile(fresh)
    return params, fresh


def _require_same_weights(params: Params, name: str, request: Request, digest: str) -> None:
    held = _weights_of(params, name)
    if held.get("sha256") == digest:
        splits = " and ".join(_evaluated_splits(params, name))
        print(f"{name} was evaluated from these weights before ({splits}); this replaces it", file=sys.stderr)
    elif held:
        raise HarnessError(
            f"{params.params} has {name} already, of other weights ({held.get('file')}, SHA-256 "
            f"{str(held.get('sha256'))[:12]}; {request.weights.name} has {digest[:12]}): give these a name with "
            "--name, or another folder with --out"
        )


def _weights_of(params: Params, name: str) -> dict[str, Any]:
    path = params.run_dir(name) / "provenance.json"
    weights = read_json(path, "harness evaluate --weights")["weights"] if path.is_file() else {}
    return dict(weights)


def _evaluated_splits(params: Params, name: str) -> list[str]:
    return [
        split for split in EVALUATED_SPLITS if (params.run_dir(name) / f"{split}.resized.parquet").is_file()
    ]


def _measure(params: Params, name: str, network: Network, data: Mapping[str, ExpressionDataset]) -> None:
    """Evaluate, and write a run's files."""
    ranks = Ranks(0, 1, pick_device())
    model = network.network.to(ranks.device)
    results = measure(params, name, model, data, ranks)
    split, dataset = list(data.items())[-1]
    built = (network.model, {"vocab_size": _tokenizer(network).get_vocab_size(), **_options(network)})
    efficiency = measured_efficiency(params, name, model, built, split, len(dataset), results.watch, ranks)
    write_json(params.run_dir(name) / "efficiency.json", efficiency)
    write_results(params, name, results, data)


def _options(network: Network) -> dict[str, Any]:
    return {key: value for key, value in network.options.items() if key != "image_size"}


def _description(network: Network) -> dict[str, Any]:
    kept = {key: value for key, value in network.description.items() if key != "version"}
    return kept | {
        "model": network.model,
        "preset": network.preset,
        "options": network.options,
        "max_tokens": network.max_tokens,
        "tokenizer": _tokenizer(network).to_str(),
    }


def _record(
    params: Params,
    name: str,
    network: Network,
    weights: Mapping[str, Any],
    splits: Sequence[str],
    started: Session,
) -> dict[str, Any]:
    """provenance.json of a run without a training: no steps, no phases, no sessions."""
    described = {
        key: value
        for key, value in network.description.items()
        if isinstance(value, str | int | float) and key not in ("tokenizer", "version")
    }
    seed = params.runs[name].seed
    record = provenance(
        sessions=[started],
        seeds={"run": seed} if "run" in described else None,
        data={f"data/{split}.arrow": sha256_of(params.split_file(split)) for split in splits},
    )
    del record["sessions"]  # those of a training
    identity = Identity.of(params, name)
    return {
        "run": name,
        "model": identity.model,
        "variant": identity.variant,
        "seed": seed,
        "dataset": identity.dataset,
        "parameters": sum(parameter.numel() for parameter in network.network.parameters()),
        "weights": dict(weights),
        "described": described,  # by the file itself
        "tokens": {"max": network.max_tokens, "vocabulary": _tokenizer(network).get_vocab_size()},
        "source": read_json(source_file(params), "harness evaluate --weights")["fingerprint"],
        "evaluated": list(splits),
        **record,
    }
