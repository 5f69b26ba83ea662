"""Tables I to III: what was measured, the trivial predictors and what was published, in groups of their own."""

from collections.abc import Iterable
from typing import Any

from harness.published import PublishedRow
from harness.report.exports.table import Cell, Column, Export, Group, missing, text
from harness.report.inputs import PROTOCOL
from harness.report.sections import Inputs
from harness.report.tables import WITH_INTERVAL, MeasuredRow, Table
from harness.report.wording import is_rrsisd

WARNING = (
    "Embedded profile: small drawn images and small networks trained for minutes. These figures say nothing about "
    "RRSIS-D and must not be quoted as results of LAVT, RMSIN or MAFN."
)
PUBLISHED_ON = "RRSIS-D"


def about(inputs: Inputs) -> dict[str, Any]:
    """What every table says of where it comes from."""
    statistics = inputs.statistics
    return {
        "profile": statistics.profile,
        "percent": statistics.percent,
        "warning": WARNING if statistics.profile == "embedded" else None,
    }


def context_only(inputs: Inputs) -> tuple[str, ...]:
    """What a table of measured and published numbers says where they are not of one data set."""
    dataset = inputs.statistics.dataset
    if is_rrsisd(dataset):
        return ()
    return (
        f"Measured on {dataset}, published on {PUBLISHED_ON}: a difference between the two means nothing.",
    )


def one_group(inputs: Inputs, rows: Iterable[tuple[Cell, ...]], title: str = "") -> Group:
    """Rows that were measured here."""
    return Group(title, "measured", inputs.statistics.dataset, tuple(rows), PROTOCOL)


def paper_export(inputs: Inputs, key: str) -> Export:
    """Table I, II or III.

    Args:
        inputs: of the report.
        key: "table1", "table2" or "table3".
    """
    table, statistics = inputs.tables[key], inputs.statistics
    splits = tuple(dict.fromkeys((*table.splits, *table.published_splits)))
    columns = [
        Column("name", table.options),
        Column("variant", "Variant", printed=False),
        *(_encoder_columns() if key == "table1" else ()),
        *(_quantity(table, metric, split, splits) for metric in table.metrics for split in splits),
        Column("seeds", "Seeds", "count"),
        Column("seed_list", "Seeds used", printed=False),
        Column("missing_seeds", "Seeds missing", printed=False),
    ]

    def measured(row: MeasuredRow, seen: tuple[str, str]) -> tuple[Cell, ...]:
        names = (text(row.name), text(row.variant), *map(text, seen if key == "table1" else ()))
        return (*names, *_measured_cells(table, row, splits), *_seed_cells(row))

    def untrained(name: str) -> tuple[Cell, ...]:
        reason = missing("Not trained here: no variant in params.yaml")
        empty = (reason,) * (len(table.metrics) * len(splits) + 1)
        return (text(name), Cell(), *empty, Cell(), Cell())

    rows = [measured(row, (row.encoders.visual, row.encoders.text)) for row in table.measured]
    if key != "table1":  # beside each published row, as on the page
        rows += [untrained(name) for name in table.row_names if table.row_of(name) is None]
    dataset = statistics.dataset
    groups = [
        Group(f"Measured here, {dataset}", "measured", dataset, tuple(rows), PROTOCOL, table.sizes),
        Group(
            f"Trivial predictors, {dataset}",
            "trivial",
            dataset,
            tuple(measured(row, ("none", "none")) for row in table.trivial),
            PROTOCOL,
            table.sizes,
        ),
        Group(
            f"Published, {PUBLISHED_ON}: other people's training, not measured here",
            "published",
            PUBLISHED_ON,
            tuple(
                _published_row(table, row, splits, with_encoders=key == "table1") for row in table.published
            ),
            None,
            {split: inputs.published.sizes[split] for split in table.published_splits},
        ),
    ]
    sizes = ", ".join(f"{n:,} on {split}" for split, n in table.sizes.items()) or "no split was measured"
    protocol = f"Protocol {PROTOCOL} at {inputs.params.image_size} pixels."
    return Export(
        name={"table1": "1", "table2": "2", "table3": "3"}[key],
        number=table.number,
        title=table.title,
        caption=(
            f"Percent; expressions measured: {sizes}. {protocol} Small print: {statistics.percent} interval. "
            "Bold: highest of the trained models in a column, as printed. No intervals were published."
        ),
        columns=tuple(columns),
        groups=tuple(group for group in groups if group.rows),
        notes=(*context_only(inputs), *(f"{gap}." for gap in table.gaps)),
        **about(inputs),
    )


