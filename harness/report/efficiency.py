"""What each variant costs beside what it scores: parameters, operations, images a second, memory, mIoU on test."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.errors import HarnessError
from harness.files import read_json
from harness.report.figures import INK, MUTED, PAPER, RULE, canvas, inline
from harness.report.inputs import Measure, Run, Statistics
from harness.report.wording import count, interval, listing, number, significant_digits

SCHEMA_VERSION = 1  # of efficiency.json
MARKERS = ("o", "s", "D", "^", "v", "P")  # one a model, beside the label
LABEL_GAP = 0.19  # inches between two labels of a figure


@dataclass(frozen=True)
class Conditions:
    """On what something was timed; `letter` tells several apart."""

    letter: str
    text: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class CostRow:
    """A variant. Times are means over its runs, memory is the most of them.

    None where nothing is recorded, or where the variant's runs were timed under several conditions.
    """

    variant: str
    runs: int
    parameters: int | None
    gflop: float | None  # one image, forward; a multiplication and an addition are two
    evaluation_rate: float | None  # images a second, with reading and scoring
    network_rate: float | None  # images a second, forward passes alone
    evaluation_memory: float | None  # GB
    training_rate: float | None  # images a second
    training_memory: float | None  # GB
    miou: Measure | None  # on test
    evaluated_on: tuple[str, ...]  # letters of the conditions
    trained_on: tuple[str, ...]

    @property
    def model(self) -> str:
        """The part of the name before the variant's own."""
        return self.variant.split("-")[0]


@dataclass(frozen=True)
class Efficiency:
    """The section."""

    rows: tuple[CostRow, ...]
    evaluation: tuple[Conditions, ...]
    training: tuple[Conditions, ...]
    includes: str
    against_operations: str | None  # SVG
    against_rate: str | None  # SVG; None as well where rates must not be compared
    gaps: tuple[str, ...]


def read_efficiency(runs: Sequence[Run], statistics: Statistics) -> Efficiency:
    """What the runs' efficiency.json and provenance.json say; what is missing is said, not an error."""
    evaluated: dict[str, dict[str, Any]] = {}
    absent: dict[str, list[str]] = {}
    gaps = []
    for run in runs:
        found = _read(run)
        if isinstance(found, str):
            absent.setdefault(found, []).append(run.name)
        else:
            evaluated[run.name] = found
            if found.get("flops") is None:
                gaps.append(
                    f"{run.name}: operations not counted, {found.get('flops_gap') or 'no reason recorded'}"
                )
    trained = {
        run.name: run.provenance for run in runs if _positive((run.provenance or {}).get("images_per_second"))
    }
    evaluation = _conditions({name: _evaluated_on(found) for name, found in evaluated.items()})
    training = _conditions({name: _trained_on(found or {}) for name, found in trained.items()})
    rows = tuple(
        _row(variant, runs, evaluated, evaluation, training, statistics)
        for variant in dict.fromkeys(run.variant for run in runs)
    )
    protocols = dict.fromkeys(
        str(name) for found in evaluated.values() for name in found.get("protocols") or ()
    )
    return Efficiency(
        rows,
        evaluation,
        training,
        listing(list(protocols)) if protocols else "",
        cost_figure(rows, lambda row: row.gflop, "GFLOP an image", "operations", statistics.percent),
        cost_figure(
            rows,
            lambda row: row.network_rate,
            "images a second, forward passes alone",
            "rate",
            statistics.percent,
        )
        if len(evaluation) == 1
        else None,
        (*(f"{', '.join(names)}: {reason}" for reason, names in absent.items()), *gaps),
    )


