"""`harness compare`: models on the same expressions, metric by metric."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from harness.commands import params_option
from harness.commands.completion import sides as sides_offered

if TYPE_CHECKING:
    import pandas as pd

    from harness.comparing.bins import BinComparison
    from harness.config import Params
    from harness.statistics import Ranking

SCHEMA_VERSION = 2
FORMATS = ("table", "json", "markdown", "latex", "html")
BY_ENDING = {".txt": "table", ".json": "json", ".md": "markdown", ".tex": "latex", ".html": "html"}


def _seeds(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(dict.fromkeys(int(part) for part in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r}: whole numbers separated by commas, such as 0,1") from None


@click.command(name="compare")
@click.argument("names", metavar="A B [C]...", nargs=-1, required=True, shell_complete=sides_offered)
@click.option("--split", type=click.Choice(["val", "test"]), help="Of runs; test by default.")
@click.option("--protocol", type=click.Choice(["resized", "native"]), help="Of runs; resized by default.")
@click.option("--seeds", callback=_seeds, help="Such as 0,1; by default all that a model has.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Only this one (mIoU, P@0.5); may be repeated."
)
@click.option("--by", metavar="WHAT", help="Also by category, size, position, length or relation.")
@click.option(
    "--resamples",
    type=click.IntRange(100, 1_000_000),
    help="Of bootstrap and test; by default params.yaml's.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="By default what FILE ends in; without --out, table."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to a file."
)
@params_option
def command(
    names: tuple[str, ...],
    split: str | None,
    protocol: str | None,
    seeds: tuple[int, ...] | None,
    metrics: tuple[str, ...],
    by: str | None,
    resamples: int | None,
    form: str | None,
    out: Path | None,
    params_path: Path,
) -> None:
    """Compare evaluated models: differences, intervals, paired tests, and ranks of more than two.

    A, B, ... are models (mafn, short for mafn-full), variants (mafn-k1), single runs (mafn-s0), or per-sample results
    in files (.parquet, .csv). A model stands for all its runs.
    """
    # Before numpy comes in: products this small gain nothing from a second thread and lose much on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if len(names) < 2:
        raise click.UsageError(f"a comparison needs two models at least, not {names[0]!r} alone")
    form = form or ("table" if out is None else _of_ending(out))
    from harness.comparing.sides import is_file, read_sides, require_readable, shared_runs
    from harness.files import require_writable
    from harness.statistics import compare_all

    if out is not None:
        require_writable(out)
    require_readable(names)
    params = None
    if not all(map(is_file, names)):
        from harness.config import load_params

        params = load_params(params_path)
    sides = read_sides(params, names, split, protocol, seeds)
    options = _options(params, resamples)
    tables = {side.label: side.samples for side in sides}
    ranking = compare_all(tables, metrics=metrics or _all_metrics(), **options)
    bins = _bins(tables, by, ranking, options) if by is not None else None
    notes = list(dict.fromkeys(note for side in sides for note in side.notes))
    if len(sides) == 2 and sides[0].samples.equals(sides[1].samples):
        notes.append("A and B hold the same rows; every difference is 0 by construction.")
    else:
        notes += shared_runs(sides)
    _deliver(_render(ranking, bins, metrics, notes, form), out)


def _of_ending(out: Path) -> str:
    if out.suffix.lower() not in BY_ENDING:
        raise click.UsageError(
            f"--out {out}: name it {', '.join(f'*{ending}' for ending in BY_ENDING)}, or choose a --format"
        )
    return BY_ENDING[out.suffix.lower()]


def _all_metrics() -> tuple[str, ...]:
    from harness.metrics import METRICS

    return METRICS


def _options(params: "Params | None", resamples: int | None) -> dict[str, Any]:
    """The arguments of `compare` but for the tables."""
    if params is None:
        return {"n_resamples": resamples or 10_000, "n_permutations": resamples}
    settings = params.statistics
    return {
        "n_resamples": resamples or settings.resamples,
        "n_permutations": resamples or settings.permutations,
        "seed": settings.seed,
        "confidence": settings.confidence,
    }


def _bins(
    tables: "Mapping[str, pd.DataFrame]", by: str, ranking: "Ranking", options: Mapping[str, Any]
) -> "tuple[str, str, tuple[BinComparison, ...]]":
    from harness.comparing.bins import compare_bins, require_columns
    from harness.comparing.sheet import leading_metric

    require_columns(tables, by)
    metric = leading_metric(ranking.ranks)
    return by, metric, compare_bins(tables, by, metric, **options)


def _render(
    ranking: "Ranking",
    bins: "tuple[str, str, tuple[BinComparison, ...]] | None",
    metrics: tuple[str, ...],
    notes: list[str],
    form: str,
) -> str:
    if form == "json":
        import json

        record = ranking.to_dict()
        if len(ranking.models) == 2:
            record = ranking.comparisons[0].to_dict()
        if bins is not None:
            record["breakdown"] = {
                "by": bins[0],
                "metric": bins[1],
                "bins": [one.to_dict() for one in bins[2]],
            }
        whole = {"schema_version": SCHEMA_VERSION, **record} | ({"notes": notes} if notes else {})
        return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    from harness.comparing.formats import FORMATS as RENDERED
    from harness.comparing.sheet import make_sheet

    return RENDERED[form](make_sheet(ranking, metrics or None, notes, bins))


def _deliver(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    from harness.files import atomic_write

    with atomic_write(out) as temporary:
        temporary.write_text(click.unstyle(text), encoding="utf-8")
    click.echo(f"written: {out}", err=True)