def _encoder_columns() -> tuple[Column, ...]:
    return (Column("visual_encoder", "Visual"), Column("text_encoder", "Text"))


def _quantity(table: Table, metric: str, split: str, splits: tuple[str, ...]) -> Column:
    return Column(
        f"{split} {metric}",
        split if len(splits) > 1 else metric,
        "percent",
        over=metric if len(splits) > 1 else "",
        split=split,
        metric=metric,
        interval="below" if metric in WITH_INTERVAL else "",
    )


def _measured_cells(table: Table, row: MeasuredRow, splits: tuple[str, ...]) -> tuple[Cell, ...]:
    if row.gap:
        return (missing(row.gap),) * (len(table.metrics) * len(splits))
    found = {
        (table.splits[place % len(table.splits)], cell.metric): cell for place, cell in enumerate(row.cells)
    }
    cells = []
    for metric in table.metrics:
        for split in splits:
            cell = found.get((split, metric))
            if cell is None:
                cells.append(missing(f"{split} is not among the splits of this table in params.yaml"))
            elif cell.measure is None:
                cells.append(missing("not evaluated"))
            else:
                measure = cell.measure
                cells.append(Cell(measure.value, measure.interval, measure.per_seed, cell.best))
    return tuple(cells)


def _seed_cells(row: MeasuredRow) -> tuple[Cell, Cell, Cell]:
    trained = not row.variant.startswith("trivial-")
    number = missing(row.gap) if row.gap else Cell(len(row.seeds)) if trained else Cell()
    lists = (" ".join(map(str, row.seeds)), " ".join(map(str, row.missing_seeds)))
    return (number, *(Cell(seeds if trained and seeds else None) for seeds in lists))  # type: ignore[return-value]


def _published_row(
    table: Table, row: PublishedRow, splits: tuple[str, ...], *, with_encoders: bool
) -> tuple[Cell, ...]:
    cells = []
    for metric in table.metrics:
        for split in splits:
            cell = row.cells.get((split, metric))
            if cell is None or cell.value is None:
                cells.append(missing("not published"))
            else:
                cells.append(Cell(cell.value, uncertain=cell.uncertain))
    encoders = (text(row.visual or "not stated"), text(row.text or "not stated")) if with_encoders else ()
    return (text(row.name), Cell(), *encoders, *cells, Cell(), Cell(), Cell())


def reruns_export(inputs: Inputs) -> Export:
    """What others measured when they ran the published code."""
    metrics = ("oIoU", "mIoU")

    def cell(value: float | None) -> Cell:
        return missing("not reported") if value is None else Cell(value)

    rows = tuple(
        (
            text(rerun.model),
            text(rerun.split),
            *(cell(rerun.values[metric]) for metric in metrics),
            text(rerun.source),
        )
        for rerun in inputs.published.reruns
    )
    return Export(
        name="reruns",
        title="Re-runs of the published code by others",
        caption=f"Percent, {PUBLISHED_ON}; neither measured here nor from the paper.",
        columns=(
            Column("model", "Model"),
            Column("split", "Split"),
            *(Column(metric, metric, "percent") for metric in metrics),
            Column("reported_at", "Source"),
        ),
        groups=(Group("", "re-run by others", PUBLISHED_ON, rows),),
        **about(inputs) | {"warning": None},  # nothing in it was measured here
    )
