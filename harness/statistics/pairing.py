"""Per-sample tables made comparable: checked, put in one order, two of them joined expression by expression."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import HarnessError
from harness.metrics import sample_features

KEYS = ("dataset", "split", "protocol", "ref_id", "sentence")
_SCALARS = ("model", "variant", "dataset", "split", "protocol")  # one value a table
_NAMED = 5  # so many ref_ids stand in an error message


@dataclass(frozen=True)
class Subject:
    """Whose results: a model's variant and the seeds of the runs that were used (none if the table names none)."""

    model: str | None
    variant: str | None
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """The variant's id, e.g. "mafn-full"; "unnamed" for a table without these columns."""
        return "-".join(part for part in (self.model, self.variant) if part) or "unnamed"

    def to_dict(self) -> dict[str, Any]:
        """Return the record in statistics.json."""
        return {"model": self.model, "variant": self.variant, "seeds": list(self.seeds)}


@dataclass(frozen=True)
class Aligned:
    """One model's samples, sorted by (ref_id, sentence), one layer of features a seed."""

    subject: Subject
    dataset: str | None
    split: str | None
    protocol: str | None
    keys: pd.DataFrame  # ref_id, sentence [n]
    keyed_on: tuple[str, ...]  # those of KEYS that the table has
    features: npt.NDArray[np.float64]  # [n, seeds, features]
    cluster: str  # the column that clusters the samples
    clusters: npt.NDArray[Any]  # [n] its values
    mask_area: npt.NDArray[Any] | None  # [n] pixels of the true masks

    @property
    def n(self) -> int:
        """Number of expressions."""
        return len(self.keys)


@dataclass(frozen=True)
class Pair:
    """Two models on the same expressions, with all their runs; the seeds of A and B are independent."""

    a: Subject
    b: Subject
    aligned: Aligned  # one of the two, for what they share
    paired_on: tuple[str, ...]
    features_a: npt.NDArray[np.float64]  # [n, runs of a, features]
    features_b: npt.NDArray[np.float64]  # [n, runs of b, features]


def cluster_column(cluster: str, *tables: pd.DataFrame) -> str:
    """Return the column that clusters the samples of all tables: `cluster`, or image_id where that is absent.

    Raises:
        HarnessError: a table has neither.
    """
    for column in (cluster, "image_id"):
        if all(column in table for table in tables):
            return column
    raise HarnessError(f"a per-sample table has neither {cluster} nor image_id: no clusters to resample")


def align(samples: pd.DataFrame, *, cluster: str = "cluster_id") -> Aligned:
    """Check one model's per-sample table, of one or several seeds, and sort it.

    Args:
        samples: columns ref_id, sentence, intersection, union and `cluster` (or image_id); optionally model,
            variant, seed, dataset, split, protocol and mask_area.
        cluster: the column whose values group dependent samples.

    Raises:
        HarnessError: no rows; a missing column or value; several models, splits, datasets or protocols; an
            expression twice; seeds that hold different expressions, true masks or clusters.
    """
    if samples.empty:
        raise HarnessError("the per-sample table has no rows")
    cluster = cluster_column(cluster, samples)
    required = ["ref_id", "sentence", cluster]
    if missing := [name for name in required if name not in samples]:
        raise HarnessError(f"the per-sample table lacks the column {', '.join(missing)}")
    scalars = {name: _only_value(samples, name) for name in _SCALARS}
    seeded = "seed" in samples
    for name in [*required, *(["seed"] if seeded else [])]:
        if samples[name].isna().any():
            raise HarnessError(f"{_name(scalars)}: {int(samples[name].isna().sum())} rows have no {name}")

    order = [*(["seed"] if seeded else []), "ref_id", "sentence"]
    samples = samples.sort_values(order, kind="stable", ignore_index=True)
    if (twice := samples.duplicated(order)).any():
        raise HarnessError(
            f"{_name(scalars)}: {int(twice.sum())} expressions occur more than once"
            f"{' with the same seed' if seeded else ''}: {_refs(samples.loc[twice, 'ref_id'])}"
        )
    seeds = tuple(int(seed) for seed in samples["seed"].unique()) if seeded else ()
    layers = [layer for _, layer in samples.groupby("seed", sort=True)] if seeded else [samples]
    first = layers[0].reset_index(drop=True)
    shared = [name for name in ("ref_id", "sentence", cluster, "mask_area") if name in samples]
    for seed, layer in zip(seeds[1:], layers[1:], strict=True):
        same_keys = len(layer) == len(first) and _equal(first, layer, ["ref_id", "sentence"])
        if not same_keys or not _equal(first, layer, shared):
            what = "expressions" if not same_keys else "clusters or true masks"
            raise HarnessError(
                f"{_name(scalars)}: the runs with seeds {seeds[0]} ({len(first)} rows) and {seed} ({len(layer)} rows) "
                f"hold different {what}; evaluate both on the same data"
            )
    features = sample_features(samples).reshape(len(layers), len(first), -1).swapaxes(0, 1)
    return Aligned(
        subject=Subject(scalars["model"], scalars["variant"], seeds),
        dataset=scalars["dataset"],
        split=scalars["split"],
        protocol=scalars["protocol"],
        keys=first[["ref_id", "sentence"]],
        keyed_on=tuple(name for name in KEYS if name in samples),
        features=features,
        cluster=cluster,
        clusters=first[cluster].to_numpy(),
        mask_area=first["mask_area"].to_numpy() if "mask_area" in first else None,
    )


