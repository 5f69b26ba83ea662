"""Breakdowns: the metrics of one model within groups of expressions, each with its n and its intervals.

The groups of a breakdown are bins that do not overlap and leave no expression out, so the n of the bins add up, the
oIoU of the whole is the ratio of their summed I and U, and its mIoU is their mean weighted by n. Bins are fixed, not
quantiles of a table: the same expression lies in the same bin for every model.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import HarnessError, suggestion
from harness.metrics import METRICS, summarize
from harness.statistics.summary import summarize_runs

NO_OBJECT = "no object"  # an empty true mask: it has no size and no place, and scores 0 whatever is predicted

SIZE_EDGES = (0.001, 0.005, 0.02, 0.1)
"""Shares of the image, the larger bin's from the edge on.

Squares of these sizes have sides of 15, 34, 68 and 152 pixels at an input of 480 (25, 57, 113 and 253 in RRSIS-D's
images of 800): one cell of a backbone's feature map at stride 16, then one, two and nearly five cells of its last one,
at stride 32. RRSIS-D reaches from single vehicles to airports and golf fields.
"""
SIZES = (NO_OBJECT, "under 0.1%", "0.1-0.5%", "0.5-2%", "2-10%", "10% and more")

POSITIONS = (
    *("top left", "top", "top right"),
    *("left", "centre", "right"),
    *("bottom left", "bottom", "bottom right"),
    NO_OBJECT,
)

LENGTH_EDGES = (5, 8, 11)
"""Words: a noun with its attributes ("the small red ship") has up to four, with a place in the image ("the ship on the
upper left") five or more, with another object ("the ship on the left of the harbor") eight or more."""
LENGTHS = ("up to 4", "5-7", "8-10", "11 and more")

RELATIONS = ("none", "absolute position", "relation to an object", "comparison")

# Alternatives of regular expressions over the words of a sentence, in lower case with one space between them.
DIRECTIONS = (
    "left|right|top|bottom|upper|lower|middle|center|centre|central|north|south|east|west|northeast|northwest|"
    "southeast|southwest|northern|southern|eastern|western"
)
PLACES = "sides?|corners?|edges?|borders?"
PARTS = "part|half|area|portion|section|region|quarter|third|end|hand"  # after a direction: "left part"
IMAGE = "images?|pictures?|photos?|photographs?|scene|frame|view"
BEFORE_IMAGE = "the|this|that|a|an|whole|entire|full|aerial|satellite|overhead|remote|sensing"
TO_AN_OBJECT = (
    "above|below|beneath|under|underneath|over|behind|beyond|between|among|besides?|near|nearby|adjacent|neighbou?ring|"
    "opposite|facing|parallel|around|surrounded|surrounding|along|alongside|across|inside|outside|within|next to|"
    "close to|closest to|nearest to|far from|farthest from|furthest from|away from|front of|side by side|connected to|"
    "attached to"
)
COMPARISONS = (
    "than|most|least|more|less|largest|larger|biggest|bigger|smallest|smaller|longest|longer|shortest|shorter|tallest|"
    "taller|highest|higher|lowest|widest|wider|narrowest|narrower|thickest|thicker|thinnest|thinner|brightest|brighter|"
    "darkest|darker|lightest|lighter|closest|closer|nearest|nearer|farthest|farther|furthest|further|leftmost|"
    "rightmost|topmost|uppermost|bottommost|lowermost|northernmost|southernmost|easternmost|westernmost"
)
# "left of the harbor", "upper left part of the harbor", "side of the road", but not "middle of the top of the image".
_OF_AN_OBJECT = (
    rf"(?:(?:{DIRECTIONS})(?: (?:{PARTS}))?|{PLACES}|ends?) of "
    rf"(?!(?:(?:of|{BEFORE_IMAGE}|{DIRECTIONS}|{PLACES}|{PARTS}) )*(?:{IMAGE})\b)"
)
_KINDS = (  # the first one that a sentence has
    ("relation to an object", re.compile(rf"\b(?:(?:{TO_AN_OBJECT})\b|{_OF_AN_OBJECT})")),
    ("comparison", re.compile(rf"\b(?:{COMPARISONS})\b")),
    ("absolute position", re.compile(rf"\b(?:{DIRECTIONS}|{PLACES})\b")),
)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Breakdown:
    """One way to group expressions."""

    name: str
    title: str
    bins: tuple[str, ...] | None  # in their order; None: the values found, sorted
    columns: tuple[str, ...]  # of the per-sample table, that decide the bin
    label: Callable[[pd.DataFrame], pd.Series]  # a table's bin labels, with the table's index


@dataclass(frozen=True)
class BinMetric:
    """One metric of a bin, in percent."""

    value: float  # mean over the seeds
    interval: tuple[float, float] | None  # None: fewer than two clusters, nothing to resample
    per_seed: tuple[float, ...]


@dataclass(frozen=True)
class Bin:
    """One group of expressions."""

    label: str
    n: int  # expressions, however many seeds there are
    n_clusters: int
    metrics: dict[str, BinMetric]  # by the names of METRICS; empty where n = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the record in statistics.json."""
        return {
            "label": self.label,
            "n": self.n,
            "n_clusters": self.n_clusters,
            "metrics": {
                name: {
                    "value": found.value,
                    "interval": None if found.interval is None else list(found.interval),
                    "per_seed": list(found.per_seed),
                }
                for name, found in self.metrics.items()
            },
        }


def words(sentence: str) -> list[str]:
    """The words of a sentence in lower case: runs of letters and digits, so that "top-left" is two."""
    return _WORD.findall(sentence.lower())


def relation(sentence: str) -> str:
    """Which words of relation a sentence holds, one of RELATIONS.

    - "relation to an object": a preposition of TO_AN_OBJECT, or a direction or place "of" something that is not the
      image ("on the left of the harbor", "at the side of the road");
    - "comparison": a comparative or superlative of COMPARISONS ("the largest ship", "the rightmost ship");
    - "absolute position": a word of DIRECTIONS or PLACES ("on the upper left", "in the middle of the image");
    - "none": no such word.

    Of several kinds the first in this order counts: it asks most of a network, which has to find another object, then
    all objects of the kind, then the object alone. Whole words count, in any case; grammar is not parsed, and words
    with many other uses (in, on, at, by, with) are in no list.
    """
    text = " ".join(words(sentence))
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), "none")


