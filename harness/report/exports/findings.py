"""The tables about the measured numbers: reproduction, breakdowns, sanity checks, checkpoints."""

from harness.metrics import METRICS
from harness.report.breakdowns import FEW, read_breakdowns
from harness.report.breakdowns import METRICS as SHOWN
from harness.report.checkpoints import read_checkpoints
from harness.report.comparisons import sanity_rows
from harness.report.exports.papers import PUBLISHED_ON, about, context_only, one_group
from harness.report.exports.table import Cell, Column, Export, missing, optional, text
from harness.report.reproduction import reproduced_cells, verdicts
from harness.report.sections import Inputs


def reproduction_export(inputs: Inputs) -> Export:
    """Measured less published, cell by cell."""
    margin = inputs.params.statistics.margin
    groups = []
    for key, table in inputs.tables.items():
        rows = tuple(
            (
                text(cell.row),
                text(cell.split),
                text(cell.metric),
                Cell(cell.seeds),
                Cell(cell.found.measured),
                Cell(cell.found.published, uncertain=cell.uncertain),
                Cell(cell.found.difference, cell.found.interval),
                text(cell.found.verdict),
            )
            for cell in reproduced_cells(inputs.tables[key], margin)
        )
        if rows:
            groups.append(one_group(inputs, rows, table.number))
    meanings = "; ".join(
        f"{word}: {meaning}" for word, meaning in verdicts(inputs.statistics.percent).items()
    )
    return Export(
        name="reproduction",
        title="Reproduction of the published values",
        caption=f"Measured less published, in points; the margin is {margin:g}. {meanings[0].upper()}{meanings[1:]}.",
        columns=(
            Column("row", "Row"),
            Column("split", "Split"),
            Column("metric", "Metric"),
            Column("seeds", "Seeds", "count"),
            Column("measured", "Measured", "percent"),
            Column("published", "Published", "percent"),
            Column("difference", "Difference", "points", interval="beside"),
            Column("verdict", "Verdict"),
        ),
        groups=tuple(groups) or (one_group(inputs, ()),),
        notes=(
            f"The published values are those of {PUBLISHED_ON} and are taken as fixed.",
            *context_only(inputs),
        ),
        **about(inputs),
    )


def breakdowns_export(inputs: Inputs) -> Export:
    """Table I's models bin by bin."""
    found = read_breakdowns(inputs)
    measured = METRICS  # in CSV and JSON; print has what the page has
    groups = []
    for view in found.views:
        rows = []
        for row in view.rows:
            for model, metrics in zip(view.models, row.models, strict=True):
                cells = (
                    Cell(one.value, one.interval, one.per_seed) if one else missing("no expression")
                    for one in map(metrics.get, measured)
                )
                remark = text("few") if row.few else Cell()
                rows.append((text(view.key), text(row.label), Cell(row.n), text(model), *cells, remark))
        groups.append(one_group(inputs, rows, view.title))
    return Export(
        name="breakdowns",
        title=f"Breakdowns of Table I's models on {found.split}",
        caption=(
            f"Percent. The {inputs.statistics.percent} intervals are those of single bins, not corrected; do not read "
            f"them as tests. few: fewer than {FEW} expressions."
        ),
        columns=(
            Column("by", "By", printed=False),
            Column("bin", "Bin"),
            Column("n", "n", "count"),
            Column("model", "Model"),
            *(
                Column(metric, metric, "percent", interval="beside", printed=metric in SHOWN)
                for metric in measured
            ),
            Column("remark", "Remark"),
        ),
        groups=tuple(groups) or (one_group(inputs, ()),),
        notes=tuple(f"Without breakdowns: {name}." for name in found.missing),
        **about(inputs),
    )


def sanity_export(inputs: Inputs) -> Export:
    """The two sanity checks of Table I's models."""
    words = {True: "yes", False: "no", None: "cannot be said"}
    rows = []
    for row in sanity_rows(inputs.params, inputs.statistics):
        shuffled = row.shuffled.comparison.metrics["mIoU"] if row.shuffled else None
        unshuffled = "not measured with shuffled sentences"
        rows.append(
            (
                text(row.name),
                Cell(row.measure.value, row.measure.interval) if row.measure else missing("not measured"),
                text(row.trivial_name or "not measured"),
                Cell(row.trivial.value, row.trivial.interval) if row.trivial else missing("not measured"),
                text(words[row.above_trivial]),
                optional(shuffled.b if shuffled else None, unshuffled),
                Cell(shuffled.difference, shuffled.interval) if shuffled else missing(unshuffled),
                optional(shuffled.p_value if shuffled else None, unshuffled),
                optional(shuffled.p_adjusted if shuffled else None, unshuffled),
                text(words[row.uses_sentence]),
            )
        )
    return Export(
        name="sanity",
        title="Sanity checks",
        caption=(
            "Test mIoU in percent. Above: the whole interval of the model lies above that of every trivial predictor. "
            "Uses: shuffling the sentences lowers mIoU significantly after Holm's correction."
        ),
        columns=(
            Column("model", "Model"),
            Column("mIoU", "mIoU", "percent", interval="below"),
            Column("best_trivial", "Best trivial"),
            Column("best_trivial_mIoU", "Its mIoU", "percent", interval="below"),
            Column("above_every_trivial", "Above"),
            Column("shuffled_mIoU", "Shuffled", "percent"),
            Column("difference", "Difference", "points", interval="beside"),
            Column("p", "p", "p"),
            Column("p_holm", "p, Holm", "p"),
            Column("uses_sentence", "Uses"),
        ),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def checkpoints_export(inputs: Inputs) -> Export:
    """The chosen weights beside the last ones."""
    found = read_checkpoints(inputs.runs)
    columns = [
        Column("variant", "Variant"),
        Column("seeds", "Seeds", "count"),
        Column("best_epoch", "Best epoch"),
    ]
    for cell in found.rows[0].cells if found.rows else ():
        over = f"{cell.split} {cell.metric}"
        columns += [
            Column(f"{over} best", "Best", "percent", over=over),
            Column(f"{over} last", "Last", "percent", over=over),
            Column(f"{over} difference", "Difference", "points", over=over),
        ]
    rows = (
        (
            text(row.variant),
            Cell(len(row.seeds)),
            text(row.epochs),
            *(Cell(value) for cell in row.cells for value in (cell.best, cell.last, cell.difference)),
        )
        for row in found.rows
    )
    return Export(
        name="checkpoints",
        title="Choice of the checkpoint",
        caption=(
            "Best: weights chosen by val oIoU; last: after the last epoch; means over the seeds, percent. Difference: "
            "best minus last, in points, without an interval: it speaks of these runs."
        ),
        columns=tuple(columns),
        groups=(one_group(inputs, rows),),
        notes=(found.missing,) if found.missing else (),
        **about(inputs),
    )
