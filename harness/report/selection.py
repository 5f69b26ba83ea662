"""Which test samples the gallery shows: a rule that nobody's taste enters."""

from collections.abc import Sequence

import pandas as pd

from harness.report.wording import listing

HALVES = {"cross-section": "Cross-section", "disagreement": "Largest disagreement"}
TIE = 0.5  # points of IoU within which models share the highest place


def quantile_spread(mean_iou: pd.Series, count: int) -> pd.Index:
    """Choose `count` samples at evenly spaced ranks of their mean IoU, the worst ones first.

    Args:
        mean_iou: by (ref_id, sentence).
        count: how many; fewer where there are not so many samples.
    """
    ordered = mean_iou.sort_index().sort_values(kind="stable")
    count = min(count, len(ordered))
    ranks = [int((place + 0.5) / count * len(ordered)) for place in range(count)]
    return ordered.index[ranks]


def choose(iou: pd.DataFrame, count: int) -> dict[tuple[int, str], str]:
    """Choose samples: one half a cross-section, the other half those of the rest on which models disagree most.

    Args:
        iou: percent; a row an expression, by (ref_id, sentence), and a column a model.
        count: how many; all where there are not so many. With one model all are of the cross-section.

    Returns:
        A key of HALVES by (ref_id, sentence), the largest disagreement first; the same whatever the rows' order.
    """
    spread = (iou.max(axis=1) - iou.min(axis=1)).sort_index()
    count = min(count, len(iou))
    disagreeing = count // 2 if iou.shape[1] > 1 else 0
    across = quantile_spread(iou.mean(axis=1), count - disagreeing)
    rest = (-spread.drop(across)).sort_values(kind="stable").index[:disagreeing]
    chosen = dict.fromkeys(across, "cross-section") | dict.fromkeys(rest, "disagreement")
    ordered = (-spread).sort_values(kind="stable").index
    return {key: chosen[key] for key in ordered if key in chosen}


def rule(halves: Sequence[str], of: int, names: list[str]) -> tuple[str, ...]:
    """How samples were chosen, in sentences.

    Args:
        halves: of HALVES, one for each sample chosen.
        of: how many expressions there were.
        names: the models'.
    """
    models, across = listing(names), halves.count("cross-section")
    lines = [
        f"{len(halves):,} of the {of:,} test expressions with predictions of {models}, chosen by rule; none was "
        "picked by hand.",
        f"{HALVES['cross-section']}, {across:,}: the expressions were ordered by the mean IoU of {models}, cut into "
        f"{across:,} parts of equal size, and the middle one of each part was taken.",
    ]
    if disagreeing := len(halves) - across:
        lines.append(
            f"{HALVES['disagreement']}, {disagreeing:,}: of all others those with the largest spread of IoU, the "
            "highest model's less the lowest one's. They are unusual by choice: only the cross-section shows "
            "how samples are in general."
        )
    return tuple(lines)


def leaders(ious: Sequence[float | None]) -> list[int]:
    """Which models have the highest IoU (percent), or one within TIE points of it."""
    best = max(iou for iou in ious if iou is not None)
    return [place for place, iou in enumerate(ious) if iou is not None and best - iou <= TIE + 1e-9]
