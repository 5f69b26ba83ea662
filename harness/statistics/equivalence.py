"""Whether a measured value reproduces a published one: two one-sided tests.

Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15.
"""

from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError

Verdict = Literal["reproduced", "differs", "undecided"]


@dataclass(frozen=True)
class Reproduction:
    """A measured value against a published one, which is taken as fixed: how far it may be off is not published."""

    measured: float  # percent
    published: float
    difference: float  # measured - published, points
    interval: tuple[float, float]  # of the difference, 95%
    interval_90: tuple[float, float]
    margin: float  # points
    verdict: Verdict


def reproduction(
    measured: float,
    interval: tuple[float, float],
    interval_90: tuple[float, float],
    published: float,
    margin: float = 1.0,
) -> Reproduction:
    """Judge a reproduction.

    *reproduced*: the 90% interval of the difference lies within the margin, which is the two one-sided tests at 5%;
    *differs*: the 95% interval lies outside of it; *undecided*: the data cannot tell.

    Args:
        measured: the value, percent.
        interval, interval_90: its 95% and 90% intervals, percent.
        published: the value to be reproduced, percent.
        margin: how far off is still the same, points.

    Raises:
        HarnessError: the margin is not above 0.
    """
    if not margin > 0:
        raise HarnessError(f"margin={margin}: above 0, in points")
    low, high = (end - published for end in interval)
    narrow_low, narrow_high = (end - published for end in interval_90)
    verdict: Verdict = "undecided"
    if -margin < narrow_low and narrow_high < margin:
        verdict = "reproduced"
    elif low > margin or high < -margin:
        verdict = "differs"
    return Reproduction(
        measured, published, measured - published, (low, high), (narrow_low, narrow_high), margin, verdict
    )
