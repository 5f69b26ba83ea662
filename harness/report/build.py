"""One self-contained HTML page: the paper's tables measured and published, tests, predictions, provenance."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.audit import audit
from harness.audit.page import audit_context
from harness.config import Params
from harness.files import atomic_write
from harness.published import read_published
from harness.report import wording
from harness.report.checkpoints import read_checkpoints
from harness.report.comparisons import ComparisonGroup, SanityRow, comparison_groups, sanity_rows
from harness.report.data import read_data
from harness.report.figures import forest_plot, training_curves
from harness.report.inputs import Comparison, Run, Statistics, read_runs, read_statistics
from harness.report.overlays import TILE, draw_overlays
from harness.report.reproduction import reproduced_cells, verdicts, verdicts_in_words
from harness.report.tables import (
    ENCODERS,
    RUN_COLUMNS,
    WITH_INTERVAL,
    Encoders,
    Table,
    environment,
    paper_table,
)
from harness.report.templating import stylesheet, templates

CONTENTS = (
    ("summary", "What was measured"),
    ("table1", "Table I"),
    ("table2", "Table II"),
    ("table3", "Table III"),
    ("reproduction", "Reproduction"),
    ("audit", "Published tables, audited"),
    ("significance", "Significance"),
    ("sanity", "Sanity checks"),
    ("checkpoints", "Choice of the checkpoint"),
    ("overlays", "Predictions"),
    ("data", "Data"),
    ("training", "Training"),
    ("provenance", "Provenance"),
    ("glossary", "Names of metrics"),
)
CURVES = (("val_mIoU", "mIoU on val (percent)"), ("loss", "Training loss"))


def _title(params: Params) -> str:
    return f"{wording.listing(list(params.tables.table1.rows))} under one protocol"


def _sizes_sentence(table: Table) -> str:
    if not table.sizes:
        return "No split was measured."
    return f"Measured on {wording.listing([f'{n:,} ({split})' for split, n in table.sizes.items()])} expressions."


def _checkpoint_sentence(params: Params) -> str:
    """Which weights were evaluated, as `harness.training.loop` chooses them."""
    every = params.training.validate_every
    looked = "each epoch" if every == 1 else f"every {every} epochs and after the last"
    return (
        f"Checkpoint: the weights with the best oIoU on val, looked at after {looked} (recipe "
        f"{params.training.recipe}). The val columns stand on the split that chose the weights, so they read a"
        " little high."
    )


def _sanity_sentence(rows: Sequence[SanityRow], statistics: Statistics) -> str:
    """Both checks over all models in two short sentences; a model that fails is named."""

    def outcome(answers: dict[str, bool | None], everyone: str, fails: str, unknown: str) -> str:
        failing = [name for name, answer in answers.items() if answer is False]
        unsaid = [name for name, answer in answers.items() if answer is None]
        parts = []
        if failing:
            parts.append(fails.format(wording.listing(failing)))
        if unsaid:
            parts.append(unknown.format(wording.listing(unsaid)))
        return " ".join(parts) if parts else everyone.format(wording.listing(list(answers)))

    within = f"{statistics.percent} interval"
    return " ".join(
        [
            outcome(
                {row.name: row.above_trivial for row in rows},
                f"The test mIoU of {{}} lies with its whole {within} above every trivial predictor's.",
                f"The test mIoU of {{}} does not lie with its whole {within} above every trivial predictor's.",
                "For {} the comparison with trivial predictors was not measured.",
            ),
            outcome(
                {row.name: row.uses_sentence for row in rows},
                "Shuffling the sentences between images lowers the test mIoU of {} significantly.",
                "Shuffling the sentences between images does not lower the test mIoU of {} significantly.",
                "For {} shuffled sentences were not measured.",
            ),
        ]
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


def _all_gaps(runs: Sequence[Run], tables: Sequence[Table], overlay_gaps: Sequence[str]) -> list[str]:
    gaps = [f"Run {run.name}: {'; '.join(run.gaps)}" for run in runs if run.gaps]
    gaps += [f"{table.number}, {gap}" for table in tables for gap in table.gaps]
    return gaps + [f"Predictions: {gap}" for gap in overlay_gaps]


def _context(params: Params) -> dict[str, Any]:
    import yaml
    from markupsafe import Markup

    statistics = read_statistics(params.statistics_file)
    published = read_published(params.report.published)
    runs = read_runs(params)
    names = {variant: name for name, variant in params.tables.table1.rows.items()}
    tables = {key: paper_table(key, params, statistics, published) for key in ("table1", "table2", "table3")}
    reproductions = {key: reproduced_cells(table, params.statistics.margin) for key, table in tables.items()}
    groups: tuple[ComparisonGroup, ...] = comparison_groups(params, statistics)
    forest = forest_plot(groups, statistics.alpha)
    overlays = draw_overlays(params)
    sanity = sanity_rows(params, statistics)
    measured = {row.variant: row.measure for row in sanity}
    top = max((measure.value for measure in measured.values() if measure), default=None)
    return {
        "title": _title(params),
        "stylesheet": stylesheet(),
        "contents": CONTENTS,
        "params": params,
        "statistics": statistics,
        "published": published,
        "audit": audit_context(audit(published)),
        "on_rrsisd": wording.is_rrsisd(statistics.dataset),
        "with_interval": WITH_INTERVAL,
        "cards": [
            {
                "name": names[variant],
                "split": "test",
                "measure": measure,
                "best": measure is not None and measure.value == top,
            }
            for variant, measure in measured.items()
        ],
        "findings": wording.findings(statistics, names, "test"),
        "sanity_sentence": _sanity_sentence(sanity, statistics),
        "tables": tables,
        "sizes_sentence": _sizes_sentence(tables["table1"]),
        "checkpoint_sentence": _checkpoint_sentence(params),
        "encoders": ENCODERS.get(params.preset, Encoders(f"Swin, {params.preset}", f"BERT, {params.preset}")),
        "reproductions": reproductions,
        "reproduction_sentence": verdicts_in_words(
            (cell for cells in reproductions.values() for cell in cells), params.statistics.margin
        ),
        "verdicts": verdicts(statistics.percent),
        "groups": groups,
        "forest": Markup(forest) if forest else None,
        "pairing_sentence": _pairing_sentence(statistics.comparisons) if statistics.comparisons else "",
        "method_lines": _method_lines(statistics),
        "sanity": sanity,
        "checkpoints": read_checkpoints(runs),
        "overlays": overlays,
        "data": read_data(params),
        "tile_size": TILE,
        "curves": [
            {"title": label, "svg": Markup(svg) if svg else None}
            for column, label in CURVES
            for svg in [training_curves(runs, column, label)]
        ],
        "runs": runs,
        "runs_trained": sum(run.provenance is not None for run in runs),
        "run_columns": RUN_COLUMNS,
        "environment": environment(runs),
        "params_yaml": yaml.safe_dump(
            params.model_dump(mode="json"),
            sort_keys=False,
            allow_unicode=True,
            width=100,
            default_flow_style=None,
        ),
        "all_gaps": _all_gaps(runs, tuple(tables.values()), overlays.gaps),
    }


def build_report(params: Params) -> Path:
    """Write the report's page.

    Args:
        params: the profile. Reads statistics.json, the runs' folders, test.arrow
            and params.report.published; the same files give the same bytes.

    Returns:
        Path of index.html in the folder params.report.html.

    Raises:
        HarnessError: statistics.json or the published numbers are missing or damaged. A missing run, history
            or prediction is no error: the page says what is not there.
    """
    page = templates().get_template("index.html.j2").render(_context(params))
    path = Path(params.report.html) / "index.html"
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path
