"""What the report is made from: statistics.json and the runs' own files, any of which may be missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError
from pydantic.dataclasses import dataclass as validated

from harness.config import Params
from harness.errors import HarnessError
from harness.files import read_json

STATISTICS_VERSION = 2
PROTOCOL = "resized"  # the released one; the two protocols never meet in a table


@validated(frozen=True)
class Measure:
    """A metric of a variant in percent: over its seeds, with the interval, and seed by seed."""

    value: float
    interval: tuple[float, float] | None
    per_seed: tuple[float, ...]
    interval_90: tuple[float, float] | None = None


@validated(frozen=True)
class Summary:
    """The metrics of a variant on a split."""

    variant: str  # the id, <model>-<variant>
    seeds: tuple[int, ...]
    split: str
    condition: str  # "sentence", or "shuffled": the sentences of other images
    n: int
    metrics: dict[str, Measure]


@validated(frozen=True)
class Difference:
    """One metric of a comparison: a minus b in points, with both p-values."""

    a: float
    b: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    p_adjusted: float | None
    test: str
    effect: float | None = None  # Cohen's d_z
    detectable: float | None = None  # points: the smallest true difference found with a power of 80%
    wins: tuple[int, int, int] | None = None  # expressions on which a is better, equal, worse


@validated(frozen=True)
class Comparison:
    """Two variants on the same expressions."""

    a: str  # the variants' ids
    b: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    split: str
    n: int
    n_clusters: int | None
    cluster: str | None
    paired_on: tuple[str, ...]
    scope: str
    family: str
    metrics: dict[str, Difference]


@validated(frozen=True)
class Bin:
    """A model's metrics on the expressions of one bin; none where it holds no expression."""

    label: str
    n: int
    metrics: dict[str, Measure]


@validated(frozen=True)
class BrokenDown:
    """A model's metrics by one property of the expressions, whose bins leave none out."""

    variant: str
    split: str
    seeds: tuple[int, ...]
    by: str  # a key of harness.breakdowns.BREAKDOWNS
    bins: tuple[Bin, ...]


@validated(frozen=True)
class Rank:
    """A model's place by one metric, over resamples of the images."""

    variant: str
    value: float
    rank: float
    interval: tuple[float, float]
    first: float  # share of the resamples in which it is first


@validated(frozen=True)
class Ranking:
    """All pairs of several models as one family of tests, and their ranks by metric."""

    split: str
    comparisons: tuple[Comparison, ...]
    ranks: dict[str, tuple[Rank, ...]]


@validated(frozen=True)
class Statistics:
    """statistics.json, the rows of the `resized` protocol."""

    profile: str
    dataset: str
    resamples: int
    permutations: int
    seed: int
    confidence: float
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    trivial: tuple[Comparison, ...]
    shuffled: tuple[Comparison, ...]
    breakdowns: tuple[BrokenDown, ...] = ()
    rankings: tuple[Ranking, ...] = ()

    @property
    def alpha(self) -> float:
        """The level of the tests, 1 - confidence."""
        return round(1 - self.confidence, 10)

    @property
    def percent(self) -> str:
        """The confidence in words, "95%"."""
        return f"{100 * self.confidence:.10g}%"

    def summary(self, variant: str, split: str, condition: str = "sentence") -> Summary | None:
        """The metrics of a variant on a split; None where it was not measured."""
        wanted = (variant, split, condition)
        return next((s for s in self.summaries if (s.variant, s.split, s.condition) == wanted), None)

    def trivial_variants(self) -> tuple[str, ...]:
        """The ids of the trivial predictors, in the file's order."""
        return tuple(dict.fromkeys(s.variant for s in self.summaries if s.variant.startswith("trivial-")))


@dataclass(frozen=True)
class Run:
    """A network's own files; what is missing is None, and `gaps` says so in words."""

    name: str
    variant: str
    seed: int
    folder: Path
    provenance: dict[str, Any] | None = None
    history: pd.DataFrame | None = None
    gaps: tuple[str, ...] = field(default=())
    weights: str | None = None  # the file that was evaluated, where the run was not trained here

    @property
    def remarks(self) -> str:
        """What is missing, or that nothing is; of a run that was not trained here, which file it is."""
        own = () if self.weights is None else (f"not trained here: {Path(self.weights).name}",)
        return "; ".join((*own, *self.gaps)) or "complete"


def _interval(value: Any) -> tuple[float, float] | None:
    return None if value is None else (float(value[0]), float(value[1]))


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def _comparison(entry: dict[str, Any]) -> Comparison:
    sides = [f"{entry[side]['model']}-{entry[side]['variant']}" for side in "ab"]
    return Comparison(
        a=sides[0],
        b=sides[1],
        seeds=(tuple(entry["a"].get("seeds", ())), tuple(entry["b"].get("seeds", ()))),
        split=entry["split"],
        n=entry["n"],
        n_clusters=entry.get("n_clusters"),
        cluster=entry.get("cluster"),
        paired_on=tuple(entry.get("paired_on", ())),
        scope=entry.get("scope", ""),
        family=entry.get("family", ""),
        metrics={
            metric: Difference(
                a=float(m["a"]),
                b=float(m["b"]),
                difference=float(m["difference"]),
                interval=_interval(m.get("interval")),
                p_value=_optional(m.get("p_value")),
                p_adjusted=_optional(m.get("p_adjusted")),
                test=m.get("test") or "not named",
                effect=_optional(m.get("effect")),
                detectable=_optional(m.get("detectable")),
                wins=None if m.get("wins") is None else (m["wins"][0], m["wins"][1], m["wins"][2]),
            )
            for metric, m in entry["metrics"].items()
        },
    )


