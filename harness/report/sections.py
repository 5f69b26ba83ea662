"""The sections of the report: for each its heading and what its template is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.audit import audit
from harness.audit.audit import Audit
from harness.audit.page import audit_context
from harness.config import Params
from harness.published import Published, read_published
from harness.report import wording
from harness.report.breakdowns import breakdowns_context
from harness.report.checkpoints import read_checkpoints
from harness.report.comparisons import comparison_groups, sanity_rows
from harness.report.data import DataFacts, read_data
from harness.report.efficiency import Efficiency, read_efficiency
from harness.report.features import Features, draw_features
from harness.report.fidelity import fidelity_context
from harness.report.figures import forest_plot, training_curves
from harness.report.gallery import Gallery, read_gallery
from harness.report.inputs import Comparison, Run, Statistics, read_runs, read_statistics
from harness.report.overview import overview_context
from harness.report.pairs import all_pairs
from harness.report.provenance import provenance_context
from harness.report.reproduction import reproduced_cells, verdicts, verdicts_in_words
from harness.report.selection import HALVES, TIE
from harness.report.tables import RUN_COLUMNS, Table, paper_table

CURVES = (("val_mIoU", "mIoU on val (percent)"), ("loss", "Training loss"))


@dataclass(frozen=True)
class Inputs:
    """What several sections speak of, read once."""

    params: Params
    statistics: Statistics
    published: Published
    runs: tuple[Run, ...]
    tables: dict[str, Table]  # by "table1", "table2", "table3"
    gallery: Gallery

    @property
    def title(self) -> str:
        """The report's title: which models it compares."""
        return f"{wording.listing(list(self.params.tables.table1.rows))} under one protocol"

    @cached_property
    def audit(self) -> Audit:
        """What the published numbers say of themselves."""
        return audit(self.published)

    @cached_property
    def data(self) -> DataFacts | None:
        """The data card; None where the prepared files are missing."""
        return read_data(self.params)

    @cached_property
    def features(self) -> Features:
        """The drawn feature maps."""
        return draw_features(self.params)

    @cached_property
    def efficiency(self) -> Efficiency:
        """What the networks cost."""
        return read_efficiency(self.runs, self.statistics)


def read_inputs(params: Params) -> Inputs:
    """Read statistics.json, the published numbers and the runs.

    Raises:
        HarnessError: statistics.json or the published numbers are missing or damaged.
    """
    statistics = read_statistics(params.statistics_file)
    published = read_published(params.report.published)
    tables = {key: paper_table(key, params, statistics, published) for key in ("table1", "table2", "table3")}
    return Inputs(params, statistics, published, read_runs(params), tables, read_gallery(params))


@dataclass(frozen=True)
class Section:
    """A part of a page: its anchor, its heading in the contents, its template and what that is given."""

    key: str
    title: str
    template: str
    context: Callable[[Inputs], dict[str, Any]]


def _sizes_sentence(table: Table) -> str:
    if not table.sizes:
        return "No split was measured."
    return f"Measured on {wording.listing([f'{n:,} ({split})' for split, n in table.sizes.items()])} expressions."


def _checkpoint_sentence(params: Params) -> str:
    """Which weights were evaluated, as `harness.training.loop` chooses them."""
    if not params.trains:
        return (
            "Weights: as their files hold them; how they were chosen is not known here. Weights that were chosen on "
            "val read a little high in its columns."
        )
    every = params.training.validate_every
    looked = "each epoch" if every == 1 else f"every {every} epochs and after the last"
    return (
        f"Checkpoint: the weights with the best oIoU on val, looked at after {looked} (recipe "
        f"{params.training.recipe}). The val columns stand on the split that chose the weights, so they read a"
        " little high."
    )


def _pairing_sentence(comparisons: Sequence[Comparison]) -> str:
    first = comparisons[0]
    paired = wording.listing(list(first.paired_on)) if first.paired_on else "the expression"
    return (
        f"Two models are compared on the same expressions: their per-sample tables are joined on {paired}, "
        "and each test looks at the differences within the pairs."
    )


