"""The report's figures: matplotlib SVG that takes the page's font and its light or dark colours."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.report.comparisons import ComparisonGroup, NamedComparison
from harness.report.inputs import Run
from harness.report.wording import interval, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins that `inline` turns into the stylesheet's variables, so that a figure follows light and dark.
INK, MUTED, RULE, PAPER, ACCENT = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper", ACCENT: "--accent"}
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (4, 1.6)),
    (0, (1.2, 1.4)),
    (0, (5, 1.5, 1.2, 1.5)),
)
POINTS = 400  # a curve is thinned to so many points: more cannot be seen


@contextmanager
def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> Iterator[tuple["Figure", "Sequence[Axes]"]]:
    """A figure of `width` x `height` inches in the one style of the report, closed afterwards."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",  # text stays text: searchable, and in the reader's font
        "svg.hashsalt": "rrsis-harness",  # ids from the content: the same figure, the same bytes
        "font.family": "DejaVu Sans",  # comes with matplotlib; wide, so the page's font has room
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.titlecolor": INK,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "lines.solid_capstyle": "round",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
        for axis in axes:
            axis.patch.set_alpha(0)
        yield figure, axes


def inline(figure: "Figure", name: str, title: str, description: str) -> str:
    """The figure as an <svg> element to stand inside HTML: no prolog, no metadata, ids of its own."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"<style.*?</style>", "", svg, flags=re.DOTALL
    )  # it would hold for the page: see .chart there
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace('xlink:href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    svg = re.sub(
        r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg class="chart" viewBox="\1" role="img">', svg, count=1
    )
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    labels = (
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    svg = svg.replace('role="img">', f'role="img" aria-labelledby="{name}-title {name}-desc">{labels}', 1)
    return re.sub(r"\n\s*\n+", "\n", svg).strip()


def forest_plot(
    groups: Sequence[ComparisonGroup], alpha: float, metric: str = "mIoU", name: str | None = None
) -> str | None:
    """Differences of one metric with their intervals, one line a comparison; None if there are none.

    Args:
        groups: the comparisons, in the order of the lines.
        alpha: level for the adjusted p-value; a filled mark is significant, a hollow one is not.
        metric: the metric that is drawn.
        name: the ids in the figure begin with it; None: "forest-" and the metric.
    """
    lines: list[str | NamedComparison] = []
    for group in groups:
        if pairs := [pair for pair in group.pairs if metric in pair.comparison.metrics]:
            lines += [group.title, *pairs]
    drawn = [line for line in lines if isinstance(line, NamedComparison)]
    if not drawn:
        return None
    width, height = 9.2, 0.55 + 0.26 * len(lines)
    letters = max(len(f"{pair.a} versus {pair.b}") for pair in drawn)
    left, right = min(0.36, (0.2 + 0.066 * letters) / width), 0.70

    def at(share: float) -> float:
        """A place on the figure, from 0 at its left edge to 1, in shares of the axes' width."""
        return (share - left) / (right - left)

    with canvas(width, height) as (figure, (axis,)):
        figure.subplots_adjust(left=left, right=right, top=1 - 0.05 / height, bottom=0.5 / height)
        axis.axvline(0, color=MUTED, linewidth=0.9)
        columns = axis.get_yaxis_transform()  # x in shares of the axes' width, y in lines
        values = [0.0]
        for position, line in enumerate(lines):
            if isinstance(line, str):
                axis.text(at(0), -position, line, transform=columns, va="center", weight="bold")
                continue
            found = line.comparison.metrics[metric]
            significant = line.significant(metric, alpha)
            color = ACCENT if significant else MUTED
            bounds = found.interval or (found.difference, found.difference)
            values += [*bounds, found.difference]
            axis.plot(bounds, (-position, -position), color=color, linewidth=1.8)
            mark: dict[str, Any] = {
                "markerfacecolor": ACCENT if significant else PAPER,
                "markeredgecolor": color,
            }
            axis.plot([found.difference], [-position], "o", markersize=6, markeredgewidth=1.5, **mark)
            word = {True: "significant", False: "not significant", None: "not tested"}[significant]
            for share, text, side in (
                (left - 0.01, f"{line.a} versus {line.b}", "right"),
                (0.755, signed(found.difference), "right"),
                (0.765, interval(found.interval), "left"),
            ):
                axis.text(at(share), -position, text, transform=columns, va="center", ha=side)
            axis.text(
                at(0.89), -position, word, transform=columns, va="center", color=INK if significant else MUTED
            )
        margin = 0.04 * (max(values) - min(values) or 1)
        axis.set_xlim(min(values) - margin, max(values) + margin)
        axis.set_ylim(0.4 - len(lines), 0.6)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(f"difference in {metric}, points")
        axis.grid(axis="x", color=RULE, linewidth=0.6)
        axis.set_axisbelow(True)
        description = "; ".join(
            f"{pair.a} versus {pair.b}: {signed(found.difference)} {interval(found.interval)}"
            for pair in drawn
            for found in [pair.comparison.metrics[metric]]
        )
        title = f"Differences in {metric} with their intervals"
        return inline(figure, name or f"forest-{metric.lower()}", title, description)


