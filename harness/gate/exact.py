"""The exact layer: from the committed masks to counts, metrics, comparisons and printed tables, once more.

Nothing is trained here and nothing depends on the machine, so what comes out must be what is committed. Counts, metrics
and texts are compared as they are: the metrics are ratios of exact sums. Intervals, p-values and effects are compared
to twelve digits: quantiles of Student's distribution and the like come from SciPy, whose last bits are its own.
"""

import math
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from harness import metrics
from harness.config import Params
from harness.data import Rle
from harness.data.inspection import decode_mask
from harness.errors import HarnessError
from harness.gate.outcome import Check
from harness.gate.printed import compare_table, table_one
from harness.gate.reference import RESAMPLES, Reference, Settings

DIGITS = 12
FIELDS = (
    "a",
    "b",
    "difference",
    "interval",
    "p_value",
    "p_adjusted",
    "effect",
)  # of a metric in a comparison
NAMED = 5  # so many ref_ids stand in a message
_BATCH = 256  # masks decoded at a time


def counts(masks: pd.DataFrame, variant: str, side: int) -> pd.DataFrame:
    """Intersection and union of a variant's committed masks with the true ones, in the order of `masks`."""
    found = []
    for start in range(0, len(masks), _BATCH):
        part = masks.iloc[start : start + _BATCH]
        intersection, union = metrics.intersection_union(
            _decode(part[variant], side), _decode(part["truth"], side)
        )
        found.append(pd.DataFrame({"intersection": intersection, "union": union}))
    return pd.concat(found, ignore_index=True)


def recompute(
    params: Params, settings: Settings, masks: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    """What exact.json holds: metrics, comparisons of all pairs, their printed tables, and Table I.

    Comparisons and their tables are made twice: from the masks of one run a variant, and from the tables of all runs.

    Args:
        params: for the rows of Table I.
        settings: of the reference, for the runs.
        masks: its masks.
        tables: its per-sample tables, by run.
    """
    by_masks: dict[str, pd.DataFrame] = {}
    by_tables: dict[str, pd.DataFrame] = {}
    for variant, runs in settings.runs.items():
        found = counts(masks, variant, settings.image_size)
        by_masks[variant] = _with_counts(tables[runs[0]], found)
        by_tables[variant] = pd.concat([tables[run] for run in runs], ignore_index=True)
    content: dict[str, Any] = {
        "metrics": {variant: metrics.summarize(table) for variant, table in by_masks.items()},
        "comparisons": {},
        "tables": {"Table I, all runs": table_one(params, by_tables, RESAMPLES)},
    }
    for what, samples in (("one run", by_masks), ("all runs", by_tables)):
        for earlier, later in combinations(settings.runs, 2):
            name = f"{later} against {earlier}, {what}"
            content["comparisons"][name] = _compared(samples[later], samples[earlier])
            content["tables"][name] = compare_table(
                {later: samples[later], earlier: samples[earlier]}, RESAMPLES
            )
    return content


def check_exact(params: Params, reference: Reference) -> list[Check]:
    """Compare what is recomputed with what is committed."""
    settings = reference.settings
    checks = [_check_counts(reference, variant) for variant in settings.runs]
    try:
        now = recompute(params, settings, reference.masks, reference.tables)
    except HarnessError as error:  # counts, say, that cannot be
        return [*checks, Check("exact", "metrics, tests and tables", False, "refused", (str(error),))]
    for variant in settings.runs:
        before = reference.exact["metrics"].get(variant, {})
        moved = list(_differences(before, now["metrics"][variant], digits=None))
        checks.append(_check(f"{variant}: metrics", [f"{variant} {line}" for line in moved]))
    for name, comparison in now["comparisons"].items():
        before = reference.exact["comparisons"].get(name, {})
        checks.append(_check(f"{name}: tests", list(_differences(before, comparison, digits=DIGITS))))
    for name, lines in now["tables"].items():
        moved = list(_lines_moved(reference.exact["tables"].get(name, []), lines))
        checks.append(_check(f"{name}: table", moved))
    return checks


def _check(name: str, moved: list[str]) -> Check:
    return Check("exact", name, not moved, "changed" if moved else "identical", tuple(moved))


def _check_counts(reference: Reference, variant: str) -> Check:
    run = reference.settings.runs[variant][0]
    committed = reference.tables[run]
    found = counts(reference.masks, variant, reference.settings.image_size)
    moved = []
    for column in ("intersection", "union"):
        before, now = committed[column].to_numpy(), found[column].to_numpy()
        rows = np.flatnonzero(before != now)
        moved += [
            f"{run} {column} of ref_id {committed['ref_id'][row]}: reference {before[row]}, now {now[row]}"
            for row in rows[:NAMED]
        ]
        if len(rows) > NAMED:
            moved.append(f"{run} {column}: {len(rows)} of {len(before)} expressions differ")
    return _check(f"{variant}: pixels", moved)


def _decode(encoded: "pd.Series[str]", side: int) -> np.ndarray:
    return np.stack([decode_mask(Rle(side, side, counts)) for counts in encoded]).astype(bool)


def _with_counts(samples: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    union = found["union"].to_numpy()
    iou = np.where(union > 0, found["intersection"] / np.maximum(union, 1), 0.0)
    return samples.assign(intersection=found["intersection"], union=union, iou=iou)


def _compared(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Any]:
    from harness.statistics import compare

    comparison = compare(a, b, n_resamples=RESAMPLES)
    found: dict[str, Any] = {"n": comparison.n, "n_clusters": comparison.n_clusters}
    for name, metric in comparison.metrics.items():
        values = {field: getattr(metric, field) for field in FIELDS}
        found[name] = {**values, "interval": list(values["interval"])}
    return found


def _differences(before: Any, now: Any, *, digits: int | None, where: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{where} {key}".strip()
            yield from _differences(before.get(key), now.get(key), digits=digits, where=inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for end, one, other in zip(("from", "to"), before, now, strict=True):
            yield from _differences(one, other, digits=digits, where=f"{where} {end}")
    elif not _equal(before, now, digits):
        yield f"{where}: reference {_value(before)}, now {_value(now)}"


def _equal(before: Any, now: Any, digits: int | None) -> bool:
    if digits is None or not (isinstance(before, int | float) and isinstance(now, int | float)):
        return bool(before == now)
    return math.isclose(before, now, rel_tol=10.0**-digits, abs_tol=10.0**-digits)


def _value(value: Any) -> str:
    return "none" if value is None else str(value)


def _lines_moved(before: Any, now: list[str]) -> Iterator[str]:
    import difflib

    if not isinstance(before, list):
        before = []
    for line in difflib.unified_diff(before, now, "reference", "now", n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield f"{'reference' if line[0] == '-' else 'now      '} {line[1:].strip()}"
