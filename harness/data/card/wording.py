"""Sentences of the data card that are computed from its numbers."""

import math

import numpy as np

from harness.config import SPLITS
from harness.data.card.numbers import CategoryCount, Leakage, SentenceSummary, SizeSummary
from harness.data.findings import KINDS
from harness.data.verify import Verification
from harness.report.wording import count, listing, number

NAMED = 4  # kinds that the verdict names


def percent(share: float) -> str:
    """A share with one decimal; "0.0%" stands for none, never for few."""
    return "under 0.1%" if 0 < share < 0.0005 else f"{number(100 * share, 1)}%"


def share_text(share: float) -> str:
    """A share with two significant digits or more: 0.00016%, 1.3%, 45%."""
    value = 100 * share
    digits = 0 if value >= 10 or not value else 1 - math.floor(math.log10(value))
    return f"{value:.{digits}f}%"


def split_order(split: str) -> tuple[int, str]:
    """Sorting key: train, val, test, then everything else."""
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def splits_text(split: str) -> str:
    """The split of a finding: "test, train" is "train + test", and a record of a table belongs to none."""
    return " + ".join(sorted(split.split(", "), key=split_order)) or "no split"


def verdict(verification: Verification) -> str:
    """Whether the set is sound, in one sentence."""
    found = verification.counts()
    warnings = len(verification.findings) - verification.errors
    if not found:
        return "Sound: no errors and no warnings."
    if verification.errors:
        wrong = [kind for kind in found if verification.severities[kind] == "error"]
        named = [f"{kind} {found[kind]:,}" for kind in wrong[:NAMED]]
        if len(wrong) > NAMED:
            named.append(count(len(wrong) - NAMED, "more kind"))
        also = f" and {count(warnings, 'warning')}" if warnings else ""
        return f"{count(verification.errors, 'error')} ({listing(named)}){also}."
    facts = sum(here for kind, here in found.items() if KINDS[kind].harmless)
    if facts == warnings:
        which = f"all {warnings:,} warnings are facts" if warnings > 1 else "the one warning is a fact"
        return f"Sound: no errors; {which} worth knowing, not a fault of the files."
    known = f"known of {verification.manifest.dataset}" if verification.manifest else "known"
    if not facts:
        return f"Sound: no errors, {count(warnings, 'warning')}, {'all ' if warnings > 1 else ''}{known}."
    return (
        f"Sound: no errors, {count(warnings, 'warning')}: {count(warnings - facts, 'fault')} {known}, "
        f"{count(facts, 'fact')} worth knowing."
    )


def finding_caption(verification: Verification) -> str:
    """How many findings there are."""
    warnings = len(verification.findings) - verification.errors
    if not verification.errors:
        return f"No errors and {count(warnings, 'warning')}."
    if not warnings:
        return f"{count(verification.errors, 'error')} and no warnings."
    return f"{count(verification.errors, 'error')} and {count(warnings, 'warning')}, errors first."


def leak_sentence(leakage: list[Leakage]) -> str:
    """How much of val and test train has seen; nothing where it has seen nothing."""
    parts = [
        f"{leak.shared:,} of {leak.expressions:,} {leak.split} expressions ({percent(leak.shared / leak.expressions)})"
        for leak in leakage
        if leak.shared
    ]
    if not parts:
        return ""
    return f"{listing(parts)} are on a picture that train has, too: scores on them are not scores on unseen pictures."


def category_caption(rows: list[CategoryCount]) -> str:
    """The most frequent and the rarest category.

    Args:
        rows: that have expressions, the most frequent first.
    """
    if not rows:
        return "No expression could be read."
    first, last, total = rows[0], rows[-1], sum(row.total for row in rows)
    if len(rows) == 1:
        return f"All {total:,} expressions are of the one category {first.name}."
    if first.total == last.total:
        return f"Each of the {len(rows)} categories has {count(first.total, 'expression')}."
    return (
        f"{first.name} is the most frequent of {len(rows)} categories with {percent(first.total / total)} of the "
        f"expressions, {last.name} the rarest with {percent(last.total / total)}."
    )


def size_caption(rows: list[SizeSummary]) -> str:
    """How small the objects are.

    Args:
        rows: the last one stands for all splits.
    """
    if not rows:
        return "No mask with a pixel could be decoded."
    return (
        f"Half of the masks cover less than {share_text(rows[-1].median)} of the image, "
        f"{percent(rows[-1].below_percent)} of them less than 1%."
    )


def sentence_caption(rows: list[SentenceSummary], verification: Verification) -> str:
    """How many sentences are cut, and whether that is exact.

    Args:
        rows: the last one stands for all splits.
        verification: says how many tokens are read, and how they were counted.
    """
    if not rows:
        return "No sentence could be read."
    cut, every, read = rows[-1].cut, rows[-1].sentences, verification.max_tokens
    told = (
        f"{cut:,} of {every:,} sentences ({percent(cut / every)}) have more than the {read} tokens that a network "
        "reads, and lose their end."
        if cut
        else f"No sentence has more than the {read} tokens that a network reads."
    )
    if verification.exact_tokens:
        return f"{told} Counted with the networks' own tokenizer."
    return (
        f"{told} Words and punctuation marks were counted: a tokenizer splits rare words further, so these numbers "
        "are lower bounds."
    )


def position_caption(ninths: np.ndarray) -> str:
    """How many masks are in the middle.

    Args:
        ninths: `harness.data.card.numbers.ninths` of all masks.
    """
    if not ninths.any():
        return "No mask with a pixel could be decoded."
    return (
        f"{percent(ninths[1, 1])} of the masks have their centre in the middle ninth of the image; an even spread "
        f"would have {percent(1 / 9)} there."
    )


def image_caption(images: int, clusters: list[tuple[int, int]]) -> str:
    """How many images look like another.

    Args:
        images: files.
        clusters: `harness.data.card.numbers.cluster_sizes`.
    """
    alike, number_of_clusters = sum(size * here for size, here in clusters), sum(here for _, here in clusters)
    what = (
        f"of which {alike:,} look like another: {count(number_of_clusters, 'cluster')} of duplicates."
        if clusters
        else "none of which looks like another."
    )
    return f"{count(images, 'image file')}, {what} Cropped, turned and mirrored copies are not recognised."