def pair(
    a: pd.DataFrame, b: pd.DataFrame, *, cluster: str = "cluster_id", names: tuple[str, str] | None = None
) -> Pair:
    """Join two models' per-sample tables on (dataset, split, protocol, ref_id, sentence).

    Args:
        a, b: per-sample tables as `align` takes them.
        cluster: as for `align`.
        names: what errors call the two; None: the models in them.

    Raises:
        HarnessError: the tables hold different expressions, clusters or true masks.
    """
    cluster = cluster_column(cluster, a, b)
    left, right = align(a, cluster=cluster), align(b, cluster=cluster)
    first, second = names or (left.subject.name, right.subject.name)
    both = f"A ({first}) and B ({second})"
    for name in ("dataset", "split", "protocol"):
        ours, theirs = getattr(left, name), getattr(right, name)
        if ours is not None and theirs is not None and ours != theirs:
            raise HarnessError(f"{both} cannot be paired: {name} {ours!r} against {theirs!r}")
    if left.n != right.n or not _equal(left.keys, right.keys, ["ref_id", "sentence"]):
        raise HarnessError(f"{both} do not hold the same expressions: {_difference(left.keys, right.keys)}")
    if len(different := np.flatnonzero(left.clusters != right.clusters)):
        raise HarnessError(
            f"{both}: {cluster} differs for {len(different)} expressions, {_refs(left.keys['ref_id'][different])}; "
            "evaluate both on the same prepared data"
        )
    if left.mask_area is not None and right.mask_area is not None:
        different = np.flatnonzero(left.mask_area != right.mask_area)
        if len(different):
            raise HarnessError(
                f"{both}: the true masks differ in size for {len(different)} expressions, "
                f"{_refs(left.keys['ref_id'][different])}; networks of different input size are compared under the "
                "native protocol"
            )
    return Pair(
        a=left.subject,
        b=right.subject,
        aligned=left,
        paired_on=tuple(name for name in left.keyed_on if name in right.keyed_on),
        features_a=left.features,
        features_b=right.features,
    )


def _only_value(samples: pd.DataFrame, column: str) -> str | None:
    if column not in samples:
        return None
    values = samples[column].unique()
    if len(values) > 1:
        raise HarnessError(
            f"a per-sample table mixes {len(values)} values of {column} ({_list(values[:_NAMED])}); "
            "compare one at a time"
        )
    return None if pd.isna(values[0]) else str(values[0])


def _equal(left: pd.DataFrame, right: pd.DataFrame, columns: list[str]) -> bool:
    return all(np.array_equal(left[name].to_numpy(), right[name].to_numpy()) for name in columns)


def _difference(left: pd.DataFrame, right: pd.DataFrame) -> str:
    ours = set(left.itertuples(index=False, name=None))
    theirs = set(right.itertuples(index=False, name=None))
    parts = []
    for where, lacking in (("A", theirs - ours), ("B", ours - theirs)):
        if lacking:
            parts.append(f"{len(lacking):,} missing in {where} ({_refs(ref for ref, _ in sorted(lacking))})")
    return f"{'; '.join(parts)}. A has {left.shape[0]:,}, B has {right.shape[0]:,}; evaluate both on the same data"


def _name(scalars: dict[str, str | None]) -> str:
    return Subject(scalars["model"], scalars["variant"], ()).name


def _refs(ref_ids: Any) -> str:
    ref_ids = list(ref_ids)
    return f"ref_id {_list(ref_ids[:_NAMED])}{', ...' if len(ref_ids) > _NAMED else ''}"


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values)
