"""The front page: what was found in three computed sentences, the cards, the differences, and where to read on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.report.comparisons import SanityRow, comparison_groups, sanity_rows
from harness.report.figures import forest_plot
from harness.report.reproduction import ReproducedCell, reproduced_cells
from harness.report.wording import between, count, is_rrsisd, is_significant, listing, number, p_equals

if TYPE_CHECKING:
    from harness.report.inputs import Comparison, Statistics, Summary
    from harness.report.sections import Inputs

SPLIT = "test"  # the verdict speaks of the split that chose nothing
ANSWERS = {  # file of a page -> the question that it answers
    "tables.html": "The paper's three tables, measured here beside published, and which values are reproduced.",
    "significance.html": "Which differences stand up to a test, and whether the models pass the sanity checks.",
    "breakdowns.html": "For which kinds of objects and sentences the models do better or worse.",
    "gallery.html": "What the models draw on single test images, beside the truth.",
    "training.html": "How the training went, and what choosing the checkpoint on val is worth.",
    "data.html": "What the networks were trained and tested on, and what is wrong with it.",
    "published.html": "Whether the published numbers are possible at the published sizes of the splits.",
    "fidelity.html": "Where paper, released code and this project disagree, and which reading these numbers used.",
    "provenance.html": "What ran, where, from which code and data, and by which commands.",
    "glossary.html": "What the names of the metrics and the words of the statistics mean.",
}


def overview_context(inputs: Inputs) -> dict[str, Any]:
    """What the front page's template is given."""
    from markupsafe import Markup

    params, statistics = inputs.params, inputs.statistics
    names = {variant: name for name, variant in params.tables.table1.rows.items()}
    sanity = sanity_rows(params, statistics, SPLIT)
    top = max((row.measure.value for row in sanity if row.measure), default=None)
    margin = params.statistics.margin
    cells = [cell for table in inputs.tables.values() for cell in reproduced_cells(table, margin)]
    groups = [
        group
        for group in comparison_groups(params, statistics)
        if group.table == "table1" and group.split == SPLIT
    ]
    forest = forest_plot(groups, statistics.alpha, name="forest-overview")
    return {
        "verdict_sentences": (
            ("Order", leader_sentence(statistics, names, SPLIT), "significance"),
            (
                "Published values",
                reproduction_sentence(cells, margin, statistics.dataset),
                "reproduction",
            ),
            ("Sanity", sanity_sentence(sanity, statistics.percent), "sanity"),
        ),
        "scope_note": scope_note(statistics, SPLIT),
        "cards": [
            {
                "name": row.name,
                "split": SPLIT,
                "measure": row.measure,
                "best": row.measure is not None and row.measure.value == top,
            }
            for row in sanity
        ],
        "overview_forest": Markup(forest) if forest else None,
        "all_gaps": all_gaps(inputs),
    }


def directory(pages: Mapping[str, tuple[str, tuple[str, ...]]]) -> list[tuple[str, str, str]]:
    """The other pages: title, first section and the question that the page answers.

    Args:
        pages: file -> title and sections, as `harness.report.site` has them.
    """
    return [
        (title, sections[0], ANSWERS.get(file, f"See {title}."))
        for file, (title, sections) in pages.items()
        if file != "index.html"
    ]


def leader_sentence(statistics: Statistics, names: Mapping[str, str], split: str) -> str:
    """Which of Table I's models has the highest mIoU and by how much, in one sentence.

    It claims no more than the tests.

    Args:
        statistics: statistics.json.
        names: variant id -> the row's name in Table I.
        split: the split to speak of.
    """
    measured: list[tuple[str, Summary]] = [
        (variant, summary)
        for variant in names
        if (summary := statistics.summary(variant, split)) is not None and "mIoU" in summary.metrics
    ]
    if not measured:
        return f"No model of Table I has been measured on {split} yet, so there is nothing to compare."
    measured.sort(key=lambda pair: -pair[1].metrics["mIoU"].value)
    leader, best = measured[0]
    value = best.metrics["mIoU"]
    within = "" if value.interval is None else f"{statistics.percent} interval {between(value.interval)}, "
    figure = f"{number(value.value)} ({within}{count(len(best.seeds), 'seed')})"
    start = f"On {split} ({count(best.n, 'expression')}), "
    if len(measured) == 1:
        return f"{start}only {names[leader]} has been measured: mIoU {figure}."
    leads = [_lead(statistics, names, leader, other, split) for other, _ in measured[1:]]
    return (
        f"{start}{names[leader]} has the highest mIoU of the {len(measured)} models measured, {figure}: "
        f"{'; '.join(leads)}."
    )


