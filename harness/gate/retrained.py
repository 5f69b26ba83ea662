"""The retrained layer: the tables of a fresh pipeline against the committed ones.

Settings, samples and true masks must be the same, or the comparison would be of two different things: that fails
outright. A metric regresses when its drop exceeds both kinds of noise, see `harness.gate.noise`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.config import Params
from harness.errors import HarnessError
from harness.gate.noise import limits
from harness.gate.outcome import Check, Drop, Verdict
from harness.gate.reference import KEY, PROTOCOL, RESAMPLES, SPLIT, UPDATE, Reference, by_key, gated_runs
from harness.statistics import compare
from harness.statistics.evaluated import evaluate_command, read_run, table_path

NAMED = 5  # so many ref_ids stand in a message


def check_settings(params: Params, reference: Reference) -> Check:
    """Whether the profile is the one that the reference is about."""
    settings = reference.settings
    pairs = {
        "profile": (settings.profile, params.profile),
        "dataset (data.dataset)": (settings.dataset, params.data.dataset),
        "split": (settings.split, SPLIT),
        "protocol": (settings.protocol, PROTOCOL if PROTOCOL in params.evaluation.protocols else None),
        "image_size": (settings.image_size, params.image_size),
        "variants of Table I": (
            tuple(settings.runs),
            tuple(dict.fromkeys(params.tables.table1.rows.values())),
        ),
        "resamples": (settings.resamples, RESAMPLES),
    }
    moved = [
        f"{name}: reference {_shown(before)}, {params.params} {_shown(now)}"
        for name, (before, now) in pairs.items()
        if before != now
    ]
    if moved:
        moved.append(f"If that is meant, `{UPDATE}` makes it the reference")
    return Check("reference", "settings", not moved, "changed" if moved else "unchanged", tuple(moved))


def check_retrained(params: Params, reference: Reference) -> list[Check]:
    """Compare the evaluated runs of the profile with the reference.

    A variant whose runs are missing, or hold other samples than the reference, has one failed check and no drops.
    """
    try:
        runs = gated_runs(params)
    except HarnessError as error:
        return [Check("retrained", "runs", False, "missing", (str(error),))]
    checks: list[Check] = []
    for variant in reference.settings.runs:
        if variant not in runs:  # said by `check_settings`
            checks.append(
                Check(
                    "retrained", f"{variant}: samples", False, "missing", (f"no row of Table I is {variant}",)
                )
            )
            continue
        problem, fresh = _fresh_samples(params, runs[variant], reference.samples(variant))
        checks.append(problem or Check("retrained", f"{variant}: samples", True, "unchanged"))
        if problem is None:
            checks += [_check_drop(drop) for drop in _drops(reference, variant, fresh)]
    return checks


def _fresh_samples(
    params: Params, runs: tuple[str, ...], reference: pd.DataFrame
) -> tuple[Check | None, pd.DataFrame]:
    variant = params.runs[runs[0]].variant
    name = f"{variant}: samples"
    missing = [run for run in runs if not table_path(params, run, SPLIT, PROTOCOL).exists()]
    if missing:
        commands = [f"  {evaluate_command(params, run)}" for run in missing]
        lines = (
            f"{', '.join(missing)}: there is no {table_path(params, missing[0], SPLIT, PROTOCOL)}. "
            f"`dvc repro {params.pipeline}` makes all that is missing; for one network",
            *commands,
        )
        return Check("retrained", name, False, "missing", lines), reference
    tables = []
    moved: list[str] = []
    for run in runs:
        try:
            table = by_key(read_run(params, run, SPLIT, PROTOCOL))
        except HarnessError as error:
            moved.append(str(error))
            continue
        tables.append(table)
        moved += [f"{run}: {line}" for line in samples_moved(reference, table)]
    if moved:
        return Check("retrained", name, False, "changed", tuple(moved)), reference
    return None, pd.concat(tables, ignore_index=True)


def samples_moved(reference: pd.DataFrame, fresh: pd.DataFrame) -> Iterator[str]:
    """Say in what the samples of a run differ from the reference's, whatever its predictions are.

    Args:
        reference: tables of one or more runs with the same samples.
        fresh: the table of one run.
    """
    before = by_key(reference[reference["seed"] == reference["seed"].iloc[0]])
    ours, theirs = (pd.MultiIndex.from_frame(table[KEY]) for table in (before, fresh))
    if fresh.duplicated(KEY).any():
        yield f"{_refs(fresh.loc[fresh.duplicated(KEY), 'ref_id'])} occur more than once"
        return
    for word, lacking in (
        ("missing", ours.difference(theirs)),
        ("not in the reference", theirs.difference(ours)),
    ):
        if len(lacking):
            yield f"{len(lacking):,} of {len(ours):,} samples {word}: {_refs(lacking.get_level_values('ref_id'))}"
    if not ours.equals(theirs):
        return
    for column, what in (("mask_area", "other true masks"), ("cluster_id", "other clusters of images")):
        rows = np.flatnonzero(before[column].to_numpy() != fresh[column].to_numpy())
        if len(rows):
            yield f"{what} for {len(rows):,} of {len(ours):,} samples: {_refs(fresh['ref_id'][rows])}"


def _drops(reference: Reference, variant: str, fresh: pd.DataFrame) -> Iterator[Drop]:
    committed = reference.samples(variant)
    comparison = compare(committed, fresh, n_resamples=RESAMPLES)
    runs = len(comparison.a.seeds), len(comparison.b.seeds)
    for metric, found in comparison.metrics.items():
        bounds = limits(reference.settings.noise, variant, metric, runs)
        interval = found.these_models.interval  # over images: the tolerance is about seeds
        yield Drop(
            variant=variant,
            metric=metric,
            reference=found.a,
            now=found.b,
            drop=found.difference,
            interval=interval,
            tolerance=bounds.tolerance,
            smallest=bounds.smallest,
            verdict=_verdict(found.difference, interval, bounds.tolerance),
        )


def _verdict(drop: float, interval: tuple[float, float], tolerance: float) -> Verdict:
    if drop == 0:
        return "same"
    if drop > tolerance and interval[0] > 0:
        return "regressed"
    return "improved" if -drop > tolerance and interval[1] < 0 else "kept"


def _check_drop(drop: Drop) -> Check:
    words = (
        f"{drop.metric} of {drop.variant}: reference {drop.reference:.2f}, now {drop.now:.2f}, drop {drop.drop:+.2f}, "
        f"95% interval {drop.interval[0]:+.2f} to {drop.interval[1]:+.2f}, tolerance {drop.tolerance:.2f}, "
        f"a drop is seen from {drop.smallest:.2f} on"
    )
    return Check(
        "retrained",
        f"{drop.variant}: {drop.metric}",
        drop.verdict != "regressed",
        drop.verdict,
        (words,),
        drop,
    )


def _shown(value: object) -> str:
    if value is None:
        return "does not evaluate it"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _refs(ref_ids: "pd.Index[int] | pd.Series[int]") -> str:
    named = ", ".join(str(ref_id) for ref_id in list(ref_ids)[:NAMED])
    return f"ref_id {named}{', ...' if len(ref_ids) > NAMED else ''}"


def notes(reference: Reference, checks: list[Check]) -> tuple[str, ...]:
    """Say how to read the drops; nothing where there are none."""
    if not any(check.drop for check in checks):
        return ()
    noise = reference.settings.noise
    return (
        "drop = was − now, in points, each the mean over its seeds; the interval, a paired bootstrap over clusters of "
        "images, takes the networks as they are. A metric has regressed if the drop exceeds what is allowed and the "
        "interval lies above zero. Allowed is at least twice the standard deviation over "
        f"{len(noise.seeds)} seeds, and so much that a change of seeds alone fails about one gate in twenty. A true "
        "drop is caught with 80% probability from “seen from” on.",
    )
