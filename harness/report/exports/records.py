"""The tables of what there is: runs, environment, data, and the audit of the published numbers."""

from harness.audit.document import document
from harness.report.exports.papers import PUBLISHED_ON, about, one_group
from harness.report.exports.table import Cell, Column, Export, Group, missing, text
from harness.report.provenance import environment, versions
from harness.report.sections import Inputs
from harness.report.tables import RUN_COLUMNS

NOT_PREPARED = "The prepared files are missing; `harness prepare` writes them."


def runs_export(inputs: Inputs) -> Export:
    """The networks."""

    def recorded(value: object) -> Cell:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return Cell(value) if known else missing("not recorded")  # type: ignore[arg-type]

    rows = (
        (
            text(run.name),
            text(run.variant),
            Cell(run.seed),
            *(recorded((run.provenance or {}).get(key)) for key, _ in RUN_COLUMNS),
            text(run.remarks),
        )
        for run in inputs.runs
    )
    return Export(
        name="runs",
        title="Runs",
        caption="Each network. Steps, seconds and images a second are of its training here.",
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
    rows = (
        (text(fact.name), text(value), text(", ".join(runs)))
        for fact in (*environment(inputs.runs), *versions(inputs.runs))
        for value, runs in fact.values
    )
    return Export(
        name="environment",
        title="Environment of the runs",
        caption="What the runs recorded at their start. Where they differ, every value is listed with its runs.",
        columns=(Column("fact", "Fact"), Column("value", "Value"), Column("runs", "Runs")),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def splits_export(inputs: Inputs) -> Export:
    """The prepared splits."""
    data = inputs.data
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
        notes=() if data else (NOT_PREPARED,),
        **about(inputs),
    )


def defects_export(inputs: Inputs) -> Export:
    """What is wrong with the data set, and what was done."""
    data = inputs.data
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


def categories_export(inputs: Inputs) -> Export:
    """Expressions by category and split."""
    data = inputs.data
    splits = [split.name for split in data.splits] if data else []
    rows = (
        (
            text(row.name),
            Cell(row.total),
            *(Cell(row.splits[split]) for split in splits),
            missing("no mask") if row.median != row.median else Cell(100 * row.median),
        )
        for row in (data.categories if data else ())
    )
    return Export(
        name="categories",
        title="Categories of the data set",
        caption="Expressions. Median mask: half of the category's masks cover less of the image, percent.",
        columns=(
            Column("category", "Category"),
            Column("all", "All", "count"),
            *(Column(split, split, "count") for split in splits),
            Column("median_mask", "Median mask", "percent"),
        ),
        groups=(one_group(inputs, rows),),
        notes=() if data else (NOT_PREPARED,),
        **about(inputs),
    )


def sizes_export(inputs: Inputs) -> Export:
    """Shares of the image that the masks cover."""
    data = inputs.data
    quantiles = ("smallest", "low", "median", "high", "largest")
    headings = ("Smallest", "5% quantile", "Median", "95% quantile", "Largest")
    rows = (
        (
            text(row.split),
            Cell(row.masks),
            *(Cell(100 * getattr(row, name)) for name in quantiles),
            Cell(100 * row.below_percent),
        )
        for row in (data.sizes if data else ())
    )
    return Export(
        name="sizes",
        title="Object sizes of the data set",
        caption="Percent of the image that a mask covers, empty masks left out; share of the masks under 1%.",
        columns=(
            Column("split", "Split"),
            Column("masks", "Masks", "count"),
            *(
                Column(name, heading, "percent", decimals=3)
                for name, heading in zip(quantiles, headings, strict=True)
            ),
            Column("below_one_percent", "Under 1%", "percent", decimals=1),
        ),
        groups=(one_group(inputs, rows),),
        notes=() if data else (NOT_PREPARED,),
        **about(inputs),
    )


def sentences_export(inputs: Inputs) -> Export:
    """Lengths of the sentences."""
    data = inputs.data
    rows = (
        (
            text(row.split),
            Cell(row.sentences),
            Cell(row.distinct),
            Cell(row.median),
            Cell(row.longest),
            Cell(row.cut),
        )
        for row in (data.sentences if data else ())
    )
    group = one_group(inputs, rows)
    return Export(
        name="sentences",
        title="Sentences of the data set",
        caption="Tokens by the networks' own tokenizer. Cut: sentences with more tokens than a network reads.",
        columns=(
            Column("split", "Split"),
            Column("sentences", "Sentences", "count"),
            Column("distinct", "Distinct", "count"),
            Column("median_tokens", "Median tokens", "real", decimals=1),
            Column("longest", "Longest", "count"),
            Column("cut", "Cut", "count"),
        ),
        groups=(group,),
        notes=() if group.rows else (NOT_PREPARED,),
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
