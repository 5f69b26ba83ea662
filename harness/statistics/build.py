"""statistics.json: every summary and every comparison that the report shows, from the runs on disk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal

import pandas as pd

from harness.breakdowns import BREAKDOWNS, breakdown
from harness.config import Params, Statistics
from harness.errors import HarnessError
from harness.statistics.comparison import compare
from harness.statistics.evaluated import PROTOCOL, TRIVIAL, read_runs, runs_of
from harness.statistics.ranking import compare_all
from harness.statistics.summary import summarize_runs

SCHEMA_VERSION = 2
REFERENCE_ROW = "[1,3,5]"  # of Table III: the paper's choice of kernels, against which it sets the others

Part = Literal["summaries", "comparisons", "trivial", "shuffled", "breakdowns", "rankings"]
PARTS: tuple[Part, ...] = ("summaries", "comparisons", "trivial", "shuffled", "breakdowns", "rankings")


@dataclass(frozen=True)
class Source:
    """A variant's per-sample table, all its seeds."""

    variant: str
    split: str
    protocol: str
    shuffled: bool = False


@dataclass(frozen=True)
class Entry:
    """One record of statistics.json: of a source its summary or breakdown, or its comparison with others."""

    part: Part
    a: Source
    b: Source | None = None
    by: str | None = None  # of a breakdown
    others: tuple[Source, ...] = ()  # of a ranking


def plan(params: Params) -> list[Entry]:
    """List what statistics.json holds for this profile, in its order.

    Variants that the profile has no run of are left out, and so are splits that are not under `statistics.splits`.

    Raises:
        HarnessError: Table III has rows but not the one that the others are compared with.
    """
    trained = [variant for variant in params.variants if runs_of(params, variant)]
    entries = [
        Entry("summaries", Source(variant, split, protocol))
        for variant in (*trained, *TRIVIAL)
        for split in params.statistics.splits
        for protocol in params.evaluation.protocols
    ]
    if PROTOCOL not in params.evaluation.protocols:
        return entries
    entries += [Entry("summaries", Source(variant, "test", PROTOCOL, shuffled=True)) for variant in trained]
    entries += _compared(params, trained)
    return [entry for entry in entries if entry.a.split in params.statistics.splits]


def _compared(params: Params, trained: list[str]) -> list[Entry]:
    """What is not a summary: comparisons, breakdowns and the ranking of the tables' variants."""

    def source(variant: str, split: str) -> Source:
        return Source(variant, split, PROTOCOL)

    def measured(rows: dict[str, str]) -> list[str]:
        return [variant for variant in dict.fromkeys(rows.values()) if variant in trained]

    main = measured(params.tables.table1.rows)
    pairs = [(later, earlier, split) for split in ("test", "val") for earlier, later in combinations(main, 2)]
    pairs += [(step, before, "val") for before, step in pairwise(measured(params.tables.table2.rows))]
    kernels = params.tables.table3.rows
    if kernels and REFERENCE_ROW not in kernels:
        raise HarnessError(
            f"{params.params}: tables.table3.rows has no row {REFERENCE_ROW!r}, with which the others are compared; "
            f"it has {', '.join(map(repr, kernels))}"
        )
    reference = kernels.get(REFERENCE_ROW)
    if reference in trained:
        pairs += [(variant, reference, "val") for variant in measured(kernels) if variant != reference]
    once: dict[tuple[frozenset[str], str], tuple[str, str, str]] = {}  # a pair that two tables ask for
    for a, b, split in pairs:
        once.setdefault((frozenset((a, b)), split), (a, b, split))
    entries = [Entry("comparisons", source(a, split), source(b, split)) for a, b, split in once.values()]
    entries += [
        Entry("trivial", source(a, "test"), source(trivial, "test")) for a in main for trivial in TRIVIAL
    ]
    entries += [
        Entry("shuffled", source(a, "test"), Source(a, "test", PROTOCOL, shuffled=True)) for a in main
    ]
    entries += [Entry("breakdowns", source(a, "test"), by=by) for a in main for by in BREAKDOWNS]
    if len(main) > 1:  # a later row minus an earlier one, as in `comparisons`
        last, *others = (source(variant, "test") for variant in reversed(main))
        entries.append(Entry("rankings", last, others=tuple(others)))
    return entries


