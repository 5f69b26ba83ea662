"""The evaluated runs on disk: which names mean which runs, where their tables are, and reading them."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.config import Params
from harness.errors import HarnessError, suggestion
from harness.samples import read_samples

PROTOCOL = "resized"  # of the comparisons and of shuffled sentences; the released one
TRIVIAL = ("trivial-empty", "trivial-whole", "trivial-mean")  # one run each, with seed 0 and no meaning to it


def is_trivial(name: str) -> bool:
    """Whether a variant or run is a predictor that sees neither image nor sentence."""
    return name.startswith("trivial-")


def variant_of(params: Params, run: str) -> str:
    """The variant's id of a run."""
    return params.runs[run].variant if run in params.runs else run.rpartition("-s")[0]


def seed_of(params: Params, run: str) -> int:
    """The seed of a run."""
    return params.runs[run].seed if run in params.runs else 0


def runs_of(params: Params, variant: str) -> tuple[str, ...]:
    """The runs of a variant by rising seed; () for a variant that no run of the profile trains."""
    if variant in TRIVIAL:
        return (f"{variant}-s0",)
    runs = [name for name, run in params.runs.items() if run.variant == variant]
    return tuple(sorted(runs, key=lambda name: params.runs[name].seed))


def resolve(params: Params, name: str) -> tuple[str, ...]:
    """Return the runs that a name means.

    Args:
        params: the profile.
        name: a run (mafn-full-s0), a variant (mafn-k1: all its runs), or either with "-full" left out (mafn,
            mafn-s0).

    Raises:
        HarnessError: an unknown name, with the closest one and all there are, or a variant without a run.
    """
    variants = [*params.variants, *TRIVIAL]
    model, separator, seed = name.rpartition("-s")
    for candidate in (name, f"{name}-full", f"{model}-full-s{seed}" if separator else name):
        if candidate in params.runs or candidate in [f"{variant}-s0" for variant in TRIVIAL]:
            return (candidate,)
        if candidate in variants:
            if runs := runs_of(params, candidate):
                return runs
            raise HarnessError(f"{params.params} has no run of the variant {candidate}; add one under `runs`")
    for candidate in (model, f"{model}-full"):
        if separator and (runs := runs_of(params, candidate)):
            raise HarnessError(f"{params.params} has no run {name!r}; of {model} it has {', '.join(runs)}")
    if Path(name).exists():
        raise HarnessError(f"{name} is no file of per-sample results: those end in .parquet or .csv")
    short = [variant.removesuffix("-full") for variant in variants if variant.endswith("-full")]
    known = "\n".join(
        f"  {variant}, seed{'s' if len(runs) > 1 else ''} {', '.join(str(seed_of(params, run)) for run in runs)}"
        for variant in variants
        if (runs := runs_of(params, variant))
    )
    hint = suggestion(name, [*short, *variants, *params.runs]) or f" Try {' or '.join(map(repr, short[:3]))}."
    raise HarnessError(
        f"there is no model, variant or run {name!r}.{hint}\n{params.params} has, with -full understood:\n{known}"
    )


def table_path(params: Params, run: str, split: str, protocol: str, *, shuffled: bool = False) -> Path:
    """Where a run's per-sample table is; `shuffled`: evaluated with the sentences of other images."""
    return params.run_dir(run) / f"{split}{'-shuffled' if shuffled else ''}.{protocol}.parquet"


def evaluate_command(params: Params, run: str) -> str:
    """The command that writes a run's per-sample tables, and in a pipeline what that needs and is not there yet."""
    known = params.runs.get(run)
    if known is not None and known.weights is not None:
        variant = known.variant.partition("-")[2]
        return shlex.join(
            ["harness", "evaluate", "--weights", known.weights, "--name", variant, "--out", str(params.out)]
        )
    trivial = is_trivial(run)
    needed = params.split_file("test") if trivial else params.run_dir(run) / "weights" / "model.safetensors"
    if not needed.is_file() and Path(params.pipeline).is_file():
        file = "" if params.pipeline == "dvc.yaml" else f"{params.pipeline}:"
        return shlex.join(["dvc", "repro", f"{file}{'trivial' if trivial else f'evaluate@{run}'}"])
    what = "--trivial" if trivial else f"--run {run}"
    profile = "" if str(params.params) == "params.yaml" else f" --params {params.params}"
    return f"harness evaluate {what}{profile}"


def evaluated(params: Params) -> tuple[Params, dict[str, Path]]:
    """The profile with those of its runs alone that are evaluated, and of each other run a table that it lacks.

    Raises:
        HarnessError: none is.
    """
    lacking = {}
    for run in params.runs:
        splits, protocols = params.statistics.splits, params.evaluation.protocols
        tables = [(split, protocol, False) for split in splits for protocol in protocols]
        tables += [("test", PROTOCOL, True)] if "test" in splits and PROTOCOL in protocols else []
        paths = [
            table_path(params, run, split, protocol, shuffled=mixed) for split, protocol, mixed in tables
        ]
        if missing := [path for path in paths if not path.is_file()]:
            lacking[run] = missing[0]
    if len(lacking) == len(params.runs):
        if not params.trains:
            raise HarnessError(
                f"no run of {params.params} is evaluated on {' and '.join(params.statistics.splits)}; "
                f"`{evaluate_command(params, next(iter(lacking)))}` evaluates one on both splits"
            )
        raise HarnessError(f"no run of {params.params} is evaluated; `dvc repro` trains and evaluates them")
    runs = {name: run for name, run in params.runs.items() if name not in lacking}
    return params.model_copy(update={"runs": runs}), lacking


def read_run(params: Params, run: str, split: str, protocol: str, *, shuffled: bool = False) -> pd.DataFrame:
    """Read a run's per-sample table.

    Raises:
        HarnessError: the file is missing (names the command that writes it), damaged, or another run's.
    """
    path = table_path(params, run, split, protocol, shuffled=shuffled)
    if not path.exists():
        raise HarnessError(f"{path} does not exist; `{evaluate_command(params, run)}` writes it")
    samples = read_samples(path)
    model, _, variant = variant_of(params, run).partition("-")
    expected = {
        "model": model,
        "variant": variant,
        "seed": seed_of(params, run),
        "split": split,
        "protocol": protocol,
        "dataset": params.data.dataset,
    }
    for column, value in expected.items():
        found = samples[column].unique()
        if len(found) != 1 or found[0] != value:
            held = ", ".join(str(item) for item in found) or "no rows"
            raise HarnessError(
                f"{path}: {column} should be {value!r} and is {held}; `{evaluate_command(params, run)}` writes it anew"
            )
    return samples


def read_runs(
    params: Params, runs: Sequence[str], split: str, protocol: str, *, shuffled: bool = False
) -> pd.DataFrame:
    """Read the tables of several runs of one variant as one.

    Raises:
        HarnessError: as `read_run`.
    """
    tables = [read_run(params, run, split, protocol, shuffled=shuffled) for run in runs]
    return pd.concat(tables, ignore_index=True)
