"""`harness compare`: two models on the same expressions, metric by metric."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from harness.commands import params_option
from harness.errors import HarnessError

if TYPE_CHECKING:
    import pandas as pd

    from harness.config import Params
    from harness.statistics import Comparison

SCHEMA_VERSION = 1
WIDTH = 80  # columns, on a wider terminal too: nothing here needs more


def _seeds(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r}: whole numbers separated by commas, such as 0,1") from None


@click.command(name="compare")
@click.argument("a")
@click.argument("b")
@click.option("--split", type=click.Choice(["val", "test"]), help="Of runs; test by default.")
@click.option("--protocol", type=click.Choice(["resized", "native"]), help="Of runs; resized by default.")
@click.option("--seeds", callback=_seeds, help="Such as 0,1; by default all that both models have.")
@click.option(
    "--resamples",
    type=click.IntRange(100, 1_000_000),
    help="Of bootstrap and test; by default params.yaml's.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@params_option
def command(
    a: str,
    b: str,
    split: str | None,
    protocol: str | None,
    seeds: tuple[int, ...] | None,
    resamples: int | None,
    form: str,
    params_path: Path,
) -> None:
    """Compare two evaluated models: differences, intervals and paired tests.

    A and B are models (mafn, short for mafn-full), variants (mafn-k1), single runs (mafn-s0), or per-sample tables
    (*.parquet). A model stands for all its runs.
    """
    # Before numpy comes in: products this small gain nothing from a second thread and lose much on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from harness.statistics import compare

    params = None
    if not (_is_file(a) and _is_file(b)):
        from harness.config import load_params
        from harness.statistics.evaluated import resolve

        params = load_params(params_path)

        for name in (a, b):  # a misspelt B comes before an A that is not evaluated yet
            if not _is_file(name):
                resolve(params, name)
    settings = params.statistics if params is not None else None
    sides = [_side(params, name, split, protocol, seeds) for name in (a, b)]
    comparison = compare(
        sides[0].samples,
        sides[1].samples,
        n_resamples=resamples or (settings.resamples if settings else 10_000),
        n_permutations=resamples or (settings.permutations if settings else 10_000),
        seed=settings.seed if settings else 0,
        confidence=settings.confidence if settings else 0.95,
        seeds="all" if any(side.trivial for side in sides) else "common",
    )
    if form == "json":
        import json

        print(
            json.dumps(
                {"schema_version": SCHEMA_VERSION, **comparison.to_dict()}, indent=1, ensure_ascii=False
            )
        )
    else:
        notes = list(dict.fromkeys(note for side in sides for note in side.notes))
        if sides[0].samples.equals(sides[1].samples):
            notes.append("A and B hold the same rows; every difference is 0 by construction.")
        _print_table(comparison, [side.label for side in sides], notes)


@dataclass(frozen=True)
class _Side:
    """A or B as found on disk."""

    label: str
    samples: "pd.DataFrame"
    trivial: bool
    notes: tuple[str, ...]  # what the reader must know about what was left out


def _is_file(name: str) -> bool:
    return name.endswith(".parquet")


def _side(
    params: "Params | None", name: str, split: str | None, protocol: str | None, seeds: tuple[int, ...] | None
) -> _Side:
    if params is None or _is_file(name):
        return _file_side(name, split, protocol, seeds)
    return _run_side(params, name, split or "test", protocol or "resized", seeds)


def _file_side(name: str, split: str | None, protocol: str | None, seeds: tuple[int, ...] | None) -> _Side:
    from harness.samples import is_last, is_shuffled, read_samples

    samples = read_samples(name)
    if seeds is not None:
        samples = samples[samples["seed"].isin(seeds)]
        if samples.empty:
            raise HarnessError(f"{name} holds no run with seed {', '.join(map(str, seeds))}")
    for column, wanted in (("split", split), ("protocol", protocol)):
        if wanted is not None and (held := set(samples[column]) - {wanted}):
            raise HarnessError(f"--{column} {wanted}, but {name} holds {', '.join(sorted(held))}")
    notes = []
    if is_shuffled(name):
        notes.append(f"{Path(name).name} was made with the sentences of other images (shuffled).")
    if is_last(name):
        notes.append(f"{Path(name).name} was made with the weights of the last step, not the best on val.")
    return _Side(name, samples, bool((samples["model"] == "trivial").all()), tuple(notes))


def _run_side(params: "Params", name: str, split: str, protocol: str, seeds: tuple[int, ...] | None) -> _Side:
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
    trivial = is_trivial(variant)
    if seeds is not None and not trivial:  # a trivial predictor has no seeds to choose from
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
    return _Side(variant, read_runs(params, evaluated, split, protocol), trivial, tuple(notes))


def _print_table(comparison: "Comparison", labels: list[str], notes: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=WIDTH, highlight=False)
    where = [comparison.dataset, comparison.split, comparison.protocol]
    console.print(Text(", ".join(part for part in where if part), style="bold"))
    for letter, label, subject in zip("AB", labels, (comparison.a, comparison.b), strict=True):
        console.print(f"  {letter}  {label}{_seeds_in_words(subject.seeds)}", markup=False, soft_wrap=True)

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("metric")
    for heading in ("A", "B", "A − B", f"{100 * comparison.confidence:g}% interval", "p", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, metric in comparison.metrics.items():
        significant = metric.p_adjusted < _alpha(comparison)
        table.add_row(
            name,
            f"{metric.a:.2f}",
            f"{metric.b:.2f}",
            f"{metric.difference:+.2f}",
            f"{metric.interval[0]:+.2f} to {metric.interval[1]:+.2f}",
            _p_value(metric.p_value),
            _p_value(metric.p_adjusted) + (" *" if significant else "  "),
            style="bold" if significant else "",
        )
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    words = Table.grid(padding=(0, 2, 0, 0))
    words.add_column(no_wrap=True)
    words.add_column()
    words.add_row(Text("Result"), Text(verdict(comparison, labels), style="bold"))
    for heading, text in (*_method(comparison).items(), *(("Note", note) for note in notes)):
        words.add_row(Text(heading), Text(text))
    console.print(Padding(words, (0, 0, 0, 2), expand=False))


def _alpha(comparison: "Comparison") -> float:
    return round(1 - comparison.confidence, 10)


def _p_value(value: float) -> str:
    return "<0.0001" if value < 0.00005 else f"{value:.4f}"


def _seeds_in_words(seeds: tuple[int, ...]) -> str:
    return f", seed{'s' if len(seeds) > 1 else ''} {_and(seeds)}" if seeds else ""


def _and(items: Any) -> str:
    *most, last = (str(item) for item in items)
    return f"{', '.join(most)} and {last}" if most else last


def verdict(comparison: "Comparison", labels: list[str]) -> str:
    """Say in one sentence what the adjusted p-values allow to say, and no more.

    Args:
        comparison: of A and B.
        labels: what A and B are called.
    """
    alpha = _alpha(comparison)
    level = f"at {alpha:g} after Holm"
    found = {name: metric for name, metric in comparison.metrics.items() if metric.p_adjusted < alpha}
    if not found:
        return f"No metric differs significantly {level}."
    higher = [name for name, metric in found.items() if metric.difference > 0]
    lower = [name for name in found if name not in higher]
    parts = [
        f"{direction} in {'all seven metrics' if len(names) == len(comparison.metrics) else _and(names)}"
        for direction, names in (("higher", higher), ("lower", lower))
        if names
    ]
    rest = "" if len(found) == len(comparison.metrics) else "; the other differences are not significant"
    subject = "A" if labels[0] == labels[1] or _is_file(labels[0]) else labels[0]
    return f"{subject} is significantly {' and '.join(parts)} {level} (*){rest}."


def _method(comparison: "Comparison") -> dict[str, str]:
    runs = max(len(comparison.a.seeds), len(comparison.b.seeds), 1)
    left_out = [
        f"{letter}'s seed{'s' if len(seeds) > 1 else ''} {_and(seeds)}"
        for letter, seeds in (("A", comparison.seeds_left_out["a"]), ("B", comparison.seeds_left_out["b"]))
        if seeds
    ]
    clusters = (
        f"in {comparison.n_clusters:,} clusters of images ({comparison.cluster})"
        if comparison.n_clusters < comparison.n
        else f"each a cluster of its own ({comparison.cluster})"
    )
    return {
        "Paired": f"on {_and(comparison.paired_on)}: {comparison.n:,} expressions, {clusters}."
        + (f" Each metric is the mean over {runs} runs." if runs > 1 else "")
        + (f" Left out, as the other has no such seed: {_and(left_out)}." if left_out else ""),
        "Interval": f"of A − B: paired bootstrap of the clusters, percentile, {comparison.resamples:,} resamples, "
        f"seed {comparison.seed}.",
        "p": f"{next(iter(comparison.metrics.values())).test}; Holm over {comparison.family}.",
        "Scope": f"{comparison.scope} on other images of this kind, not networks trained anew.",
    }
