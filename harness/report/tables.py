"""Tables I to III and the runs as data: raw numbers and words, laid out by the templates."""

from dataclasses import dataclass, field, replace

from harness.config import Encoders, Params
from harness.published import ABLATION_METRICS, TABLE1_METRICS, Published, PublishedRow
from harness.report.inputs import Measure, Statistics, Summary
from harness.report.wording import count
from harness.training.recipe import RELEASED

TITLES = {
    "table1": ("Table I", "Comparison of the models"),
    "table2": ("Table II", "Ablation: MAFN's parts, added one by one"),
    "table3": ("Table III", "Ablation: kernels of the multi-scale rotated convolution"),
}
METRICS = {"table1": TABLE1_METRICS, "table2": ABLATION_METRICS, "table3": ABLATION_METRICS}
OPTIONS = {"table1": "Method", "table2": "Options", "table3": "Kernels"}
TRIVIAL_NAMES = {
    "trivial-empty": "Empty mask",
    "trivial-whole": "Whole image",
    "trivial-mean": "Mean train mask",
}
WITH_INTERVAL = ("oIoU", "mIoU")  # shown in the cell; the details below a table have them all


ENCODERS = {  # of LAVT, RMSIN and MAFN, by params.preset
    "mini": Encoders(visual="Swin, mini", text="BERT, mini"),
    "swin-b": Encoders(visual="Swin-B", text="BERT"),
}
NOT_STATED = Encoders(visual="not stated", text="not stated")


@dataclass(frozen=True)
class MeasuredCell:
    """A measured metric; None where the split was not evaluated."""

    metric: str
    measure: Measure | None
    best: bool = False


@dataclass(frozen=True)
class MeasuredRow:
    """A row of a measured block; `gap` replaces the cells of a variant without any number."""

    name: str
    variant: str
    cells: tuple[MeasuredCell, ...]
    seeds: tuple[int, ...] = ()
    missing_seeds: tuple[int, ...] = ()
    gap: str | None = None
    encoders: Encoders = NOT_STATED  # shown in Table I


@dataclass(frozen=True)
class Footnote:
    """Why a published number is uncertain."""

    mark: str
    row: str
    split: str
    metric: str
    reason: str


@dataclass(frozen=True)
class Table:
    """One of the paper's tables: the same columns measured and published, in blocks of their own."""

    key: str
    number: str
    title: str
    options: str  # the first column's heading
    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    measured: tuple[MeasuredRow, ...]
    trivial: tuple[MeasuredRow, ...]
    published: tuple[PublishedRow, ...]
    published_splits: tuple[str, ...]
    footnotes: tuple[Footnote, ...]
    sizes: dict[str, int]  # split -> expressions measured
    gaps: tuple[str, ...] = field(default=())

    def footnote(self, row: str, split: str, metric: str) -> Footnote | None:
        """The footnote of a published cell."""
        wanted = (row, split, metric)
        return next((note for note in self.footnotes if (note.row, note.split, note.metric) == wanted), None)

    @property
    def row_names(self) -> tuple[str, ...]:
        """The published rows' names in the paper's order, then rows that only we have."""
        return tuple(
            dict.fromkeys([row.name for row in self.published] + [row.name for row in self.measured])
        )

    @property
    def unpublished(self) -> tuple[str, ...]:
        """The measured rows that no paper has."""
        return tuple(row.name for row in self.measured if self.published_of(row.name) is None)

    def row_of(self, name: str) -> MeasuredRow | None:
        """The measured row beside the published one of that name."""
        return next((row for row in self.measured if row.name == name), None)

    def published_of(self, name: str) -> PublishedRow | None:
        """The published row beside the measured one of that name."""
        return next((row for row in self.published if row.name == name), None)


def _cells(
    summaries: dict[str, Summary | None], metrics: tuple[str, ...], splits: tuple[str, ...]
) -> tuple[MeasuredCell, ...]:
    cells = []
    for metric in metrics:
        for split in splits:
            summary = summaries[split]
            cells.append(MeasuredCell(metric, summary.metrics.get(metric) if summary else None))
    return tuple(cells)


def _row(
    statistics: Statistics,
    name: str,
    variant: str,
    metrics: tuple[str, ...],
    splits: tuple[str, ...],
    planned: tuple[int, ...],
) -> MeasuredRow:
    summaries = {split: statistics.summary(variant, split) for split in splits}
    found = [summary for summary in summaries.values() if summary is not None]
    if not found:
        runs = ", ".join(f"{variant}-s{seed}" for seed in planned)
        if any(summary.variant == variant for summary in statistics.summaries):
            reason = f"not evaluated on {' and '.join(splits)}"
        else:
            reason = f"{runs} missing from statistics.json" if runs else f"no run of {variant} in params.yaml"
        return MeasuredRow(name, variant, (), missing_seeds=planned, gap=f"Not measured ({reason})")
    seeds = tuple(sorted({seed for summary in found for seed in summary.seeds}))
    missing = tuple(seed for seed in planned if seed not in seeds)
    return MeasuredRow(name, variant, _cells(summaries, metrics, splits), seeds, missing)


