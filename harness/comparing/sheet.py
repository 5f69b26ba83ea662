"""A comparison laid out: headings, grids of words and the sentences below them, the same for every format."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from string import ascii_uppercase

from harness.comparing.bins import BinComparison
from harness.metrics import METRICS
from harness.report.wording import listing, signed
from harness.statistics import Comparison, MetricComparison, Ranking
from harness.statistics.seeds import THIS_WAY

MOST_PAIRS = 3  # with more, only these metrics are shown unless others are asked for
SHORT = ("oIoU", "mIoU")


@dataclass(frozen=True)
class Row:
    """A row of a grid: its first cell is a name, the others are figures; bold where something is significant."""

    cells: tuple[str, ...]
    bold: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of words."""

    title: str | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    names: int = 1  # so many columns come first that are no figures


@dataclass(frozen=True)
class Sheet:
    """A whole comparison."""

    title: str
    subjects: tuple[tuple[str, str], ...]  # letter, model with its seeds
    grids: tuple[Grid, ...]
    words: tuple[tuple[str, str], ...]  # heading, sentence


def make_sheet(
    ranking: Ranking,
    metrics: Sequence[str] | None,
    notes: Sequence[str] = (),
    bins: tuple[str, str, Sequence[BinComparison]] | None = None,
) -> Sheet:
    """Lay out a comparison of two or more models.

    Args:
        ranking: of the models, in their order.
        metrics: those that were asked for; None: all.
        notes: what the reader must know about the models.
        bins: title of a breakdown, metric, and its bins.
    """
    first = ranking.comparisons[0]
    letters = ascii_uppercase[: len(ranking.models)]
    subjects = [first.a, *(one.b for one in ranking.comparisons[: len(letters) - 1])]
    grids = [_pair_grid(first)] if len(letters) == 2 else _many_grids(ranking, letters, metrics)
    if bins is not None:
        grids.append(_bin_grid(*bins, letters))
    return Sheet(
        title=", ".join(part for part in (first.dataset, first.split, first.protocol) if part),
        subjects=tuple(
            (letter, f"{name}{_seeds_in_words(subject.seeds)}")
            for letter, name, subject in zip(letters, ranking.models, subjects, strict=True)
        ),
        grids=tuple(grids),
        words=tuple(_words(ranking, letters, notes)),
    )


def _pair_grid(comparison: Comparison) -> Grid:
    level = f"{100 * comparison.confidence:g}% interval"
    alpha = level_of(comparison)
    return Grid(
        None,
        ("metric", "A", "B", "A − B", level, "p", "p (Holm)"),
        tuple(
            Row((name, f"{found.a:.2f}", f"{found.b:.2f}", *_figures(found, alpha)), found.p_adjusted < alpha)
            for name, found in comparison.metrics.items()
        ),
    )


def _many_grids(ranking: Ranking, letters: str, metrics: Sequence[str] | None) -> list[Grid]:
    pairs = [f"{a} − {b}" for a, b in combinations(letters, 2)]
    shown = list(ranking.ranks)
    if metrics is None and len(pairs) > MOST_PAIRS:
        shown = [metric for metric in shown if metric in SHORT]
    first = ranking.comparisons[0]
    percent = f"{100 * first.confidence:g}%"
    alpha = level_of(first)
    ranks = [
        Row(
            (
                metric,
                rank.model,
                f"{rank.value:.2f}",
                f"{rank.rank:g}",
                _span(rank.interval),
                f"{100 * rank.first:.0f}%",
            )
        )
        for metric in (["mIoU"] if metrics is None else shown)
        for rank in ranking.ranks[metric]
    ]
    differences = [
        Row((metric, pair, *_figures(one.metrics[metric], alpha)), one.metrics[metric].p_adjusted < alpha)
        for metric in shown
        for pair, one in zip(pairs, ranking.comparisons, strict=True)
    ]
    return [
        Grid("Ranks", ("metric", "model", "value", "rank", f"{percent} of ranks", "first"), tuple(ranks), 2),
        Grid(
            "Differences",
            ("metric", "pair", "difference", f"{percent} interval", "p", "p (Holm)"),
            tuple(differences),
            2,
        ),
    ]


def _bin_grid(title: str, metric: str, bins: Sequence[BinComparison], letters: str) -> Grid:
    two = len(letters) == 2
    rows = []
    for one in bins:
        values = [f"{value:.2f}" for value in one.values] if one.values else ["—"] * len(letters)
        cells = [one.label, f"{one.n:,}", *values]
        if two:
            cells += [
                "—" if one.difference is None else signed(one.difference),
                "—" if one.interval is None else interval_in_words(one.interval),
                "—" if one.p_adjusted is None else p_value(one.p_adjusted),
            ]
        rows.append(Row(tuple(cells)))
    columns = (title, "n", *letters, *(("A − B", "interval", "p (Holm)") if two else ()))
    return Grid(f"{metric} by {title}", columns, tuple(rows))


def _figures(found: MetricComparison, alpha: float) -> tuple[str, ...]:
    star = " *" if found.p_adjusted < alpha else "  "
    return (
        signed(found.difference),
        interval_in_words(found.interval),
        p_value(found.p_value),
        p_value(found.p_adjusted) + star,
    )


def leading_metric(metrics: Iterable[str]) -> str:
    """The metric that sentences speak of: mIoU, or the first where it was not asked for."""
    metrics = list(metrics)
    return "mIoU" if "mIoU" in metrics else metrics[0]


def level_of(comparison: Comparison) -> float:
    """The level of the tests, 1 - confidence."""
    return round(1 - comparison.confidence, 10)


def interval_in_words(interval: tuple[float, float]) -> str:
    """An interval of a difference, points."""
    return f"{signed(interval[0])} to {signed(interval[1])}"