def cost_figure(
    rows: Iterable[CostRow], cost: Callable[[CostRow], float | None], label: str, name: str, percent: str
) -> str | None:
    """mIoU on test against a cost, a point with its interval a variant; None if no row has both.

    The labels stand in a column beside the axes, in the order of the points' height, each tied to its point by a line.
    """
    points = [(row, x, row.miou) for row in rows if (x := cost(row)) is not None and row.miou is not None]
    if not points:
        return None
    points.sort(key=lambda point: (point[2].value, point[0].variant))
    models = list(dict.fromkeys(sorted(row.model for row, _, _ in points)))
    width, height = 9.2, max(3.4, 0.7 + LABEL_GAP * 1.3 * len(points))
    bottom, top = 0.5 / height, 1 - 0.12 / height
    with canvas(width, height) as (figure, (axis,)):
        figure.subplots_adjust(left=0.075, right=0.66, top=top, bottom=bottom)
        for row, x, measure in points:
            if measure.interval is not None:
                axis.plot((x, x), measure.interval, color=MUTED, linewidth=1.2)
            mark = MARKERS[models.index(row.model) % len(MARKERS)]
            axis.plot([x], [measure.value], mark, color=INK, markeredgecolor=PAPER, markersize=7, zorder=3)
        axis.margins(0.08)
        low, high = axis.get_ylim()
        inches = (top - bottom) * height
        wanted = [(measure.value - low) / (high - low) for _, _, measure in points]
        for (row, x, measure), place in zip(points, spread(wanted, LABEL_GAP / inches), strict=True):
            axis.annotate(
                f"{row.variant}  {number(measure.value, 1)} {interval(measure.interval, 1)}",
                (x, measure.value),
                (1.04, place),
                textcoords="axes fraction",
                va="center",
                arrowprops={
                    "arrowstyle": "-",
                    "color": MUTED,
                    "linewidth": 0.5,
                    "relpos": (0, 0.5),
                    "shrinkB": 5,
                },
            )
        axis.set_xlabel(label)
        axis.set_ylabel("mIoU on test, percent")
        axis.grid(color=RULE, linewidth=0.5)
        axis.set_axisbelow(True)
        described = "; ".join(
            f"{row.variant}: {significant_digits(x)} {label}, mIoU {number(measure.value)}"
            for row, x, measure in points
        )
        return inline(
            figure, f"cost-{name}", f"mIoU on test with its {percent} interval against {label}", described
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """The places from 0 to 1 nearest to the wanted ones, in least squares, that are at least `gap` apart.

    Args:
        wanted: rising.
        gap: no more than 1 / (the number of places - 1).
    """
    blocks: list[
        list[float]
    ] = []  # values that share a mean: pool-adjacent-violators on the wanted places less gaps
    for index, place in enumerate(wanted):
        blocks.append([place - index * gap])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    highest = 1 - gap * (len(wanted) - 1)
    starts = [min(max(fmean(block), 0.0), highest) for block in blocks for _ in block]
    return [start + index * gap for index, start in enumerate(starts)]


def _read(run: Run) -> dict[str, Any] | str:
    path = run.folder / "efficiency.json"
    if not path.exists():
        return "no efficiency.json; `harness evaluate` leaves it"
    try:
        content = read_json(path, "harness evaluate")
    except HarnessError:
        return "efficiency.json cannot be read as JSON"
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        return "efficiency.json is of another version; evaluate the run again"
    wanted = ("parameters", "images_per_second", "network_images_per_second", "peak_memory")
    if lacking := [key for key in wanted if _positive(content.get(key)) is None]:
        return f"efficiency.json has no figure for {listing(lacking)}"
    return content


def _positive(value: Any) -> float | None:
    """A number above zero; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value > 0 else None


def _evaluated_on(found: dict[str, Any]) -> str:
    return (
        f"{found.get('device') or 'a device not recorded'}, {_machine(found)}, "
        f"batches of {found.get('batch_size', 'a size not recorded')}, "
        f"{found.get('precision') or 'precision not recorded'}; "
        f"memory of {found.get('peak_memory_of') or 'what is not recorded'}"
    )


def _trained_on(found: dict[str, Any]) -> str:
    recipe = found.get("recipe")
    batch = recipe.get("batch_size") if isinstance(recipe, dict) else None
    batches = f", batches of {batch}" if batch is not None else ""
    return f"{found.get('device') or 'a device not recorded'}, {_machine(found)}{batches}"


def _machine(found: dict[str, Any]) -> str:
    processes, threads = found.get("processes"), found.get("threads")
    parts = [
        count(n, *words)
        for n, words in ((processes, ("process", "processes")), (threads, ("thread", "threads")))
        if isinstance(n, int)
    ]
    return " of ".join(parts) or "processes not recorded"


def _conditions(texts: dict[str, str]) -> tuple[Conditions, ...]:
    by_text: dict[str, list[str]] = {}
    for name, text in texts.items():
        by_text.setdefault(text, []).append(name)
    return tuple(
        Conditions(chr(ord("A") + place % 26) * (1 + place // 26), text, tuple(names))
        for place, (text, names) in enumerate(by_text.items())
    )


def _row(
    variant: str,
    runs: Sequence[Run],
    evaluated: dict[str, dict[str, Any]],
    evaluation: Sequence[Conditions],
    training: Sequence[Conditions],
    statistics: Statistics,
) -> CostRow:
    own = [run for run in runs if run.variant == variant]
    measured = [evaluated[run.name] for run in own if run.name in evaluated]
    records = [run.provenance or {} for run in own]

    def figures(entries: Sequence[dict[str, Any]], key: str) -> list[float]:
        return [value for entry in entries if (value := _positive(entry.get(key))) is not None]

    def letters(conditions: Sequence[Conditions]) -> tuple[str, ...]:
        names = {run.name for run in own}
        return tuple(one.letter for one in conditions if names & set(one.runs))

    evaluated_on, trained_on = letters(evaluation), letters(training)

    def rate(entries: Sequence[dict[str, Any]], key: str, on: tuple[str, ...]) -> float | None:
        values = figures(entries, key)
        return fmean(values) if values and len(on) < 2 else None

    def memory(entries: Sequence[dict[str, Any]], on: tuple[str, ...]) -> float | None:
        values = figures(entries, "peak_memory")
        return max(values) / 1e9 if values and len(on) < 2 else None

    parameters = figures(measured, "parameters") or figures(records, "parameters")
    flops = figures(measured, "flops")
    summary = statistics.summary(variant, "test")
    return CostRow(
        variant,
        len(measured),
        int(parameters[0]) if parameters else None,
        flops[0] / 1e9 if flops else None,
        rate(measured, "images_per_second", evaluated_on),
        rate(measured, "network_images_per_second", evaluated_on),
        memory(measured, evaluated_on),
        rate(records, "images_per_second", trained_on),
        memory(records, trained_on),
        summary.metrics.get("mIoU") if summary is not None else None,
        evaluated_on,
        trained_on,
    )
