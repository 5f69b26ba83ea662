"""What a name on the command line means: a model's evaluated runs, or a file of per-sample results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    import pandas as pd

    from harness.config import Params

FILES = (".parquet", ".csv")
RUN = ("model", "variant", "seed")  # columns that name a run


@dataclass(frozen=True)
class Side:
    """A model as found on disk."""

    label: str
    samples: "pd.DataFrame"
    notes: tuple[str, ...]  # what the reader must know about what was left out


def is_file(name: str) -> bool:
    """Whether a name means a file of per-sample results."""
    return name.lower().endswith(FILES)


def require_readable(names: Sequence[str]) -> None:
    """Refuse files that are no per-sample results: no name of a run has an ending.

    Raises:
        HarnessError: there is one.
    """
    for name in names:
        if not is_file(name) and Path(name).suffix and Path(name).is_file():
            raise HarnessError(f"{name} is no file of per-sample results: those end in {' or '.join(FILES)}")


def read_sides(
    params: "Params | None",
    names: Sequence[str],
    split: str | None,
    protocol: str | None,
    seeds: tuple[int, ...] | None,
) -> list[Side]:
    """Read what is to be compared.

    Args:
        params: the profile; not needed where all names are files.
        names: models, variants, runs or files.
        split, protocol: of runs test and resized by default; of files they are only checked.
        seeds: None: all there are.

    Raises:
        HarnessError: an unknown name, before any file is read; a missing or damaged table; more models than letters.
    """
    if len(names) > len(ascii_uppercase):
        raise HarnessError(f"{len(names)} models: at most {len(ascii_uppercase)} can be compared at once")
    if params is not None:
        from harness.statistics.evaluated import resolve

        for name in names:  # a misspelt name comes before another that is not evaluated yet
            if not is_file(name):
                resolve(params, name)
    sides = [
        _file_side(name, split, protocol, seeds)
        if params is None or is_file(name)
        else _run_side(params, name, split or "test", protocol or "resized", seeds)
        for name in names
    ]
    return _with_labels(sides, names)


def shared_runs(sides: Sequence[Side]) -> list[str]:
    """A note for every two sides that hold the same rows of a run."""
    held = [_by_run(side.samples) for side in sides]
    return [
        f"{a.label} and {b.label} share {', '.join(both)}: the difference is pulled towards 0, its tests do not hold."
        for (a, of_a), (b, of_b) in combinations(zip(sides, held, strict=True), 2)
        if (both := [name for name, rows in of_a.items() if name in of_b and rows.equals(of_b[name])])
    ]


def _by_run(samples: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """The rows of each run by its name; none where the columns that name it are missing."""
    if not set(RUN) <= set(samples):
        return {}
    return {
        f"{model}-{variant}-s{seed}": rows.reset_index(drop=True)
        for (model, variant, seed), rows in samples.groupby(list(RUN))
    }


def _with_labels(sides: list[Side], names: Sequence[str]) -> list[Side]:
    """Sides whose labels tell them apart: their own, or the names they were asked for by, with letters if need be."""
    for labels in (
        [side.label for side in sides],
        list(names),
        [f"{name} ({letter})" for name, letter in zip(names, ascii_uppercase, strict=False)],
    ):
        if len(set(labels)) == len(sides):
            break
    return [replace(side, label=label) for label, side in zip(labels, sides, strict=True)]


def _file_side(name: str, split: str | None, protocol: str | None, seeds: tuple[int, ...] | None) -> Side:
    notes = []
    if name.lower().endswith(".csv"):
        from harness.comparing.csv_tables import read_csv

        samples = read_csv(name)
    else:
        from harness.samples import is_last, is_shuffled, read_samples

        samples = read_samples(name)
        if is_shuffled(name):
            notes.append(f"{Path(name).name} was made with the sentences of other images (shuffled).")
        if is_last(name):
            notes.append(
                f"{Path(name).name} was made with the weights of the last step, not the best on val."
            )
    if seeds is not None:
        if "seed" not in samples:
            raise HarnessError(f"--seeds {','.join(map(str, seeds))}, but {name} has no column seed")
        samples = samples[samples["seed"].isin(seeds)]
        if samples.empty:
            raise HarnessError(f"{name} holds no run with seed {', '.join(map(str, seeds))}")
    for column, wanted in (("split", split), ("protocol", protocol)):
        if wanted is None:
            continue
        if column not in samples:
            raise HarnessError(f"--{column} {wanted}, but {name} has no column {column}")
        if held := set(samples[column]) - {wanted}:
            raise HarnessError(f"--{column} {wanted}, but {name} holds {', '.join(sorted(held))}")
    _require_sound(name, samples)
    return Side(Path(name).name, samples, tuple(notes))


def _require_sound(name: str, samples: "pd.DataFrame") -> None:
    """Have what is wrong with one file's rows told with its name."""
    from harness.statistics.pairing import align

    try:
        align(samples)
    except HarnessError as error:
        raise HarnessError(f"{name}: {str(error).removeprefix('unnamed: ')}") from None


def _run_side(params: "Params", name: str, split: str, protocol: str, seeds: tuple[int, ...] | None) -> Side:
    from harness.statistics.evaluated import (
        evaluate_command,
        is_trivial,
        read_runs,
        resolve,
        seed_of,
        table_path,
        variant_of,
    )

    runs = resolve(params, name)
    variant = variant_of(params, runs[0])
    if seeds is not None and not is_trivial(variant):  # a trivial predictor has no seeds to choose from
        by_seed = {seed_of(params, run): run for run in runs}
        if missing := [seed for seed in seeds if seed not in by_seed]:
            raise HarnessError(
                f"{name} has no run with seed {', '.join(map(str, missing))}; it has {', '.join(map(str, by_seed))}"
            )
        runs = tuple(by_seed[seed] for seed in seeds)
    evaluated = [run for run in runs if table_path(params, run, split, protocol).exists()]
    absent = [run for run in runs if run not in evaluated]
    if not evaluated or (absent and seeds is not None):
        commands = dict.fromkeys(evaluate_command(params, run) for run in absent)
        raise HarnessError(
            f"{', '.join(absent)}: not evaluated on {split} ({protocol}), there is no "
            f"{table_path(params, absent[0], split, protocol)}. Run\n"
            + "\n".join(f"  {line}" for line in commands)
        )
    notes = [
        f"{run} is not evaluated and left out; `{evaluate_command(params, run)}` would add it."
        for run in absent
    ]
    return Side(variant, read_runs(params, evaluated, split, protocol), tuple(notes))