def _with_best(rows: tuple[MeasuredRow, ...]) -> tuple[MeasuredRow, ...]:
    """Mark the highest value of each column, as printed: equal to two decimals is a tie."""
    columns = max((len(row.cells) for row in rows), default=0)
    best: list[float | None] = []
    for column in range(columns):
        values = [
            round(row.cells[column].measure.value, 2)  # type: ignore[union-attr]
            for row in rows
            if row.cells and row.cells[column].measure is not None
        ]
        best.append(max(values) if len(values) > 1 else None)  # one value alone is no best
    return tuple(
        replace(
            row,
            cells=tuple(
                replace(cell, best=cell.measure is not None and round(cell.measure.value, 2) == best[column])
                for column, cell in enumerate(row.cells)
            ),
        )
        for row in rows
    )


def _encoders(params: Params, name: str, variant: str) -> Encoders:
    """Of a row of Table I; of a network from another package only params.yaml can say."""
    if name in params.tables.table1.encoders:
        return params.tables.table1.encoders[name]
    if params.variants[variant].model not in RELEASED:
        return NOT_STATED
    unnamed = Encoders(visual=f"Swin, {params.preset}", text=f"BERT, {params.preset}")
    return ENCODERS.get(params.preset, unnamed)


def _footnotes(rows: tuple[PublishedRow, ...]) -> tuple[Footnote, ...]:
    uncertain = [
        (row.name, split, metric, cell.uncertain)
        for row in rows
        for (split, metric), cell in row.cells.items()
        if cell.uncertain is not None
    ]
    return tuple(
        Footnote(chr(ord("a") + number) if number < 26 else f"a{number}", *entry)
        for number, entry in enumerate(uncertain)
    )


def paper_table(key: str, params: Params, statistics: Statistics, published: Published) -> Table:
    """Table I, II or III.

    Args:
        key: "table1", "table2" or "table3".
        params: for its `tables` and `runs`.
        statistics: the measured numbers.
        published: the published ones.
    """
    planned = getattr(params.tables, key)
    metrics, splits = METRICS[key], tuple(planned.splits)
    seeds = {
        variant: tuple(run.seed for run in params.runs.values() if run.variant == variant)
        for variant in planned.rows.values()
    }
    measured = _with_best(
        tuple(
            replace(
                _row(statistics, name, variant, metrics, splits, seeds[variant]),
                encoders=_encoders(params, name, variant),
            )
            for name, variant in planned.rows.items()
        )
    )
    trivial: tuple[MeasuredRow, ...] = ()
    if key == "table1":
        trivial = tuple(
            _row(statistics, TRIVIAL_NAMES.get(variant, variant), variant, metrics, splits, ())
            for variant in statistics.trivial_variants() or TRIVIAL_NAMES
        )
    gaps = [f"{row.name}: {row.gap}" for row in (*measured, *trivial) if row.gap]
    for row in measured:
        if row.seeds and row.missing_seeds:
            lost = ", ".join(f"{row.variant}-s{seed}" for seed in row.missing_seeds)
            gaps.append(
                f"{row.name}: {count(len(row.seeds), 'seed')} of {len(row.seeds + row.missing_seeds)}, {lost} missing"
            )
        absent = [split for split in splits if row.cells and statistics.summary(row.variant, split) is None]
        gaps += [f"{row.name}: not evaluated on {split}" for split in absent]
    rows = published.tables[key]
    in_print = tuple(dict.fromkeys(split for row in rows for split, _ in row.cells))
    return Table(
        key=key,
        number=TITLES[key][0],
        title=TITLES[key][1],
        options=OPTIONS[key],
        splits=splits,
        metrics=metrics,
        measured=measured,
        trivial=trivial,
        published=rows,
        published_splits=in_print,
        footnotes=_footnotes(rows),
        sizes={
            split: summary.n
            for split in splits
            for row in measured[::-1]
            if (summary := statistics.summary(row.variant, split)) is not None
        },
        gaps=tuple(gaps),
    )


RUN_COLUMNS = (
    ("parameters", "Parameters"),
    ("steps", "Steps"),
    ("seconds", "Seconds"),
    ("images_per_second", "Images/s"),
)
