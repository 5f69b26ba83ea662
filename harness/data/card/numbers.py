"""The numbers of the data card, counted from a `Verification`."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import normalizers, pre_tokenizers

from harness.config import SPLITS
from harness.data.findings import cluster_ids, relative
from harness.data.verify import Manifest, Verification

ALL = "all"


@dataclass(frozen=True, slots=True)
class SplitCount:
    """Expressions of a split."""

    split: str
    found: int
    lost: int  # records that gave no expression
    expected: int | None  # by the manifest


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """Expressions of a category."""

    name: str
    splits: dict[str, int]
    median: float  # share of the image that a mask covers; NaN without a mask

    @property
    def total(self) -> int:
        """In all splits."""
        return sum(self.splits.values())


@dataclass(frozen=True, slots=True)
class SizeSummary:
    """Shares of the image that the masks of a split cover, empty ones left out."""

    split: str
    masks: int
    smallest: float
    low: float  # 5% are smaller
    median: float
    high: float  # 5% are larger
    largest: float
    below_percent: float  # the share of masks under 1% of the image


@dataclass(frozen=True, slots=True)
class SentenceSummary:
    """Sentences of a split."""

    split: str
    sentences: int
    distinct: int
    median: float  # tokens
    longest: int
    cut: int  # sentences with more tokens than are read


@dataclass(frozen=True, slots=True)
class Words:
    """Words of all sentences, in lower case; punctuation marks are none."""

    total: int
    distinct: int
    frequent: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Leakage:
    """Expressions of a split on pictures that train has, too."""

    split: str
    expressions: int
    shared: int


def expression_table(verification: Verification) -> pd.DataFrame:
    """One row an expression: split, category, sentence, tokens, area, share, x, y, cluster.

    `share` is the mask's area over the mask's pixels, x and y its centre from 0 to 1; NaN where there is none.
    """
    expressions, masks = verification.expressions, verification.inspection.masks
    return pd.DataFrame(
        {
            "split": [expression.split for expression in expressions],
            "category": [expression.category for expression in expressions],
            "sentence": [expression.sentence for expression in expressions],
            "tokens": np.array(verification.tokens, dtype=np.int64),
            "area": np.array([mask.area for mask in masks], dtype=np.int64),
            "share": np.array([mask.share for mask in masks], dtype=float),
            "x": np.array([mask.center[0] for mask in masks], dtype=float),
            "y": np.array([mask.center[1] for mask in masks], dtype=float),
            "cluster": cluster_ids(expressions, verification.inspection, verification.clusters),
        }
    )


def split_counts(verification: Verification) -> list[SplitCount]:
    """Expressions by split beside those that the manifest expects."""
    root, manifest = verification.root, verification.manifest
    found = Counter(expression.split for expression in verification.expressions)
    files = {relative(expression.image, root) for expression in verification.expressions}
    files |= {relative(e.mask, root) for e in verification.expressions if isinstance(e.mask, Path)}
    # What a reader yields in place of an expression names a table; other findings name an image, a mask or nothing.
    lost = Counter(
        finding.split for finding in verification.findings if finding.file and finding.file not in files
    )
    expected = manifest.expressions if manifest else {}
    return [SplitCount(split, found[split], lost[split], expected.get(split)) for split in SPLITS]


def category_counts(table: pd.DataFrame, manifest: Manifest | None) -> list[CategoryCount]:
    """By falling count, ties by name; categories of the manifest that do not occur come last with none."""
    counts = Counter(zip(table["category"], table["split"], strict=True))
    medians = table[table["area"] > 0].groupby("category")["share"].median().to_dict()
    names = {*table["category"], *(manifest.categories.values() if manifest else ())}
    rows = [
        CategoryCount(name, {split: counts[name, split] for split in SPLITS}, medians.get(name, np.nan))
        for name in names
    ]
    return sorted(rows, key=lambda row: (-row.total, row.name))


def by_split(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each split that has any; all of them last, where there are several splits."""
    parts = [(split, part) for split in SPLITS if len(part := table[table["split"] == split])]
    return [*parts, (ALL, table)] if len(parts) > 1 else parts


def size_summaries(table: pd.DataFrame) -> list[SizeSummary]:
    """Of each split with a mask that has a pixel."""
    rows = []
    for split, part in by_split(table[table["area"] > 0]):
        share = part["share"].to_numpy()
        smallest, low, median, high, largest = np.quantile(share, [0, 0.05, 0.5, 0.95, 1]).tolist()
        below = float((share < 0.01).mean())
        rows.append(SizeSummary(split, len(part), smallest, low, median, high, largest, below))
    return rows


def sentence_summaries(table: pd.DataFrame, max_tokens: int) -> list[SentenceSummary]:
    """Of each split."""
    return [
        SentenceSummary(
            split,
            len(part),
            int(part["sentence"].nunique()),
            float(part["tokens"].median()),
            int(part["tokens"].max()),
            int((part["tokens"] > max_tokens).sum()),
        )
        for split, part in by_split(table)
    ]


def count_words(sentences: Iterable[str], most: int) -> Words:
    """The `most` most frequent words, ties by the alphabet; split as BERT's uncased tokenizer splits."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for sentence in sentences
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence))
        if any(character.isalnum() for character in word)
    )
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return Words(counts.total(), len(counts), frequent)


def ninths(table: pd.DataFrame) -> np.ndarray:
    """Shares of the masks with their centre in each ninth of the image: 3 x 3, from the top left, row by row."""
    placed = table.dropna(subset=["x", "y"])
    counts, _, _ = np.histogram2d(placed["y"], placed["x"], bins=3, range=[[0, 1], [0, 1]])
    shares: np.ndarray = counts / max(1, len(placed))
    return shares


def image_sizes(verification: Verification) -> list[tuple[tuple[int, int], int]]:
    """Width and height of the images that can be decoded, with their number, the most frequent first."""
    counts = Counter(
        facts.size[::-1] for facts in verification.inspection.images.values() if facts.size is not None
    )
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def cluster_sizes(verification: Verification) -> list[tuple[int, int]]:
    """Images in a cluster of duplicates and how many such clusters there are, large ones first."""
    members = Counter(Counter(verification.clusters.label.tolist()).values())
    return sorted(((size, number) for size, number in members.items() if size > 1), reverse=True)


def leakage(table: pd.DataFrame) -> list[Leakage]:
    """Of val and test, where they and train have expressions."""
    train = table.loc[table["split"] == "train", "cluster"]
    if train.empty:
        return []
    parts = {split: table.loc[table["split"] == split, "cluster"] for split in SPLITS[1:]}
    return [
        Leakage(split, len(part), int(part.isin(train).sum())) for split, part in parts.items() if len(part)
    ]
