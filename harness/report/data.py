"""The data card: splits, pictures that splits share, defects, categories, sizes, sentences and positions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.config import SPLITS, Params
from harness.data.card import figures, numbers, wording
from harness.data.card.numbers import CategoryCount, SentenceSummary, SizeSummary
from harness.data.findings import KINDS
from harness.data.prepare import open_split, read_defects
from harness.data.text import load_tokenizer, tokenizer_file
from harness.errors import HarnessError

if TYPE_CHECKING:
    from markupsafe import Markup


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
class Picture:
    """A figure of one split."""

    split: str
    svg: "Markup"


@dataclass(frozen=True)
class DataFacts:
    """The prepared data set."""

    splits: tuple[SplitFacts, ...]
    leak_sentence: str
    defects: tuple[DefectFacts, ...]
    categories: tuple[CategoryCount, ...]
    category_caption: str
    sizes: tuple[SizeSummary, ...]
    size_caption: str
    size_figures: tuple[Picture, ...]
    sentences: tuple[SentenceSummary, ...]  # empty without the tokenizer
    length_figure: "Markup | None"
    max_tokens: int
    maps: tuple[Picture, ...]
    position_caption: str


def read_data(params: Params) -> DataFacts | None:
    """The facts that `harness prepare` left in its files; None where one is missing or cannot be read."""
    from markupsafe import Markup

    try:
        table = pd.concat([_expressions(params, split) for split in SPLITS], ignore_index=True)
        defects = read_defects(params.split_file("train"))
    except HarnessError:
        return None
    table["tokens"] = _tokens(params, table["sentence"])
    leaks = {leak.split: leak for leak in numbers.leakage(table)}
    splits = tuple(
        SplitFacts(split, len(part), part["cluster"].nunique(), leaks[split].shared if split in leaks else 0)
        for split in SPLITS
        for part in [table[table["split"] == split]]
    )
    categories = numbers.category_counts(table, None)
    visible = table[table["area"] > 0]
    there = [split for split in SPLITS if (visible["split"] == split).any()]
    sizes = numbers.size_summaries(visible)
    counted = table["tokens"].notna().all() and len(table) > 0
    return DataFacts(
        splits=splits,
        leak_sentence=wording.leak_sentence(list(leaks.values())),
        defects=tuple(
            DefectFacts(kind, KINDS[kind].meaning, entry["found"], entry["treatment"])
            for kind, entry in defects.items()
            if kind in KINDS
        ),
        categories=tuple(categories),
        category_caption=wording.category_caption(categories),
        sizes=tuple(sizes),
        size_caption=wording.size_caption(sizes),
        size_figures=tuple(
            Picture(split, Markup(svg)) for split, svg in figures.size_histograms(visible, there)
        )
        if there
        else (),
        sentences=tuple(numbers.sentence_summaries(table, params.text.max_tokens)) if counted else (),
        length_figure=Markup(figures.length_histogram(table["tokens"].to_numpy(int), params.text.max_tokens))
        if counted
        else None,
        max_tokens=params.text.max_tokens,
        maps=tuple(Picture(split, Markup(svg)) for split, svg in figures.position_maps(visible, there)),
        position_caption=wording.position_caption(numbers.ninths(table)),
    )


def _expressions(params: Params, split: str) -> pd.DataFrame:
    """One row an expression as in `harness.data.card.numbers`, but x and y are the centre of the bounding box.

    Area and box come from the run lengths; a centre of mass would need every mask decoded.
    """
    from pycocotools import mask

    columns = ["split", "category", "sentence", "cluster_id", "height", "width", "mask_counts"]
    table: pd.DataFrame = open_split(params.split_file(split)).select(columns).to_pandas()
    lengths = [
        {"size": [height, width], "counts": counts.encode("ascii")}
        for height, width, counts in zip(
            table["height"].tolist(), table["width"].tolist(), table["mask_counts"], strict=True
        )
    ]
    # One by one: for more than 255 masks at once, pycocotools 2 raises an OverflowError with numpy 2.
    table["area"] = np.array([int(mask.area(each)) for each in lengths], dtype=np.int64)
    boxes = np.array([mask.toBbox(each) for each in lengths], dtype=float).reshape(-1, 4)
    seen = np.where(table["area"] > 0, 1.0, np.nan)
    table["share"] = table["area"] / (table["height"] * table["width"])
    table["x"] = (boxes[:, 0] + boxes[:, 2] / 2) / table["width"] * seen
    table["y"] = (boxes[:, 1] + boxes[:, 3] / 2) / table["height"] * seen
    return table.rename(columns={"cluster_id": "cluster"})


def _tokens(params: Params, sentences: pd.Series) -> pd.Series:
    """Tokens of each sentence with the networks' own tokenizer; NaN without it."""
    try:
        tokenizer = load_tokenizer(tokenizer_file(params))
    except HarnessError:
        return pd.Series(np.nan, index=sentences.index)
    return pd.Series(
        [len(found.ids) for found in tokenizer.encode_batch(sentences.tolist())], sentences.index
    )
