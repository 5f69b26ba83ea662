"""Figures of the data card, in the style of the report."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.data.card.wording import share_text
from harness.report.figures import ACCENT, INK, PAPER, RULE, canvas, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS_A_DECADE = 4
FEWEST_CELLS, MOST_CELLS = 3, 16  # a side of the position map
MASKS_A_CELL = 3  # on average, so that a map of few masks is coarse rather than speckled
GAP = 0.0025  # around a cell, as a share of the image
LEVELS = ((0.5, 0.14), (1.0, 0.28), (2.0, 0.46), (4.0, 0.64), (8.0, 0.82), (math.inf, 1.0))
"""Upper ends of the map's steps, in multiples of an even spread, and the opacity of each."""
THIRDS = ("0", "⅓", "⅔", "1")


def size_histograms(table: pd.DataFrame, splits: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each split's name and the distribution of its masks' shares of the image, on common axes.

    Args:
        table: `harness.data.card.numbers.expression_table` of masks that have a pixel.
        splits: that have any.
    """
    first = math.floor(math.log10(table["share"].min()))
    edges = np.linspace(first, 0, -first * BINS_A_DECADE + 1) if first < 0 else np.array([-1.0, 0.0])
    shares = {split: table.loc[table["split"] == split, "share"].to_numpy() for split in splits}
    percents = {
        split: 100 * np.histogram(np.log10(values), edges)[0] / len(values)
        for split, values in shares.items()
    }
    highest = max(percent.max() for percent in percents.values())
    for split, percent in percents.items():
        median = float(np.median(shares[split]))
        with canvas(3.5, 2.05) as (figure, (axis,)):
            figure.subplots_adjust(left=0.125, right=0.95, top=0.9, bottom=0.235)
            axis.stairs(percent, edges, fill=True, color=ACCENT, alpha=0.8)
            axis.axvline(math.log10(median), color=INK, linewidth=1, linestyle=(0, (3, 2)))
            decades = np.arange(int(edges[0]), 1)[::-1][:: 2 if len(edges) > 6 * BINS_A_DECADE else 1]
            axis.set_xticks(decades, [f"{100 * 10.0 ** int(decade):g}%" for decade in decades])
            axis.set_xlim(edges[0], edges[-1])
            axis.set_ylim(0, 1.08 * highest)
            axis.set_title(f"{split}: {len(shares[split]):,} masks, median {share_text(median)}")
            axis.set_xlabel("share of the image (log scale)")
            axis.set_ylabel("% of masks")
            _quiet(axis)
            low, high = np.quantile(shares[split], [0.05, 0.95])
            described = f"Median {share_text(median)}, 90% between {share_text(low)} and {share_text(high)}"
            yield split, inline(figure, f"sizes-{split}", f"Mask sizes in {split}", described)


def length_histogram(tokens: np.ndarray, read: int) -> str:
    """Sentences by their number of tokens; hollow bars are cut.

    Args:
        tokens: of each sentence.
        read: tokens that a network reads.
    """
    from matplotlib.ticker import MaxNLocator

    last = int(min(tokens.max(), 3 * read))  # what is longer is counted in the last bar
    lengths = np.arange(int(tokens.min()), last + 1) if tokens.min() <= last else np.array([last])
    counts = np.array([(np.minimum(tokens, last) == length).sum() for length in lengths])
    lengths, counts = lengths[counts > 0], counts[counts > 0]
    kept = lengths <= read
    with canvas(4.3, 2.5) as (figure, (axis,)):
        figure.subplots_adjust(left=0.13, right=0.985, top=0.96, bottom=0.185)
        axis.bar(lengths[kept], counts[kept], width=0.78, color=ACCENT, alpha=0.8)
        axis.bar(lengths[~kept], counts[~kept], width=0.7, facecolor=PAPER, edgecolor=ACCENT, linewidth=1)
        axis.axvline(read + 0.5, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        axis.set_xlim(0, max(last, read) + 1.5)
        axis.set_ylim(0, 1.2 * counts.max())
        left, right = axis.get_xlim()
        late = read > (left + right) / 2
        axis.annotate(
            f"{read} are read", (read + 0.5, 1.13 * counts.max()), (-5 if late else 5, 0),
            textcoords="offset points", ha="right" if late else "left", va="center", color=INK, fontsize=8.5,
        )  # fmt: skip
        cropped = last < tokens.max()
        ticks = [
            int(tick) for tick in MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]).tick_values(left, right)
        ]
        axis.set_xticks([tick for tick in ticks if left <= tick < right])
        axis.set_xlabel("tokens of a sentence" + (f" (the last bar: {last} and more)" if cropped else ""))
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.set_ylabel("sentences")
        _quiet(axis)
        described = (
            f"{int((tokens > read).sum()):,} of {len(tokens):,} sentences have more than {read} tokens; "
            f"the median is {np.median(tokens):g}, the longest has {tokens.max():,}"
        )
        return inline(figure, "lengths", "Tokens of the sentences", described)


def position_maps(table: pd.DataFrame, splits: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each split's name and where in the image the centres of its masks lie.

    Args:
        table: rows with x and y.
        splits: that have any.
    """
    for split in splits:
        part = table[table["split"] == split]
        cells = min(MOST_CELLS, max(FEWEST_CELLS, math.isqrt(len(part) // MASKS_A_CELL)))
        counts, _, _ = np.histogram2d(part["x"], part["y"], bins=cells, range=[[0, 1], [0, 1]])
        density = counts * cells**2 / len(part)  # 1: an even spread
        with canvas(3.1, 3.22) as (figure, (axis,)):
            figure.subplots_adjust(left=0.15, right=0.965, top=0.925, bottom=0.14)
            _draw_cells(axis, density)
            axis.set_xlim(0, 1)
            axis.set_ylim(1, 0)  # as in the image: y grows downwards
            axis.set_aspect("equal")
            axis.set_xticks([0, 1 / 3, 2 / 3, 1], THIRDS)
            axis.set_yticks([0, 1 / 3, 2 / 3, 1], THIRDS)
            axis.spines[["top", "right"]].set_visible(True)
            axis.set_title(f"{split}: {len(part):,} masks")
            axis.set_xlabel("x, share of the width")
            axis.set_ylabel("y, share of the height", labelpad=4)
            axis.tick_params(length=2.5, width=0.7)
            column, row = np.unravel_index(counts.argmax(), counts.shape)
            described = (
                f"Centres of {len(part):,} masks in {cells} x {cells} cells; most, {int(counts.max()):,}, are in "
                f"column {column + 1} from the left, row {row + 1} from the top"
            )
            yield split, inline(figure, f"positions-{split}", f"Positions in {split}", described)


def _draw_cells(axis: "Axes", density: np.ndarray) -> None:
    """One path a step: small, and with a gap between cells that no browser draws as a seam."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    cells = len(density)
    lower = 0.0
    for upper, opacity in LEVELS:
        columns, rows = np.nonzero((density > lower) & (density <= upper))
        lower = upper
        if len(columns):
            corners = np.stack([columns, rows], axis=1) / cells
            squares = [Path(corner + _CORNERS * (1 / cells - 2 * GAP) + GAP) for corner in corners]
            axis.add_patch(
                PathPatch(Path.make_compound_path(*squares), color=ACCENT, alpha=opacity, linewidth=0)
            )


_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])


def _quiet(axis: "Axes") -> None:
    axis.tick_params(length=2.5, width=0.7)
    axis.grid(axis="y", color=RULE, linewidth=0.5)
    axis.set_axisbelow(True)
    axis.locator_params(axis="y", nbins=4)