def p_value(value: float) -> str:
    """A p-value with four decimals; a smaller one as a bound."""
    return "<0.0001" if value < 0.00005 else f"{value:.4f}"


def _span(interval: tuple[float, float]) -> str:
    low, high = (f"{end:g}" for end in interval)
    return low if low == high else f"{low} to {high}"


def _seeds_in_words(seeds: Sequence[int]) -> str:
    return f", seed{'s' if len(seeds) > 1 else ''} {listing([str(seed) for seed in seeds])}" if seeds else ""


def verdict(comparison: Comparison, labels: Sequence[str]) -> str:
    """Say in one sentence what the adjusted p-values allow to say, and no more.

    Args:
        comparison: of A and B.
        labels: what A and B are called.
    """
    alpha = level_of(comparison)
    level = f"at {alpha:g} after Holm"
    found = {name: metric for name, metric in comparison.metrics.items() if metric.p_adjusted < alpha}
    if not found:
        return f"No metric differs significantly {level}."
    higher = [name for name, metric in found.items() if metric.difference > 0]
    lower = [name for name in found if name not in higher]
    parts = [
        f"{direction} in {'all seven metrics' if len(names) == len(METRICS) else listing(list(names))}"
        for direction, names in (("higher", higher), ("lower", lower))
        if names
    ]
    rest = "" if len(found) == len(comparison.metrics) else "; the other differences are not significant"
    subject = "A" if labels[0] == labels[1] or "." in labels[0] else labels[0]
    return f"{subject} is significantly {' and '.join(parts)} {level} (*){rest}."


def _words(ranking: Ranking, letters: str, notes: Sequence[str]) -> list[tuple[str, str]]:
    first = ranking.comparisons[0]
    two = len(letters) == 2
    words = [("Result", verdict(first, ranking.models) if two else _order(ranking))]
    if two:
        words += _about(first)
    clusters = (
        f"in {first.n_clusters:,} clusters of images ({first.cluster})"
        if first.n_clusters < first.n
        else f"each a cluster of its own ({first.cluster})"
    )
    runs = max(len(one.seeds) for comparison in ranking.comparisons for one in (comparison.a, comparison.b))
    words.append(
        (
            "Paired",
            f"on {listing(list(first.paired_on))}: {first.n:,} expressions, {clusters}."
            + (" Each metric is the mean over a model's seeds." if runs > 1 else ""),
        )
    )
    methods = dict.fromkeys(one.interval_method for one in ranking.comparisons)
    words.append(("Interval", f"{'; '.join(methods)}; {first.resamples:,} resamples, seed {first.seed}."))
    tests: dict[str, list[str]] = {}
    for comparison in ranking.comparisons:
        for name, metric in comparison.metrics.items():
            names = tests.setdefault(metric.test, [])
            if name not in names:
                names.append(name)
    made = "; ".join(test if len(tests) == 1 else f"{_of(names)}: {test}" for test, names in tests.items())
    words.append(("p", f"{made}. Holm over {first.family}."))
    words.append(("Scope", _scope(ranking)))
    if not two:
        words.append(("Ranks", "over resamples of the images, of these trained models."))
    words += [
        ("Warning", warning)
        for warning in dict.fromkeys(w for one in ranking.comparisons for w in one.warnings)
    ]
    return words + [("Note", note) for note in notes]


def _of(names: Sequence[str]) -> str:
    return "P@t" if len(names) > 1 and all(name.startswith("P@") for name in names) else listing(list(names))


def _order(ranking: Ranking) -> str:
    metric = leading_metric(ranking.ranks)
    order = " > ".join(rank.model for rank in ranking.ranks[metric])
    alpha = level_of(ranking.comparisons[0])
    told = sum(one.metrics[metric].p_adjusted < alpha for one in ranking.comparisons)
    pairs = len(ranking.comparisons)
    return f"by {metric} {order}; {told} of {pairs} pairs differ significantly at {alpha:g} after Holm (*)."


def _about(comparison: Comparison) -> list[tuple[str, str]]:
    """Effect sizes, the second opinion, and what could have been found; of mIoU, or of what is shown in its place."""
    name = leading_metric(comparison.metrics)
    found = comparison.metrics[name]
    parts = []
    if found.wins is not None:
        parts.append(
            f"A better on {found.wins[0]:,} expressions, equal on {found.wins[1]:,}, worse on {found.wins[2]:,}"
        )
    if found.effect is not None:
        parts.append(f"Cohen's d_z {signed(found.effect)}")
    if found.wilcoxon is not None:
        second = found.wilcoxon
        parts.append(
            f"rank-biserial {signed(second.rank_biserial)} (Wilcoxon signed-rank p {p_value(second.p_value)})"
        )
    lines = [(name, "; ".join(parts) + ".")] if parts else []
    lines.append(
        ("Power", f"a true difference of {found.detectable:.2f} points in {name} is found with 80% power.")
    )
    if comparison.scope == THIS_WAY:
        fixed = found.these_models
        lines.append(
            (
                "Images",
                f"of these trained models alone: {name} {interval_in_words(fixed.interval)}, "
                f"p {p_value(fixed.p_value)}, Holm {p_value(fixed.p_adjusted)}.",
            )
        )
    return lines


def _scope(ranking: Ranking) -> str:
    scopes: Mapping[str, None] = dict.fromkeys(one.scope for one in ranking.comparisons)
    if list(scopes) == [THIS_WAY]:
        return "models trained this way, on images of this kind: seed variance is included."
    if THIS_WAY in scopes:
        return "models trained this way where both have several seeds; elsewhere these trained models."
    return "these trained models on other images of this kind, not networks trained anew: seed variance not estimated."