def _method_lines(statistics: Statistics) -> list[str]:
    """How the tests were made, from what the comparisons themselves record."""
    every = statistics.comparisons
    tests = list(dict.fromkeys((metric, found.test) for c in every for metric, found in c.metrics.items()))
    by_test: dict[str, list[str]] = {}
    for metric, test in tests:
        by_test.setdefault(test, []).append(metric)
    clusters = list(
        dict.fromkeys((c.split, c.n_clusters, c.cluster) for c in every if c.n_clusters is not None)
    )
    lines = [
        f"Intervals: {statistics.percent}, {statistics.resamples:,} bootstrap resamples. "
        f"Permutation tests: {statistics.permutations:,} permutations. Seed {statistics.seed}.",
        *(
            f"Test for {'every metric' if len(by_test) == 1 else wording.listing(metrics)}: {test}."
            for test, metrics in by_test.items()
        ),
        "Resampled and permuted by cluster: "
        + "; ".join(
            f"{n:,} clusters of {cluster or 'the image'} on {split}" for split, n, cluster in clusters
        )
        + "."
        if clusters
        else "Resampled and permuted expression by expression.",
        *(f"Holm's correction covers {family}." for family in sorted({c.family for c in every if c.family})),
        *(f"Scope of the p-values: {scope}." for scope in sorted({c.scope for c in every if c.scope})),
        f"Significant means a Holm-adjusted p below {statistics.alpha:g}.",
    ]
    if any(len(seeds) == 1 for c in every for seeds in c.seeds):
        lines.append("Where a side has one seed, seed variance is not estimated.")
    return lines


def _table1(inputs: Inputs) -> dict[str, Any]:
    return {
        "sizes_sentence": _sizes_sentence(inputs.tables["table1"]),
        "checkpoint_sentence": _checkpoint_sentence(inputs.params),
    }


def _reproduction(inputs: Inputs) -> dict[str, Any]:
    margin = inputs.params.statistics.margin
    cells = {key: reproduced_cells(table, margin) for key, table in inputs.tables.items()}
    return {
        "reproductions": cells,
        "reproduction_sentence": verdicts_in_words(
            (cell for each in cells.values() for cell in each), margin
        ),
        "verdicts": verdicts(inputs.statistics.percent),
    }


def _significance(inputs: Inputs) -> dict[str, Any]:
    from markupsafe import Markup

    statistics = inputs.statistics
    groups = comparison_groups(inputs.params, statistics)
    forest = forest_plot(groups, statistics.alpha)
    return {
        "groups": groups,
        "all_pairs": all_pairs(inputs),
        "forest": Markup(forest) if forest else None,
        "pairing_sentence": _pairing_sentence(statistics.comparisons) if statistics.comparisons else "",
        "method_lines": _method_lines(statistics),
    }


def _training(inputs: Inputs) -> dict[str, Any]:
    from markupsafe import Markup

    figures = [(label, training_curves(inputs.runs, column, label)) for column, label in CURVES]
    return {
        "curves": [{"title": label, "svg": Markup(svg) if svg else None} for label, svg in figures],
        "run_columns": RUN_COLUMNS,
    }


def _efficiency(inputs: Inputs) -> dict[str, Any]:
    from markupsafe import Markup

    found = inputs.efficiency
    drawn = {"against_operations": found.against_operations, "against_rate": found.against_rate}
    return {"efficiency": found, **{key: Markup(svg) if svg else None for key, svg in drawn.items()}}


def _nothing(_: Inputs) -> dict[str, Any]:
    return {}


SECTIONS = {
    section.key: section
    for section in (
        Section("summary", "What was measured", "_summary.html.j2", overview_context),
        Section("table1", "Table I", "_table1.html.j2", _table1),
        Section("table2", "Table II", "_ablation.html.j2", _nothing),
        Section("table3", "Table III", "_ablation.html.j2", _nothing),
        Section("reproduction", "Reproduction", "_reproduction.html.j2", _reproduction),
        Section("significance", "Significance", "_significance.html.j2", _significance),
        Section(
            "sanity",
            "Sanity checks",
            "_sanity.html.j2",
            lambda inputs: {"sanity": sanity_rows(inputs.params, inputs.statistics)},
        ),
        Section("breakdowns", "Breakdowns", "_breakdowns.html.j2", breakdowns_context),
        Section(
            "gallery",
            "Gallery of predictions",
            "_gallery.html.j2",
            lambda inputs: {"gallery": inputs.gallery, "halves": HALVES, "tie": TIE},
        ),
        Section(
            "features",
            "Feature maps",
            "_features.html.j2",
            lambda inputs: {"features": inputs.features},
        ),
        Section("training", "Curves and runs", "_training.html.j2", _training),
        Section("efficiency", "Cost beside quality", "_efficiency.html.j2", _efficiency),
        Section(
            "checkpoints",
            "Choice of the checkpoint",
            "_checkpoints.html.j2",
            lambda inputs: {"checkpoints": read_checkpoints(inputs.runs)},
        ),
        Section("data", "Data", "_data.html.j2", lambda inputs: {"data": inputs.data}),
        Section(
            "audit",
            "Published tables, audited",
            "_audit.html.j2",
            lambda inputs: {"audit": audit_context(inputs.audit)},
        ),
        Section("fidelity", "Paper, code, ours", "_fidelity.html.j2", fidelity_context),
        Section("provenance", "Provenance", "_provenance.html.j2", provenance_context),
        Section("glossary", "Names and words", "_glossary.html.j2", _nothing),
    )
}