def bin_of(samples: pd.DataFrame, by: str) -> pd.Series:
    """Return the bin of each row of a per-sample table.

    Args:
        samples: a per-sample table with the columns of `BREAKDOWNS[by]`.
        by: a key of BREAKDOWNS. Size and position are those of the true mask under the table's protocol: resizing
            moves a few masks over an edge and may leave none of the smallest.

    Returns:
        Categorical, with the index of `samples`; the categories are the bins in their order, also those without rows.

    Raises:
        HarnessError: unknown `by`; a missing column or value; a share or centre outside of 0 to 1.
    """
    if by not in BREAKDOWNS:
        raise HarnessError(
            f"there is no breakdown by {by!r}.{suggestion(by, list(BREAKDOWNS))} Breakdowns: {', '.join(BREAKDOWNS)}"
        )
    chosen = BREAKDOWNS[by]
    _require(samples, chosen.columns)
    labels = chosen.label(samples)
    bins = sorted(labels.unique()) if chosen.bins is None else chosen.bins
    return pd.Series(
        pd.Categorical(labels, categories=bins, ordered=chosen.bins is not None), samples.index, name=by
    )


def breakdown(
    samples: pd.DataFrame,
    by: str,
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    cluster: str = "cluster_id",
    confidence: float = 0.95,
) -> list[Bin]:
    """Compute one model's metrics within each bin of a breakdown.

    A bin's intervals are from a bootstrap of the clusters that have an expression in it. They hold for this bin: the
    overlap of two bins' intervals is no test of a difference between them.

    Args:
        samples: a per-sample table of one model with one or several seeds.
        by: a key of BREAKDOWNS.
        n_resamples, seed, cluster, confidence: as for `harness.statistics.summary.summarize_runs`.

    Returns:
        The bins in their order. One without expressions has n = 0 and no metrics; one whose expressions all lie in one
        cluster has values without intervals.

    Raises:
        HarnessError: as for `bin_of`; several models, datasets, splits or protocols; an expression that does not occur
            once with each seed, always in the same bin.
    """
    keys = ["ref_id", "sentence"]
    labels = bin_of(samples, by)
    _require(samples, ("seed", *keys, "intersection", "union", cluster))
    for name in ("seed", *keys, cluster):
        _complete(samples, name)
    for name in ("model", "variant", "dataset", "split", "protocol"):
        if name in samples and samples[name].nunique(dropna=False) > 1:
            raise HarnessError(
                f"the per-sample table mixes several values of {name}; break down one at a time"
            )
    seeds = samples["seed"].nunique()
    expressions = samples[keys].assign(bin=labels).drop_duplicates()
    if samples.duplicated(["seed", *keys]).any() or len(samples) != len(expressions) * seeds:
        raise HarnessError(
            f"{len(samples)} rows of the per-sample table are not {len(expressions)} expressions once with each of "
            f"{seeds} seeds, always in the same bin; evaluate all runs on the same data"
        )
    bins = []
    for label in labels.cat.categories:
        part = samples[labels == label]
        n, n_clusters = len(part) // max(seeds, 1), part[cluster].nunique()
        if n_clusters > 1:
            summary = summarize_runs(
                part, n_resamples=n_resamples, seed=seed, cluster=cluster, confidence=confidence
            )
            found = {
                name: BinMetric(metric.value, metric.interval, metric.per_seed)
                for name, metric in summary.metrics.items()
            }
        else:
            found = _without_intervals(part)
        bins.append(Bin(label, n, n_clusters, found))
    return bins


