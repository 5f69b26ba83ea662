"""The histogram of IoU behind a published row."""

from harness.audit.spread import Histogram, histogram
from harness.published import PublishedRow

PREFIX = "P@"


def thresholds(row: PublishedRow, split: str) -> dict[str, float]:
    """The row's P@t columns on a split: metric -> t, in ascending order."""
    found = {m: float(m.removeprefix(PREFIX)) for s, m in row.cells if s == split and m.startswith(PREFIX)}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def row_histogram(row: PublishedRow, split: str) -> Histogram:
    """The bins that the row's printed P@t imply, taken as exact; a threshold without a number joins two bins.

    Raises:
        ImpossibleHistogram: P@t grows with t.
    """
    return histogram(
        {
            t: value / 100
            for metric, t in thresholds(row, split).items()
            if (value := row.cells[split, metric].value) is not None
        }
    )
