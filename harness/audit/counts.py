"""Whether a printed percentage can be a count of n, in integers only."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Status = Literal["rounding", "truncation", "unreachable"]
DECIMALS = 2  # at least: a table prints 75.30 where the file may say 75.3


@dataclass(frozen=True)
class Reach:
    """Which counts of n print as a percentage."""

    printed: str
    n: int
    rounding: tuple[int, ...]  # counts that print so when rounded, half up or half to even
    truncation: tuple[int, ...]  # counts that print so when further decimals are cut off
    around: tuple[int, ...]  # the counts just below and just above; one where the share is exact

    @property
    def status(self) -> Status:
        """How the percentage is reached; "truncation" means by truncation only."""
        return "rounding" if self.rounding else "truncation" if self.truncation else "unreachable"

    @property
    def counts(self) -> tuple[int, ...]:
        """The counts by which `status` holds; none when it is unreachable."""
        return self.rounding or self.truncation

    @property
    def count(self) -> int:
        """The count to calculate with: of those possible, or of all where none is, the closest."""
        possible = self.counts or self.around
        return min(possible, key=lambda k: (abs(Decimal(100 * k) - Decimal(self.printed) * self.n), k))


def decimals(printed: str) -> int:
    """Decimals of a printed number, at least two."""
    exponent = Decimal(printed).as_tuple().exponent
    return max(DECIMALS, -int(exponent))


def in_print(printed: str) -> str:
    """The number with at least two decimals, as a table prints it."""
    return f"{Decimal(printed):.{decimals(printed)}f}"


def reach(printed: str, n: int) -> Reach:
    """Find every count k, 0 <= k <= n, whose share 100 k / n prints as the given percentage.

    With m the printed digits as an integer and K = 100 * 10^decimals, the share in units of the last digit is K k / n.
    It prints as m by rounding half up when m - 1/2 <= K k / n < m + 1/2; rounding half to even adds the upper end
    for an even m (and would lose the lower one for an odd m). It prints as m by truncation when m <= K k / n < m + 1.

    Args:
        printed: decimal digits, such as "75.27", in percent.
        n: number of expressions, 1 or more.

    Returns:
        All such counts, in ascending order.
    """
    places = decimals(printed)
    units = 100 * 10**places
    m = int(Decimal(printed).scaleb(places))
    low = _ceil((2 * m - 1) * n, 2 * units)
    high = _ceil((2 * m + 1) * n, 2 * units) - 1
    if m % 2 == 0 and (2 * m + 1) * n % (2 * units) == 0:
        high += 1
    below, above = m * n // units, _ceil(m * n, units)
    return Reach(
        printed,
        n,
        tuple(range(max(low, 0), min(high, n) + 1)),
        tuple(range(max(_ceil(m * n, units), 0), min(_ceil((m + 1) * n, units) - 1, n) + 1)),
        (below,) if below == above else (below, above),
    )


def reachable_share(n: int, places: int = DECIMALS) -> float:
    """Share of all percentages with so many decimals that some count of n rounds to (half up).

    An invented number passes the check with this probability. At most n + 1 of the 100 * 10^places + 1 can.
    """
    units: int = 100 * 10**places
    if n >= units:  # shares lie closer together than printed numbers
        return 1.0
    return len({(2 * units * k + n) // (2 * n) for k in range(n + 1)}) / (units + 1)


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
