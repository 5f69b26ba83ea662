"""What a training is made from: settings, data, code. A checkpoint made from something else is not continued."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.config import Params
from harness.data.text import tokenizer_file
from harness.errors import HarnessError
from harness.registry import MODELS
from harness.training.recipe import RELEASED

# The harness's own code that a result depends on: not the display, say, nor how processes are started.
HARNESS = (
    "training/checkpoint.py",
    "training/distributed.py",
    "training/loop.py",
    "training/losses.py",
    "training/numerics.py",
    "training/optimizer.py",
    "training/plan.py",
    "training/recipe.py",
    "training/step.py",
    "weights",
    "models.py",
    "evaluation.py",
    "scoring.py",
    "metrics.py",
    "data/dataset.py",
    "data/loader.py",
    "data/resize.py",
)
# What of `training` may change between two parts of a run, as the number of processes may: a run that goes on with
# fewer samples at once is still the same run, though its batch norm then takes statistics over fewer.
FREE = ("micro_batch", "workers", "checkpoint_every", "curve_every", "tensorboard", "timeout")


def fingerprint(params: Params, name: str, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Describe what the run `name` is trained from: one entry a setting, a file of data, a file of code."""
    import torch

    run = params.runs[name]
    sections: dict[str, Any] = {
        "runs": {name: run.model_dump(exclude={"weights"})},
        "variants": {run.variant: params.variants[run.variant].model_dump()},
        "recipe": dict(recipe),
        "training": params.training.model_dump(exclude=set(FREE)),
        "evaluation": {"batch_size": params.evaluation.batch_size},
        "preset": params.preset,
        "image_size": params.image_size,
        "text": params.text.model_dump(),
    }
    return {
        **{key: json.dumps(value, default=str) for key, value in _flat(sections)},
        **{f"data/{path.name}": _digest(path) for path in data_files(params)},
        **{f"code/{label}": _digest(path) for label, path in _code(params.variants[run.variant].model)},
        "torch": str(torch.__version__),
    }


def data_files(params: Params) -> list[Path]:
    """The prepared files that a training reads."""
    return [params.split_file("train"), params.split_file("val"), tokenizer_file(params)]


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What differs between two fingerprints, in words: "training.epochs was 2, is 3"; "code/mafn/model.py"."""
    lines = []
    for key in sorted(found.keys() | wanted.keys()):
        before, now = found.get(key), wanted.get(key)
        if before == now:
            continue
        if key.startswith(("code/", "data/")):
            lines.append(
                key if None not in (before, now) else f"{key} ({'new' if before is None else 'gone'})"
            )
        else:
            lines.append(f"{key} was {before or 'not set'}, is {now or 'not set'}")
    return lines


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _code(model: str) -> Iterator[tuple[str, Path]]:
    """The source files of a training: of the harness, of `baselines`, and of the package that the model is from."""
    here = Path(__file__).parents[1]
    for part in HARNESS:
        for path in sorted((here / part).rglob("*.py")) if (here / part).is_dir() else [here / part]:
            yield path.relative_to(here.parent).as_posix(), path
    for package in sorted({"baselines", _package(model)}):
        source = _source(package)
        if source is not None:
            folder = source if source.is_dir() else source.parent
            for path in sorted(folder.rglob("*.py")) if source.is_dir() else [source]:
                yield f"{package}/{path.relative_to(folder).as_posix()}", path


def _package(model: str) -> str:
    """The importable package that a model's factory is in."""
    return MODELS.entry(model).value.split(":")[0].split(".")[0]


def _source(package: str) -> Path | None:
    """The folder of a package, or the file of a module that stands alone."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def unwatched(params: Params, name: str) -> str | None:
    """What to say where DVC would not see a change in the code of a run's network; None where it would.

    The pipeline's `train` depends on our packages; another's has to be added to it.
    """
    model = params.variants[params.runs[name].variant].model
    source = None if model in RELEASED else _source(_package(model))
    try:
        stages = yaml.safe_load(Path(params.pipeline).read_text(encoding="utf-8"))["stages"]
        watched = [Path(path).resolve() for path in stages["train"]["do"]["deps"] if isinstance(path, str)]
    except (OSError, yaml.YAMLError, KeyError, TypeError):  # no pipeline of this form: not run by DVC
        return None
    if source is None or any(source.resolve().is_relative_to(path) for path in watched):
        return None
    return (
        f"{model} is imported from {source}, on which train in {params.pipeline} does not depend: after a change "
        "there `dvc repro` would not train again (docs/add_a_model.md)"
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness prepare` writes it") from None
