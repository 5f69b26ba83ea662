"""What the networks were fed with: sizes of the splits, pictures that splits share, defects and what was done."""

from dataclasses import dataclass

import numpy as np

from harness.config import SPLITS, Params
from harness.data.findings import KINDS
from harness.data.prepare import open_split, read_defects
from harness.errors import HarnessError


@dataclass(frozen=True)
class SplitFacts:
    """A prepared split."""

    name: str
    expressions: int
    clusters: int  # of identical and nearly identical images
    known_from_train: int  # expressions whose picture is in the train split, too


@dataclass(frozen=True)
class DefectFacts:
    """A kind of defect in the whole data set."""

    kind: str
    meaning: str
    found: int
    treatment: str


@dataclass(frozen=True)
class DataFacts:
    """The prepared data set."""

    splits: tuple[SplitFacts, ...]
    defects: tuple[DefectFacts, ...]


def read_data(params: Params) -> DataFacts | None:
    """The facts that `harness prepare` left in its files; None where one is missing or cannot be read."""
    try:
        clusters = {split: open_split(params.split_file(split))["cluster_id"].to_numpy() for split in SPLITS}
        found = read_defects(params.split_file("train"))
    except HarnessError:
        return None
    splits = tuple(
        SplitFacts(
            name,
            len(ids),
            len(np.unique(ids)),
            0 if name == "train" else int(np.isin(ids, clusters["train"]).sum()),
        )
        for name, ids in clusters.items()
    )
    defects = tuple(
        DefectFacts(kind, KINDS[kind].meaning, entry["found"], entry["treatment"])
        for kind, entry in found.items()
        if kind in KINDS
    )
    return DataFacts(splits, defects)
