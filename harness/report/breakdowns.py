"""Table I's models within bins of the test expressions: by category, size, position, length and words of relation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.breakdowns import BREAKDOWNS, NO_OBJECT, POSITIONS
from harness.report.figures import ACCENT, MUTED, PAPER, RULE, canvas, inline
from harness.report.inputs import Bin, Measure
from harness.report.wording import interval, listing, number

if TYPE_CHECKING:
    from harness.report.sections import Inputs

METRICS = ("mIoU", "oIoU")
FEW = 30  # expressions; with fewer in a bin one of them moves its mIoU by up to three points
PANELS = 4  # models side by side in a figure


@dataclass(frozen=True)
class BinRow:
    """One bin with each model's metrics, in the models' order."""

    label: str
    n: int
    models: tuple[dict[str, Measure], ...]

    @property
    def few(self) -> bool:
        """Whether it holds so few expressions that chance decides much."""
        return 0 < self.n < FEW

    @property
    def size(self) -> str:
        """How many expressions it holds, in words."""
        return f"n = {self.n:,}" + (", few" if self.few else "")


@dataclass(frozen=True)
class BinnedModels:
    """One breakdown of all models that were measured."""

    key: str
    title: str
    models: tuple[str, ...]
    overall: tuple[Measure | None, ...]  # mIoU over all bins
    rows: tuple[BinRow, ...]

    @property
    def spans(self) -> tuple[str, ...]:
        """From which bin's mIoU to which each model reaches, over the bins that do not hold few expressions."""
        shown = [row for row in self.rows if row.n >= FEW]
        sentences = []
        for place, model in enumerate(self.models):
            values = [(row.models[place]["mIoU"].value, row.label) for row in shown]
            if len(values) > 1:
                (low, worst), (high, best) = min(values), max(values)
                sentences.append(f"{model}: mIoU from {number(low)} ({worst}) to {number(high)} ({best}).")
        return tuple(sentences)

    @property
    def grid(self) -> tuple[tuple[BinRow, ...], ...]:
        """The bins of the position laid out like the image, three rows of three; () for other breakdowns."""
        by_label = {row.label: row for row in self.rows}
        if self.key != "position" or not set(POSITIONS[:9]) <= set(by_label):
            return ()
        return tuple(tuple(by_label[label] for label in POSITIONS[start : start + 3]) for start in (0, 3, 6))

    @property
    def without_object(self) -> int:
        """Expressions whose true mask is empty."""
        return sum(row.n for row in self.rows if row.label == NO_OBJECT)


@dataclass(frozen=True)
class Breakdowns:
    """The section."""

    split: str
    views: tuple[BinnedModels, ...]
    missing: tuple[str, ...]  # models of Table I without breakdowns


def read_breakdowns(inputs: "Inputs", split: str = "test") -> Breakdowns:
    """Lay out statistics.json's breakdowns of Table I's models; what is missing is said, not an error."""
    statistics = inputs.statistics
    names = {variant: name for name, variant in inputs.params.tables.table1.rows.items()}
    found = {
        (one.by, one.variant): one
        for one in statistics.breakdowns
        if one.split == split and one.variant in names
    }
    views = []
    for key, breakdown in BREAKDOWNS.items():
        variants = [variant for variant in names if (key, variant) in found]
        if not variants:
            continue
        bins = [{one.label: one for one in found[key, variant].bins} for variant in variants]
        labels = dict.fromkeys(label for of_model in bins for label in of_model)
        summaries = [statistics.summary(variant, split) for variant in variants]
        views.append(
            BinnedModels(
                key,
                breakdown.title,
                tuple(names[variant] for variant in variants),
                tuple(summary.metrics.get("mIoU") if summary else None for summary in summaries),
                tuple(_row(label, [of_model.get(label) for of_model in bins]) for label in labels),
            )
        )
    there = {variant for _, variant in found}
    return Breakdowns(
        split, tuple(views), tuple(name for variant, name in names.items() if variant not in there)
    )


def _row(label: str, bins: Sequence[Bin | None]) -> BinRow:
    return BinRow(
        label,
        max(one.n for one in bins if one is not None),
        tuple(one.metrics if one is not None else {} for one in bins),
    )


def breakdowns_context(inputs: "Inputs") -> dict[str, Any]:
    """What the template _breakdowns.html.j2 needs."""
    from markupsafe import Markup

    found = read_breakdowns(inputs)
    return {
        "breakdowns": found,
        "breakdown_figures": {view.key: Markup(dot_plot(view)) for view in found.views},
        "breakdowns_missing": listing(list(found.missing)) if found.missing else "",
        "few": FEW,
    }


def dot_plot(view: BinnedModels) -> str:
    """The mIoU of each bin with its interval: a panel a model, a line a bin with its n; all panels share both axes."""
    columns = min(PANELS, len(view.models))
    lines = -(-len(view.models) // columns)
    height = 0.6 + lines * (0.45 + 0.22 * len(view.rows))
    with canvas(9.2, height, lines, columns) as (figure, axes):
        figure.subplots_adjust(
            left=0.25,
            right=0.99,
            top=1 - 0.3 / height,
            bottom=0.5 / height,
            wspace=0.08,
            hspace=0.42 / (0.22 * len(view.rows)),
        )
        values: list[float] = []
        described = []
        for place, (axis, model) in enumerate(zip(axes, view.models, strict=False)):
            axis.set_title(model)
            if (overall := view.overall[place]) is not None:
                axis.axvline(overall.value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
                values.append(overall.value)
            told = []
            for position, row in enumerate(view.rows):
                measure = row.models[place].get("mIoU")
                if measure is None:
                    continue
                bounds = measure.interval or (measure.value, measure.value)
                values += [*bounds, measure.value]
                axis.plot(bounds, (-position, -position), color=ACCENT, linewidth=1.6)
                face = PAPER if row.few else ACCENT
                mark: dict[str, Any] = {"markerfacecolor": face, "markeredgecolor": ACCENT}
                axis.plot([measure.value], [-position], "o", markersize=5, markeredgewidth=1.3, **mark)
                told.append(f"{row.label} {number(measure.value)} {interval(measure.interval)}")
            described.append(f"{model}: {', '.join(told) or 'no bin'}")
            axis.grid(axis="x", color=RULE, linewidth=0.5)
            axis.set_axisbelow(True)
            axis.tick_params(axis="y", length=0)
        for axis in axes[len(view.models) :]:
            axis.set_visible(False)
        axes[0].set_yticks([-place for place in range(len(view.rows))])
        axes[0].set_yticklabels([f"{row.label}  ({row.size})" for row in view.rows])
        axes[0].set_ylim(0.6 - len(view.rows), 0.6)
        low, high = max(min(values, default=0.0), 0.0), min(max(values, default=100.0), 100.0)
        margin = 0.04 * (high - low or 1)
        axes[0].set_xlim(low - margin, high + margin)
        figure.supxlabel("mIoU, percent", fontsize=8.5, color=MUTED, y=0.04 / height, x=0.62)
        title = f"mIoU by {view.title[0].lower()}{view.title[1:]}"
        return inline(figure, f"breakdown-{view.key}", title, "; ".join(described))
