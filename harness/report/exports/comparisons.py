"""The tables of comparisons: one by one, all pairs as one family of tests, ranks."""

from dataclasses import replace

from harness.report.comparisons import comparison_groups
from harness.report.exports.papers import about, one_group
from harness.report.exports.table import Cell, Column, Export, missing, optional, text
from harness.report.inputs import Difference
from harness.report.pairs import all_pairs
from harness.report.sections import Inputs

EFFECTS = (
    Column("effect_dz", "d_z", "signed"),
    Column("detectable", "Detectable", "real"),
    Column("better", "Better", "count"),
    Column("equal", "Equal", "count"),
    Column("worse", "Worse", "count"),
)


def effect_cells(found: Difference) -> tuple[Cell, ...]:
    """The cells of EFFECTS."""
    return (
        optional(found.effect, "no spread"),
        optional(found.detectable, "not computed"),
        *(map(Cell, found.wins) if found.wins else (missing("not defined for oIoU"),) * 3),
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
                    *effect_cells(found),
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
            *(replace(column, printed=False) for column in EFFECTS),
            Column("test", "Test", printed=False),
            Column("scope", "Scope", printed=False),
        ),
        groups=tuple(groups) or (one_group(inputs, ()),),
        notes=(f"Significant: p, Holm below {statistics.alpha:g}.",),
        **about(inputs),
    )


def pairs_export(inputs: Inputs) -> Export:
    """All pairs of Table I's models."""
    found, percent = all_pairs(inputs), inputs.statistics.percent
    rows = (
        (
            text(row.pair.a),
            text(row.pair.b),
            text(row.metric),
            Cell(row.found.difference, row.found.interval),
            optional(row.found.p_value, "not computed"),
            optional(row.found.p_adjusted, "not computed"),
            *effect_cells(row.found),
            text(row.verdict),
        )
        for row in (found.rows if found else ())
    )
    family = f"Holm covers {found.family}" if found else "statistics.json has none"
    return Export(
        name="pairs",
        title="All pairs of Table I's models on test",
        caption=(
            f"Difference: first minus second, in points, with its {percent} interval. {family}. Detectable: the "
            "smallest true difference that one test before Holm's correction finds with a power of 80%."
        ),
        columns=(
            Column("first", "First"),
            Column("second", "Second"),
            Column("metric", "Metric"),
            Column("difference", "Difference", "points", interval="beside"),
            Column("p", "p", "p"),
            Column("p_holm", "p, Holm", "p"),
            *EFFECTS,
            Column("verdict", "Verdict"),
        ),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )


def ranks_export(inputs: Inputs) -> Export:
    """How sure the ranks of Table I's models are."""
    found = all_pairs(inputs)
    rows = (
        (
            text(row.name),
            text(row.metric),
            Cell(row.rank.value),
            Cell(row.rank.rank, row.rank.interval),
            Cell(100 * row.rank.first),
        )
        for row in (found.ranks if found else ())
    )
    return Export(
        name="ranks",
        title="Ranks of Table I's models on test",
        caption=(
            f"1 is the highest. Interval: {inputs.statistics.percent} of the ranks over resamples of the images; "
            "first: percent of the resamples in which a model is first. The trained networks are taken as they are."
        ),
        columns=(
            Column("model", "Model"),
            Column("metric", "Metric"),
            Column("value", "Value", "percent"),
            Column("rank", "Rank", "real", decimals=1, interval="beside"),
            Column("first", "First", "percent", decimals=0),
        ),
        groups=(one_group(inputs, rows),),
        **about(inputs),
    )