def _lead(statistics: Statistics, names: Mapping[str, str], leader: str, other: str, split: str) -> str:
    """The leader's lead over another model, as a part of a sentence."""
    pair = {leader, other}
    comparison = next((c for c in statistics.comparisons if {c.a, c.b} == pair and c.split == split), None)
    if comparison is None or "mIoU" not in comparison.metrics:
        return f"it was not compared with {names[other]}"
    return _tested_lead(comparison, leader, names[other], statistics)


def _tested_lead(comparison: Comparison, leader: str, other: str, statistics: Statistics) -> str:
    found = comparison.metrics["mIoU"]
    turned = comparison.b == leader
    lead = -found.difference if turned else found.difference
    bounds = found.interval
    if bounds is not None and turned:
        bounds = (-bounds[1], -bounds[0])
    detail = "" if bounds is None else f"{statistics.percent} interval {between(bounds)}, "
    significant = is_significant(found, statistics.alpha)
    if significant is None:
        end = "not tested"
    elif significant:
        end = f"significant at the {100 * statistics.alpha:.10g}% level"
    else:
        end = "not significant after that correction, so these data do not tell the two apart"
    return (
        f"its lead over {other} is {number(lead)} points ({detail}Holm-adjusted {p_equals(found.p_adjusted)}), "
        f"{end}"
    )


def reproduction_sentence(cells: Iterable[ReproducedCell], margin: float, dataset: str) -> str:
    """How many published values are reproduced, in one sentence; on another data set it says that they cannot be."""
    found = Counter(cell.found.verdict for cell in cells)
    if not found:
        return "No cell of Tables I to III was both measured with an interval and published."
    total = count(sum(found.values()), "cell")
    words = {"reproduced": "reproduced", "differs": "differing", "undecided": "undecided"}
    parts = listing([f"{found[verdict]} {word}" for verdict, word in words.items()])  # type: ignore[index]
    if is_rrsisd(dataset):
        return (
            f"Of {total} that Tables I to III have both measured and published, at a margin of "
            f"{number(margin, 1)} points, the verdicts are {parts}."
        )
    return (
        f"The published values are RRSIS-D's and these networks saw {dataset}, so the verdicts on {total} "
        f"({parts} at a margin of {number(margin, 1)} points) say nothing about a reproduction."
    )


def sanity_sentence(rows: Sequence[SanityRow], percent: str) -> str:
    """Both sanity checks over all models in one sentence; a model that fails or was not checked is named."""
    above = _outcome(
        {row.name: row.above_trivial for row in rows},
        f"the mIoU of {{}} {{verb}} with its whole {percent} interval above every trivial predictor's",
        ("lies", "does not lie"),
        "for {} the comparison with trivial predictors was not measured",
    )
    uses = _outcome(
        {row.name: row.uses_sentence for row in rows},
        "shuffling the sentences between images {verb} the mIoU of {} significantly",
        ("lowers", "does not lower"),
        "for {} shuffled sentences were not measured",
    )
    return f"On {SPLIT}, {'; '.join([*above, *uses])}."


def _outcome(
    answers: Mapping[str, bool | None], template: str, verbs: tuple[str, str], unknown: str
) -> list[str]:
    """One clause for the models that pass, one for those that fail, one for those not measured."""
    clauses = []
    for answer, verb in zip((True, False), verbs, strict=True):
        if named := [name for name, given in answers.items() if given is answer]:
            clauses.append(template.format(listing(named), verb=verb))
    if unsaid := [name for name, given in answers.items() if given is None]:
        clauses.append(unknown.format(listing(unsaid)))
    return clauses


def scope_note(statistics: Statistics, split: str) -> str | None:
    """Whether the tests on a split speak of the trained networks or of training this way; None if they differ."""
    scopes = sorted({c.scope for c in statistics.comparisons if c.split == split and c.scope})
    if scopes == ["models trained this way"]:
        return "Intervals and tests include what training again from other seeds would change."
    if scopes == ["these trained models"]:
        return (
            "The tests speak of these trained networks on expressions like these; they do not say how far training "
            "again from other seeds would move the figures."
        )
    return None


def all_gaps(inputs: Inputs) -> list[str]:
    """What any page lacks, in words."""
    gaps = [f"Run {run.name}: {'; '.join(run.gaps)}" for run in inputs.runs if run.gaps]
    gaps += [f"{table.number}, {gap}" for table in inputs.tables.values() for gap in table.gaps]
    return gaps + [f"Gallery: {gap}" for gap in inputs.gallery.gaps]