def build(params: Params, *, advance: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Compute statistics.json.

    Args:
        params: the profile; its runs must have been evaluated.
        advance: called after each entry of `plan`, for a progress display.

    Returns:
        Plain dicts, lists, numbers and strings: schema_version, profile, dataset, settings, and the lists of PARTS.

    Raises:
        HarnessError: a table is missing, damaged or does not fit the others.
    """
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    for part, record in _records(params):
        parts[part].append(record)
        advance()
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": params.profile,
        "dataset": params.data.dataset,
        "settings": params.statistics.model_dump(exclude={"splits"}),
        **parts,
    }


def _records(params: Params) -> Iterator[tuple[Part, dict[str, Any]]]:
    settings = params.statistics
    tables: dict[Source, pd.DataFrame] = {}

    def table(source: Source) -> pd.DataFrame:
        if source not in tables:
            runs = runs_of(params, source.variant)
            tables[source] = read_runs(params, runs, source.split, source.protocol, shuffled=source.shuffled)
        return tables[source]

    for entry in plan(params):
        a = table(entry.a)
        b = table(entry.b) if entry.b else None
        others = {other.variant: table(other) for other in entry.others}
        try:
            if b is not None:
                record = _comparison(entry, a, b, settings)
            elif others:
                record = _ranking(entry, {entry.a.variant: a, **others}, settings)
            elif entry.by is not None:
                record = _breakdown(entry, entry.by, a, settings)
            else:
                record = _summary(entry, a, settings)
        except HarnessError as error:
            raise HarnessError(f"{_in_words(entry)}: {error}") from error
        yield entry.part, record


def _summary(entry: Entry, samples: pd.DataFrame, settings: Statistics) -> dict[str, Any]:
    return summarize_runs(
        samples,
        condition="shuffled" if entry.a.shuffled else "sentence",
        n_resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
    ).to_dict()


def _comparison(entry: Entry, a: pd.DataFrame, b: pd.DataFrame, settings: Statistics) -> dict[str, Any]:
    return compare(
        a,
        b,
        n_resamples=settings.resamples,
        n_permutations=settings.permutations,
        seed=settings.seed,
        confidence=settings.confidence,
    ).to_dict()


def _breakdown(entry: Entry, by: str, samples: pd.DataFrame, settings: Statistics) -> dict[str, Any]:
    bins = breakdown(
        samples,
        by,
        n_resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
    )
    model, _, variant = entry.a.variant.partition("-")
    return {
        "model": model,
        "variant": variant,
        "seeds": sorted(int(seed) for seed in samples["seed"].unique()),
        "split": entry.a.split,
        "protocol": entry.a.protocol,
        "by": by,
        "bins": [one.to_dict() for one in bins],
    }


def _ranking(entry: Entry, tables: dict[str, pd.DataFrame], settings: Statistics) -> dict[str, Any]:
    found = compare_all(
        tables,
        n_resamples=settings.resamples,
        n_permutations=settings.permutations,
        seed=settings.seed,
        confidence=settings.confidence,
    )
    return {"split": entry.a.split, "protocol": entry.a.protocol, **found.to_dict()}


def _in_words(entry: Entry) -> str:
    against = f" against {entry.b.variant}{', shuffled' if entry.b.shuffled else ''}" if entry.b else ""
    against += f" and {', '.join(other.variant for other in entry.others)}" if entry.others else ""
    against += f" by {entry.by}" if entry.by else ""
    return f"{entry.part}, {entry.a.variant}{against} on {entry.a.split} ({entry.a.protocol})"
