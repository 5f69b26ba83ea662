"""What the tables can support: pairs of rows, metric by metric, from the printed numbers alone."""

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from harness.audit.counts import Reach, in_print, reach
from harness.audit.histograms import row_histogram, thresholds
from harness.audit.spread import ImpossibleHistogram, needed_correlation, spread_range, two_sided, unpaired_z
from harness.audit.support import ALPHA, McNemarRange, Range, mcnemar_range, two_proportions
from harness.published import Published, PublishedRow

Support = Literal["always", "depends", "never"]


@dataclass(frozen=True)
class Pair:
    """Row a against row b of one table on one split."""

    table: str
    split: str
    a: str
    b: str

    @property
    def label(self) -> str:
        """ "a - b", with a true minus sign."""
        return f"{self.a} \N{MINUS SIGN} {self.b}"


@dataclass(frozen=True)
class ShareComparison:
    """P@t of two rows. Differences in points, a - b."""

    pair: Pair
    metric: str
    n: int
    a: Reach
    b: Reach
    z: float  # two proportions, pooled, unpaired
    p: float
    mcnemar: McNemarRange
    uncertain: tuple[str, ...]  # "row metric" of the cells that may be other numbers

    @property
    def difference(self) -> float:
        """In points, of the printed numbers."""
        return float(Decimal(self.a.printed) - Decimal(self.b.printed))

    @property
    def support(self) -> Support:
        """Whether exact McNemar gives p < 0.05 for all, some or none of the pairings."""
        low, high = self.mcnemar.exact
        return "always" if high < ALPHA else "depends" if low < ALPHA else "never"

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return _head(self.pair, self.metric, "share", self.n, self.difference) | {
            "value_a": float(self.a.printed),
            "value_b": float(self.b.printed),
            "k_a": self.a.count,
            "k_b": self.b.count,
            "k_by": [self.a.status, self.b.status],
            "two_proportions": {"z": self.z, "p": self.p, "pairing": "unpaired"},
            "mcnemar": {
                "exact_p": list(self.mcnemar.exact),
                "mid_p": list(self.mcnemar.mid_p),
                "discordant": list(self.mcnemar.discordant),
            },
            "significant": self.support,
            "uncertain": list(self.uncertain),
        }


@dataclass(frozen=True)
class MeanComparison:
    """MIoU of two rows, in points, a - b."""

    pair: Pair
    metric: str
    n: int
    a: str
    b: str
    sd_a: Range  # smallest and largest standard deviation of IoU, in points
    sd_b: Range
    z: Range  # unpaired, the smaller |z| first
    p: Range  # smallest and largest
    correlation: Range  # above which the paired z gives p < 0.05; 1 or more: no correlation is enough
    uncertain: tuple[str, ...]

    @property
    def difference(self) -> float:
        """In points, of the printed numbers."""
        return float(Decimal(self.a) - Decimal(self.b))

    @property
    def support(self) -> Support:
        """Whether the unpaired z test gives p < 0.05 for all, some or none of the standard deviations."""
        return "always" if self.p[1] < ALPHA else "depends" if self.p[0] < ALPHA else "never"

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings; an infinite bound is null."""
        return _head(self.pair, self.metric, "mean", self.n, self.difference) | {
            "value_a": float(self.a),
            "value_b": float(self.b),
            "sd_a": list(self.sd_a),
            "sd_b": list(self.sd_b),
            "unpaired": {"z": _finite(self.z), "p": list(self.p)},
            "correlation_needed": _finite(self.correlation),
            "significant": self.support,
            "uncertain": list(self.uncertain),
        }


@dataclass(frozen=True)
class NotCompared:
    """A metric of a pair about which the tables allow no statement."""

    pair: Pair
    metric: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain strings."""
        return vars(self.pair) | {"metric": self.metric, "reason": self.reason}