def _without_intervals(part: pd.DataFrame) -> dict[str, BinMetric]:
    runs = [summarize(run) for _, run in part.groupby("seed")]
    per_seed = {name: tuple(run[name] for run in runs) for name in METRICS if runs}
    return {name: BinMetric(float(np.mean(values)), None, values) for name, values in per_seed.items()}


def _require(samples: pd.DataFrame, columns: tuple[str, ...]) -> None:
    if missing := [name for name in columns if name not in samples]:
        raise HarnessError(
            f"the per-sample table lacks the column {', '.join(missing)}; `harness evaluate` writes it"
        )


def _complete(samples: pd.DataFrame, column: str) -> pd.Series:
    if (gaps := samples[column].isna()).any():
        raise HarnessError(
            f"{_first(samples, gaps)} of the per-sample table has no {column}; evaluate the run again"
        )
    return samples[column]


def _share(samples: pd.DataFrame, column: str) -> pd.Series:
    """A column from 0 to 1, or NaN."""
    if (outside := (samples[column] < 0) | (samples[column] > 1)).any():
        value = samples.loc[outside, column].iloc[0]
        raise HarnessError(
            f"{_first(samples, outside)} of the per-sample table has {column} {value:g}, a share of the image that "
            "is not between 0 and 1; evaluate the run again"
        )
    return samples[column]


def _first(samples: pd.DataFrame, where: pd.Series) -> str:
    row = int(np.flatnonzero(where)[0])
    return f"row {row}" + (f" (ref_id {samples['ref_id'].iloc[row]})" if "ref_id" in samples else "")


def _category(samples: pd.DataFrame) -> pd.Series:
    return _complete(samples, "category").astype(str)


def _size(samples: pd.DataFrame) -> pd.Series:
    _complete(samples, "area_share")
    share = _share(samples, "area_share").to_numpy(float)
    number = np.where(share > 0, np.digitize(share, SIZE_EDGES) + 1, SIZES.index(NO_OBJECT))
    return pd.Series(np.array(SIZES)[number], samples.index)


def _position(samples: pd.DataFrame) -> pd.Series:
    x, y = (_share(samples, name).to_numpy(float) for name in ("center_x", "center_y"))
    thirds = (1 / 3, 2 / 3)
    number = np.where(
        np.isnan(x + y), POSITIONS.index(NO_OBJECT), 3 * np.digitize(y, thirds) + np.digitize(x, thirds)
    )
    return pd.Series(np.array(POSITIONS)[number], samples.index)


def _length(samples: pd.DataFrame) -> pd.Series:
    count = _complete(samples, "sentence").map(lambda sentence: len(words(sentence))).to_numpy(int)
    return pd.Series(np.array(LENGTHS)[np.digitize(count, LENGTH_EDGES)], samples.index)


def _relation(samples: pd.DataFrame) -> pd.Series:
    return _complete(samples, "sentence").map(relation)


BREAKDOWNS: Mapping[str, Breakdown] = MappingProxyType(
    {
        one.name: one
        for one in (
            Breakdown("category", "Category", None, ("category",), _category),
            Breakdown("size", "Share of the image that the object covers", SIZES, ("area_share",), _size),
            Breakdown("position", "Position in the image", POSITIONS, ("center_x", "center_y"), _position),
            Breakdown("length", "Words of the expression", LENGTHS, ("sentence",), _length),
            Breakdown("relation", "Words of relation", RELATIONS, ("sentence",), _relation),
        )
    }
)
