"""The tables about the measured numbers: reproduction, comparisons, sanity checks, checkpoints, runs, data, audit."""

from collections.abc import Iterable

from harness.audit.document import document
from harness.report.checkpoints import read_checkpoints
from harness.report.comparisons import comparison_groups, sanity_rows
from harness.report.data import read_data
from harness.report.exports.papers import PUBLISHED_ON, about
from harness.report.exports.table import Cell, Column, Export, Group, missing, text
from harness.report.inputs import PROTOCOL
from harness.report.reproduction import reproduced_cells, verdicts
from harness.report.sections import Inputs
from harness.report.tables import RUN_COLUMNS, environment


def one_group(inputs: Inputs, rows: Iterable[tuple[Cell, ...]], title: str = "") -> Group:
    """Rows that were measured here."""
    return Group(title, "measured", inputs.statistics.dataset, tuple(rows), PROTOCOL)


def optional(value: float | int | None, reason: str) -> Cell:
    """A number, or why there is none."""
    return missing(reason) if value is None else Cell(value)


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
        notes=(f"The published values are those of {PUBLISHED_ON} and are taken as fixed.",),
        **about(inputs),
    )


def significance_export(inputs: Inputs) -> Export:
    """Every comparison, metric by metric, in the groups of the page."""
    statistics = inputs.statistics
    groups = [
        one_group(
            inputs,
            (
                (
                    text(pair.a),
                    text(pair.b),
                    text(metric),
                    Cell(pair.comparison.n),
                    Cell(found.a),
                    Cell(found.b),
                    Cell(found.difference, found.interval),
                    optional(found.p_value, "not computed"),
                    optional(found.p_adjusted, "not computed"),
                    text(pair.verdict(metric, statistics.alpha)),
                    *(text(" ".join(map(str, seeds)) or "not named") for seeds in pair.comparison.seeds),
                    text(found.test),
                    text(pair.comparison.scope or "not named"),
                )
                for pair in group.pairs
                for metric, found in pair.comparison.metrics.items()
            ),
            group.title,
        )
        for group in comparison_groups(inputs.params, statistics)
    ]
    return Export(
        name="significance",
        title="Differences and tests",
        caption="Difference: first minus second, in points. p, Holm: corrected over the metrics of a comparison.",
        columns=(
            Column("first", "First"),
            Column("second", "Second"),
            Column("metric", "Metric"),
            Column("n", "n", "count", printed=False),
            Column("first_value", "First", "percent"),
            Column("second_value", "Second", "percent"),
            Column("difference", "Difference", "points", interval="beside"),
            Column("p", "p", "p"),
            Column("p_holm", "p, Holm", "p"),
            Column("verdict", "Verdict"),
            Column("first_seeds", "Seeds of the first", printed=False),
            Column("second_seeds", "Seeds of the second", printed=False),
            Column("test", "Test", printed=False),
            Column("scope", "Scope", printed=False),
        ),
        groups=tuple(groups) or (one_group(inputs, ()),),
        notes=(f"Significant: p, Holm below {statistics.alpha:g}.",),
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


def runs_export(inputs: Inputs) -> Export:
    """The trained networks."""

    def recorded(value: object) -> Cell:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return Cell(value) if known else missing("not recorded")  # type: ignore[arg-type]

    rows = (
        (
            text(run.name),
            text(run.variant),
            Cell(run.seed),
            *(recorded((run.provenance or {}).get(key)) for key, _ in RUN_COLUMNS),
            text("; ".join(run.gaps) or "complete"),
        )
        for run in inputs.runs
    )
    return Export(
        name="runs",
        title="Runs",
        caption="Each trained network. Seconds are the training's own.",
        columns=(
            Column("run", "Run"),
            Column("variant", "Variant"),
            Column("seed", "Seed", "count"),
            *(
                Column(key, label, "count" if key in ("parameters", "steps") else "real", decimals=1)
                for key, label in RUN_COLUMNS
            ),
            Column("remarks", "Remarks"),
        ),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def environment_export(inputs: Inputs) -> Export:
    """What the runs recorded about where they ran."""
    rows = ((text(fact), text("; ".join(values))) for fact, values in environment(inputs.runs))
    return Export(
        name="environment",
        title="Environment of the runs",
        caption="What the runs recorded. Where they differ, every value is listed.",
        columns=(Column("fact", "Fact"), Column("value", "Value")),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def splits_export(inputs: Inputs) -> Export:
    """The prepared splits."""
    data = read_data(inputs.params)
    rows = (
        (
            text(split.name),
            Cell(split.expressions),
            Cell(split.clusters),
            Cell(None if split.name == "train" else split.known_from_train),
        )
        for split in (data.splits if data else ())
    )
    return Export(
        name="splits",
        title="Splits of the data set",
        caption=(
            "A cluster holds pictures that are identical or nearly so. Known from train: expressions on a picture "
            "that the train split holds as well."
        ),
        columns=(
            Column("split", "Split"),
            Column("expressions", "Expressions", "count"),
            Column("clusters", "Clusters", "count"),
            Column("known_from_train", "Known from train", "count"),
        ),
        groups=(one_group(inputs, rows),),
        notes=() if data else ("The prepared files are missing; `harness prepare` writes them.",),
        **about(inputs),
    )


def defects_export(inputs: Inputs) -> Export:
    """What is wrong with the data set, and what was done."""
    data = read_data(inputs.params)
    rows = (
        (text(one.kind.replace("_", " ")), text(one.meaning), Cell(one.found), text(one.treatment))
        for one in (data.defects if data else ())
    )
    return Export(
        name="defects",
        title="Defects of the data set",
        caption="In the whole data set, with what was done about each.",
        columns=(
            Column("kind", "Kind"),
            Column("meaning", "Meaning"),
            Column("found", "Found", "count"),
            Column("treatment", "Treatment"),
        ),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def audit_export(inputs: Inputs, key: str) -> Export:
    """A table of the audit, in its words; `harness audit --format json` has its numbers."""
    block = next(block for block in document(inputs.audit) if block.key == key)
    return Export(
        name=f"audit-{key}",
        title=f"Audit: {block.title}",
        caption=block.note,
        columns=tuple(Column(column.heading, column.heading) for column in block.columns),
        groups=(Group("", "published", PUBLISHED_ON, tuple(tuple(map(text, row)) for row in block.rows)),),
        notes=() if block.rows else (block.empty,),
        **about(inputs) | {"warning": None},  # nothing in it was measured here
    )