def pairs_of_interest(published: Published) -> tuple[Pair, ...]:
    """Which rows are compared.

    The last row of each table with every other, the last first; the row before the last with the one before it (the
    step that the last row is measured against); and every pair of a claim. Each pair on every split of the table.
    """
    pairs: dict[tuple[str, str, frozenset[str]], Pair] = {}
    for table, rows in published.tables.items():
        names = [row.name for row in rows]
        couples = [(names[-1], name) for name in names[-2::-1]]
        couples += [(later, earlier) for earlier, later in list(pairwise(names))[-2:-1]]
        couples += [(claim.a, claim.b) for claim in published.claims if claim.table == table]
        for split in dict.fromkeys(split for split, _ in rows[0].cells):
            for a, b in couples:
                if a != b:
                    pairs.setdefault((table, split, frozenset((a, b))), Pair(table, split, a, b))
    return tuple(pairs.values())


def compare_rows(
    published: Published,
) -> tuple[tuple[ShareComparison | MeanComparison, ...], tuple[NotCompared, ...]]:
    """Compare the pairs of interest on P@t and mIoU. oIoU is a ratio of sums: its spread is in no table."""
    found: list[ShareComparison | MeanComparison] = []
    left_out: list[NotCompared] = []
    for pair in pairs_of_interest(published):
        row_a, row_b = (_row(published, pair.table, name) for name in (pair.a, pair.b))
        for metric in (*thresholds(row_a, pair.split), "mIoU"):
            if lacking := [row.name for row in (row_a, row_b) if row.cells[pair.split, metric].value is None]:
                left_out.append(NotCompared(pair, metric, f"no number for {' and '.join(lacking)}"))
                continue
            n = published.sizes[pair.split]
            try:
                if metric == "mIoU":
                    found.append(_means(pair, row_a, row_b, n))
                else:
                    found.append(_shares(pair, metric, row_a, row_b, n))
            except ImpossibleHistogram as error:
                left_out.append(NotCompared(pair, metric, str(error)))
    return tuple(found), tuple(left_out)


def _row(published: Published, table: str, name: str) -> PublishedRow:
    row = published.row(table, name)
    assert row is not None, (table, name)
    return row


def _shares(pair: Pair, metric: str, row_a: PublishedRow, row_b: PublishedRow, n: int) -> ShareComparison:
    a, b = (reach(_printed(row, pair.split, metric), n) for row in (row_a, row_b))
    z, p = two_proportions(a.count, b.count, n)
    mcnemar = mcnemar_range(a.counts or (a.count,), b.counts or (b.count,), n)
    return ShareComparison(pair, metric, n, a, b, z, p, mcnemar, _uncertain(pair, (row_a, row_b), (metric,)))


def _means(pair: Pair, row_a: PublishedRow, row_b: PublishedRow, n: int) -> MeanComparison:
    spreads, printed = [], []
    for row in (row_a, row_b):
        text = _printed(row, pair.split, "mIoU")
        try:
            low, high = spread_range(row_histogram(row, pair.split), float(text) / 100)
        except ImpossibleHistogram as error:
            raise ImpossibleHistogram(f"{row.name}: {error}") from error
        spreads.append((100 * low, 100 * high))
        printed.append(text)
    difference = float(Decimal(printed[0]) - Decimal(printed[1]))
    z = unpaired_z(difference, spreads[0], spreads[1], n)
    return MeanComparison(
        pair,
        "mIoU",
        n,
        printed[0],
        printed[1],
        spreads[0],
        spreads[1],
        z,
        (two_sided(z[1]), two_sided(z[0])),
        needed_correlation(difference, spreads[0], spreads[1], n),
        _uncertain(pair, (row_a, row_b), (*thresholds(row_a, pair.split), "mIoU")),
    )


def _printed(row: PublishedRow, split: str, metric: str) -> str:
    printed = row.cells[split, metric].printed
    assert printed is not None, (row.name, split, metric)
    return in_print(printed)


def _uncertain(pair: Pair, rows: tuple[PublishedRow, ...], metrics: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        f"{row.name} {metric}"
        for row in rows
        for metric in metrics
        if row.cells[pair.split, metric].uncertain is not None
    )


def _head(pair: Pair, metric: str, kind: str, n: int, difference: float) -> dict[str, Any]:
    return vars(pair) | {"metric": metric, "kind": kind, "n": n, "difference": difference}


def _finite(bounds: Range) -> list[float | None]:
    return [bound if math.isfinite(bound) else None for bound in bounds]