def _curve(history: pd.DataFrame, column: str) -> tuple[list[float], list[float]] | None:
    """Steps and values of a history's column without gaps, thinned; None if there is none."""
    if column not in history.columns:
        return None
    values = pd.to_numeric(history[column], errors="coerce")
    kept = pd.DataFrame({"step": pd.to_numeric(history["step"], errors="coerce"), "value": values}).dropna()
    if kept.empty:
        return None
    stride = -(-len(kept) // POINTS)
    if stride > 1:
        kept = pd.concat([kept.iloc[:-1:stride], kept.iloc[[-1]]])
    return kept["step"].tolist(), kept["value"].tolist()


def training_curves(runs: Sequence[Run], column: str, label: str) -> str | None:
    """One panel a variant: its seeds in front, all other runs faint behind; None if no run has the column.

    Args:
        runs: the runs in the order of the panels; those without a history are left out.
        column: of history.csv, "loss" or "val_mIoU".
        label: what the vertical axis shows.
    """
    curves = [
        (run, *curve)
        for run in runs
        if run.history is not None and (curve := _curve(run.history, column)) is not None
    ]
    if not curves:
        return None
    variants = list(dict.fromkeys(run.variant for run, _, _ in curves))
    columns = min(5, len(variants))
    rows = -(-len(variants) // columns)
    height = 0.5 + 1.45 * rows
    with canvas(9.2, height, rows, columns) as (figure, axes):
        figure.subplots_adjust(
            left=0.075, right=0.995, top=1 - 0.26 / height, bottom=0.46 / height, wspace=0.12, hspace=0.32
        )
        for axis, variant in zip(axes, variants, strict=False):
            others = [curve for curve in curves if curve[0].variant != variant]
            faint_steps = [*chain.from_iterable([*steps, math.nan] for _, steps, _ in others)]
            faint_values = [*chain.from_iterable([*values, math.nan] for _, _, values in others)]
            axis.plot(faint_steps, faint_values, color=RULE, linewidth=0.9)  # one path: a NaN lifts the pen
            mine = [curve for curve in curves if curve[0].variant == variant]
            for (_, steps, values), dashes in zip(mine, cycle(DASHES), strict=False):
                axis.plot(steps, values, color=ACCENT, linewidth=1.5, linestyle=dashes)
            axis.set_title(variant)
            axis.tick_params(length=2.5, width=0.7)
            axis.grid(axis="y", color=RULE, linewidth=0.5)
            axis.set_axisbelow(True)
            axis.locator_params(nbins=4)
        for axis in axes[len(variants) :]:
            axis.set_visible(False)
        for axis in axes[max(0, len(variants) - columns) : len(variants)]:
            axis.tick_params(
                labelbottom=True
            )  # the lowest panel of its column may stand above an empty place
        figure.supxlabel("step", fontsize=8.5, color=MUTED, y=0.02 / height)
        figure.supylabel(label, fontsize=8.5, color=MUTED, x=0.005)
        last = "; ".join(f"{run.name} ends at {values[-1]:.4g}" for run, _, values in curves)
        return inline(
            figure, f"curves-{column.lower().replace('_', '-')}", f"{label} over the training steps", last
        )
