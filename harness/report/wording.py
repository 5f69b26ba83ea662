"""Numbers as text, and the sentences that are computed from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.inputs import Difference

MINUS = "\N{MINUS SIGN}"
RRSIS_D = ("rrsis-d", "rrsisd")


def number(value: float, decimals: int = 2) -> str:
    """A value with a fixed number of decimals and a true minus sign; no "-0.00"."""
    rounded = round(value, decimals) + 0.0  # the sum turns -0.0 into 0.0
    return f"{rounded:.{decimals}f}".replace("-", MINUS)


def significant_digits(value: float, digits: int = 3) -> str:
    """A value with so many significant digits and no exponent."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return number(value, max(0, digits - 1 - magnitude))


def signed(value: float, decimals: int = 2) -> str:
    """A difference: always with its sign, except zero."""
    text = number(value, decimals)
    return text if text.startswith(MINUS) or not float(text) else f"+{text}"


def interval(bounds: tuple[float, float] | None, decimals: int = 2) -> str:
    """An interval in brackets, or that there is none."""
    if bounds is None:
        return "no interval"
    return f"[{number(bounds[0], decimals)}, {number(bounds[1], decimals)}]"


def between(bounds: tuple[float, float]) -> str:
    """An interval inside a sentence."""
    return f"{number(bounds[0])} to {number(bounds[1])}"


def p_text(p: float | None) -> str:
    """A p-value with four decimals; smaller ones as a bound."""
    if p is None:
        return "not computed"
    return "<\N{NO-BREAK SPACE}0.0001" if p < 0.00005 else f"{p:.4f}"


def p_equals(p: float | None) -> str:
    """A p-value inside a sentence, with its relation."""
    if p is None:
        return "p not computed"
    return "p < 0.0001" if p < 0.00005 else f"p = {p:.4f}"


def listing(names: list[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def count(n: int, thing: str, things: str | None = None) -> str:
    """ "1 seed", "2 seeds"; counts above 9,999 with a separator."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def is_rrsisd(dataset: str) -> bool:
    """Whether the measured numbers come from the data set of the published ones."""
    return dataset.lower().replace("_", "-") in RRSIS_D


def is_significant(difference: Difference, alpha: float) -> bool | None:
    """Whether the adjusted p-value is below alpha; None where there is none."""
    return None if difference.p_adjusted is None else difference.p_adjusted < alpha


def verdict(difference: Difference, alpha: float, a: str, b: str) -> str:
    """What the test of one metric says: significant or not and, if so, which side is higher."""
    significant = is_significant(difference, alpha)
    if significant is None:
        return "not tested"
    if not significant:
        return "not significant"
    return f"significant, {a if difference.difference > 0 else b} higher"
