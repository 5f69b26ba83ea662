"""Making the reference from the evaluated runs of a profile, and saying what changed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from pycocotools import mask as coco_mask

from harness import metrics
from harness.config import Params
from harness.data import Rle
from harness.data.inspection import decode_mask
from harness.data.prepare import open_split
from harness.errors import HarnessError
from harness.files import read_json
from harness.gate.exact import counts, recompute
from harness.gate.noise import measure_noise
from harness.gate.reference import (
    KEY,
    PROTOCOL,
    RESAMPLES,
    SCHEMA_VERSION,
    SPLIT,
    Noise,
    Reference,
    Settings,
    by_key,
    gated_runs,
)
from harness.gate.retrained import samples_moved
from harness.metrics import METRICS
from harness.report.predictions import read_masks
from harness.samples import SCHEMA_VERSION as SAMPLES_SCHEMA
from harness.statistics.evaluated import evaluate_command, read_run

RECIPE = (
    "data.dataset",
    "data.synthetic",
    "text",
    "image_size",
    "preset",
    "training",
    "evaluation.batch_size",
)


def make_reference(params: Params, noise: Noise | Params) -> Reference:
    """Make a reference of the evaluated runs of Table I.

    Args:
        params: the profile.
        noise: of an earlier reference, or the evaluated profile with other seeds on which it is measured.

    Raises:
        HarnessError: a run is not evaluated or does not fit the others, or `noise` is about other networks.
    """
    runs = gated_runs(params)
    tables = _tables(params, runs)
    first = tables[next(iter(runs.values()))[0]]
    if isinstance(noise, Params):
        noise = _measure(params, noise, first)
    if lacking := [variant for variant in runs if variant not in noise.sd]:
        raise HarnessError(
            f"the seed noise of {', '.join(lacking)} was never measured; name an evaluated profile that trains it with "
            "several seeds: --seed-runs PARAMS"
        )
    settings = Settings(
        schema_version=SCHEMA_VERSION,
        samples_schema=SAMPLES_SCHEMA.decode(),
        profile=params.profile,
        dataset=params.data.dataset,
        split=SPLIT,
        protocol=PROTOCOL,
        image_size=params.image_size,
        expressions=len(first),
        resamples=RESAMPLES,
        runs=runs,
        noise=noise,
        trained_with=_trained_with(params, next(iter(runs.values()))[0]),
        files={},  # when they are written
    )
    masks = _masks(params, runs, first)
    for variant, names in runs.items():
        found = counts(masks, variant, params.image_size)
        for column in ("intersection", "union"):
            if (different := found[column].to_numpy() != tables[names[0]][column].to_numpy()).any():
                ref_id = first["ref_id"][int(np.flatnonzero(different)[0])]
                raise HarnessError(
                    f"{names[0]}: the {column} of ref_id {ref_id} is not that of its mask in predictions.parquet; "
                    f"evaluate it again with `{evaluate_command(params, names[0])}`"
                )
    return Reference(settings, recompute(params, settings, masks, tables), masks, tables)


def recomputed(params: Params, old: Reference) -> Reference:
    """The same reference with everything that follows from its masks and tables computed anew."""
    settings = old.settings.model_copy(update={"resamples": RESAMPLES, "files": {}})
    return replace(old, settings=settings, exact=recompute(params, settings, old.masks, old.tables))


def changes(old: Reference | None, new: Reference) -> list[str]:
    """Say, a line each, in what a new reference differs from the old one; nothing when it does not."""
    if old is None:
        return ["the first reference"]
    lines = []
    before, now = (reference.settings.model_dump(exclude={"files", "noise"}) for reference in (old, new))
    lines += [f"{name}: {before[name]} -> {now[name]}" for name in now if before[name] != now[name]]
    for variant in new.settings.runs:
        if variant not in old.settings.runs:
            lines.append(f"{variant}: new")
            continue
        lines += _metrics_changed(old, new, variant)
    if not old.masks[KEY].equals(new.masks[KEY]):
        lines.append(f"samples: {len(old.masks):,} -> {len(new.masks):,}, not the same")
    elif not old.masks["truth"].equals(new.masks["truth"]):
        lines.append("the true masks")
    if new.settings.noise != old.settings.noise:
        lines += _noise_changed(old.settings.noise, new.settings.noise)
    for part in ("metrics", "comparisons", "tables"):
        names = [name for name, value in new.exact[part].items() if value != old.exact[part].get(name)]
        lines += [f"exact.json, {part}: {name}" for name in names]
    return lines


def same(old: Reference | None, new: Reference) -> bool:
    """Whether a reference need not be written."""
    return old is not None and (
        old.settings.model_copy(update={"files": {}}) == new.settings
        and old.exact == new.exact
        and old.masks.equals(new.masks)
        and old.tables.keys() == new.tables.keys()
        and all(old.tables[run].equals(table) for run, table in new.tables.items())
    )


def _metrics_changed(old: Reference, new: Reference, variant: str) -> Iterator[str]:
    means = [_mean_metrics(reference, variant) for reference in (old, new)]
    for metric in METRICS:
        before, now = means[0][metric], means[1][metric]
        if before != now:
            yield f"{variant} {metric}: {before:.2f} -> {now:.2f} ({now - before:+.2f})"
    if old.masks[KEY].equals(new.masks[KEY]) and variant in old.masks:
        different = int((old.masks[variant] != new.masks[variant]).sum())
        if different:
            yield f"{variant}: {different:,} of {len(new.masks):,} predicted masks"


def _mean_metrics(reference: Reference, variant: str) -> dict[str, float]:
    runs = [metrics.summarize(reference.tables[run]) for run in reference.settings.runs[variant]]
    return {metric: sum(run[metric] for run in runs) / len(runs) for metric in METRICS}


def _noise_changed(before: Noise, now: Noise) -> Iterator[str]:
    yield f"seed noise: measured on {now.profile}, seeds {', '.join(map(str, now.seeds))}"
    for variant, deviations in now.sd.items():
        old = before.sd.get(variant, {})
        yield f"seed SD of {variant}: " + ", ".join(
            f"{metric} {f'{old[metric]:.2f} -> ' if metric in old else ''}{value:.2f}"
            for metric, value in deviations.items()
        )


def _tables(params: Params, runs: dict[str, tuple[str, ...]]) -> dict[str, pd.DataFrame]:
    tables = {run: by_key(read_run(params, run, SPLIT, PROTOCOL)) for names in runs.values() for run in names}
    first, *others = tables
    for run in others:
        if moved := list(samples_moved(tables[first], tables[run])):
            raise HarnessError(f"{run} and {first} were evaluated on different data: {'; '.join(moved)}")
    return tables


def _measure(params: Params, seeds: Params, samples: pd.DataFrame) -> Noise:
    """Measure the noise on a profile that differs in its seeds alone."""
    for name in RECIPE:
        ours, theirs = (_at(profile, name) for profile in (params, seeds))
        if ours != theirs:
            raise HarnessError(
                f"{seeds.params}: {name} is {theirs}, but {ours} in {params.params}: other networks"
            )
    runs = gated_runs(seeds)
    by_seed: dict[str, pd.DataFrame] = {}
    for variant in gated_runs(params):
        if variant not in runs or seeds.variants[variant] != params.variants[variant]:
            raise HarnessError(f"{seeds.params} does not train {variant} as {params.params} has it")
        if len(runs[variant]) < 2:
            raise HarnessError(f"{seeds.params} has one seed of {variant}; seed noise needs two, better five")
        tables = _tables(seeds, {variant: runs[variant]})
        for run, table in tables.items():
            if moved := list(samples_moved(samples, table)):
                raise HarnessError(f"{run} of {seeds.params} was evaluated on other data: {'; '.join(moved)}")
        by_seed[variant] = pd.concat(tables.values(), ignore_index=True)
    if len({tuple(table["seed"].unique()) for table in by_seed.values()}) > 1:
        raise HarnessError(f"{seeds.params} has not the same seeds for every variant of Table I")
    return measure_noise(seeds.profile, by_seed, RESAMPLES)


def _at(params: Params, name: str) -> Any:
    value: Any = params
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _masks(params: Params, runs: dict[str, tuple[str, ...]], samples: pd.DataFrame) -> pd.DataFrame:
    masks = samples[KEY].copy()
    masks["truth"] = _aligned(_true_masks(params), samples, str(params.split_file(SPLIT)))
    for variant, names in runs.items():
        path = params.run_dir(names[0]) / "predictions.parquet"
        try:
            stored = read_masks(path)
            side = set(stored["height"]) | set(stored["width"])
            predicted = stored.set_index(KEY)["prediction"]
        except (OSError, ValueError):
            raise HarnessError(
                f"{path} cannot be read; `{evaluate_command(params, names[0])}` writes it"
            ) from None
        if side != {params.image_size}:
            raise HarnessError(
                f"{path} holds masks of {side} pixels, {params.params} says {params.image_size}"
            )
        masks[variant] = _aligned(predicted, samples, str(path))
    return masks


def _aligned(encoded: "pd.Series[Any]", samples: pd.DataFrame, path: str) -> np.ndarray:
    wanted = pd.MultiIndex.from_frame(samples[KEY])
    if len(encoded) != len(wanted) or not wanted.isin(encoded.index).all():
        raise HarnessError(f"{path} holds other samples than the tables of the runs; evaluate them again")
    return encoded.reindex(wanted).to_numpy()


def _true_masks(params: Params) -> "pd.Series[Any]":
    """The true masks at the networks' input size, by ref_id and sentence."""
    columns = ["ref_id", "sentence", "height", "width", "mask_counts"]
    split = open_split(params.split_file(SPLIT)).select(columns).to_pandas()
    side = params.image_size
    resize = _resize if ((split["height"] != side) | (split["width"] != side)).any() else None
    encoded = []
    for row in split.itertuples():
        if resize is None:
            encoded.append(row.mask_counts)
            continue
        mask = decode_mask(Rle(row.height, row.width, row.mask_counts))
        resized = np.asfortranarray(resize()(mask, side))
        encoded.append(coco_mask.encode(resized)["counts"].decode())
    return pd.Series(encoded, index=pd.MultiIndex.from_frame(split[KEY]))


def _resize() -> Callable[[np.ndarray, int], np.ndarray]:
    from harness.data.resize import resize_mask  # imports torch, which nothing else here needs

    return resize_mask


def _trained_with(params: Params, run: str) -> dict[str, Any]:
    try:
        found = read_json(params.run_dir(run) / "provenance.json", "harness train")
    except HarnessError:
        return {}
    kept = {name: found[name] for name in ("commit", "dirty", "device", "cores", "threads") if name in found}
    versions = found.get("versions", {})
    kept["versions"] = {
        name: versions[name] for name in ("torch", "numpy", "scipy", "pycocotools") if name in versions
    }
    return kept