def _measures(metrics: dict[str, Any]) -> dict[str, Measure]:
    return {
        metric: Measure(
            float(m["value"]),
            _interval(m.get("interval")),
            tuple(m.get("per_seed", ())),
            _interval(m.get("interval_90")),
        )
        for metric, m in metrics.items()
    }


def _broken_down(entry: dict[str, Any]) -> BrokenDown:
    return BrokenDown(
        variant=f"{entry['model']}-{entry['variant']}",
        split=entry["split"],
        seeds=tuple(entry["seeds"]),
        by=entry["by"],
        bins=tuple(Bin(str(one["label"]), one["n"], _measures(one["metrics"])) for one in entry["bins"]),
    )


def _ranking(entry: dict[str, Any]) -> Ranking:
    ranks = {
        metric: tuple(
            Rank(
                one["model"],
                float(one["value"]),
                float(one["rank"]),
                (float(one["interval"][0]), float(one["interval"][1])),
                float(one["first"]),
            )
            for one in found
        )
        for metric, found in entry["ranks"].items()
    }
    return Ranking(entry["split"], tuple(map(_comparison, entry["comparisons"])), ranks)


def _summary(entry: dict[str, Any]) -> Summary:
    return Summary(
        variant=f"{entry['model']}-{entry['variant']}",
        seeds=tuple(entry["seeds"]),
        split=entry["split"],
        condition=entry.get("condition", "sentence"),
        n=entry["n"],
        metrics=_measures(entry["metrics"]),
    )


def read_statistics(path: Path) -> Statistics:
    """Read statistics.json.

    Raises:
        HarnessError: missing, damaged, of another schema version, or without a key that the tables need.
    """
    content = read_json(path, "harness statistics")
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != STATISTICS_VERSION:
        raise HarnessError(
            f"{path} has schema version {version}, this report reads {STATISTICS_VERSION}; "
            "run `harness statistics` again"
        )

    def resized(key: str) -> Iterator[dict[str, Any]]:
        return (entry for entry in content.get(key, []) if entry["protocol"] == PROTOCOL)

    try:
        settings = content["settings"]
        return Statistics(
            profile=content["profile"],
            dataset=content["dataset"],
            resamples=settings["resamples"],
            permutations=settings["permutations"],
            seed=settings["seed"],
            confidence=settings["confidence"],
            summaries=tuple(map(_summary, resized("summaries"))),
            comparisons=tuple(map(_comparison, resized("comparisons"))),
            trivial=tuple(map(_comparison, resized("trivial"))),
            shuffled=tuple(map(_comparison, resized("shuffled"))),
            breakdowns=tuple(map(_broken_down, resized("breakdowns"))),
            rankings=tuple(map(_ranking, resized("rankings"))),
        )
    except KeyError as error:
        raise HarnessError(f"{path} lacks the key {error}; run `harness statistics` again") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HarnessError(
            f"{path} holds a value of the wrong kind ({where}: {first['msg']}); run `harness statistics` again"
        ) from None
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise HarnessError(
            f"{path} holds a value of the wrong kind ({error}); run `harness statistics` again"
        ) from None


def _read_provenance(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    if not path.exists():
        return None, "was not trained, or its provenance.json is gone"
    try:
        content = read_json(path, "harness train")
    except HarnessError:
        return None, "provenance.json cannot be read as JSON"
    return (content, None) if isinstance(content, dict) else (None, "provenance.json is not a mapping")


def _read_history(path: Path) -> tuple[pd.DataFrame | None, str | None]:
    if not path.exists():
        return None, "no history.csv, so no training curve"
    try:
        history = pd.read_csv(path)
    except (ValueError, OSError):  # pandas' parser errors are ValueErrors
        return None, "history.csv cannot be read as a table"
    if history.empty or "step" not in history.columns:
        return None, "history.csv has no steps, so no training curve"
    return history, None


def read_runs(params: Params) -> tuple[Run, ...]:
    """The runs that params.yaml names, each with what its folder holds.

    Args:
        params: its `runs` are looked up under its `out`.
    """
    runs = []
    for name, planned in params.runs.items():
        folder = params.run_dir(name)
        provenance, no_provenance = _read_provenance(folder / "provenance.json")
        history, no_history = _read_history(folder / "history.csv")
        if planned.weights is not None:  # nothing was trained, so no curve is missing
            no_history, no_provenance = None, "was not evaluated" if no_provenance else None
        gaps = tuple(gap for gap in (no_provenance, no_history) if gap)
        runs.append(
            Run(name, planned.variant, planned.seed, folder, provenance, history, gaps, planned.weights)
        )
    return tuple(runs)
