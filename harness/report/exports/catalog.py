"""Every table that leaves the report, by its name."""

from collections.abc import Callable, Mapping
from functools import partial
from textwrap import fill
from types import MappingProxyType

from harness.errors import HarnessError, suggestion
from harness.report.exports import code, comparisons, costs, findings, records
from harness.report.exports.formats import FORMATS, SUFFIXES
from harness.report.exports.papers import paper_export, reruns_export
from harness.report.exports.table import Export
from harness.report.sections import Inputs

AUDIT = ("unreached", "uncertain", "shares", "means", "claims", "repeats", "share-details", "spreads")

EXPORTS: Mapping[str, Callable[[Inputs], Export]] = MappingProxyType(
    {
        "1": partial(paper_export, key="table1"),
        "reruns": reruns_export,
        "2": partial(paper_export, key="table2"),
        "3": partial(paper_export, key="table3"),
        "reproduction": findings.reproduction_export,
        "significance": comparisons.significance_export,
        "pairs": comparisons.pairs_export,
        "ranks": comparisons.ranks_export,
        "breakdowns": findings.breakdowns_export,
        "sanity": findings.sanity_export,
        "features": costs.features_export,
        "runs": records.runs_export,
        "efficiency": costs.efficiency_export,
        "checkpoints": findings.checkpoints_export,
        "splits": records.splits_export,
        "defects": records.defects_export,
        "categories": records.categories_export,
        "sizes": records.sizes_export,
        "sentences": records.sentences_export,
        **{f"audit-{key}": partial(records.audit_export, key=key) for key in AUDIT},
        "fidelity": code.fidelity_export,
        "parity": code.parity_export,
        "environment": records.environment_export,
        "durations": costs.durations_export,
        "artefacts": code.artefacts_export,
    }
)


def require_name(name: str) -> None:
    """Refuse a name that no table has.

    Raises:
        HarnessError: names the closest one and all there are.
    """
    if name not in EXPORTS:
        lines = fill(", ".join(EXPORTS), 76, break_on_hyphens=False)
        raise HarnessError(f"there is no table {name!r}.{suggestion(name, list(EXPORTS))} Tables:\n{lines}")


def table_files(inputs: Inputs) -> dict[str, str]:
    """Every table in every format, by the file's name; the same inputs give the same text."""
    files = {}
    for name, build in EXPORTS.items():
        export = build(inputs)
        for form, write in FORMATS.items():
            files[f"{name}.{SUFFIXES[form]}"] = write(export)
    return files
