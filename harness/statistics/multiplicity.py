"""Adjustment of p-values for the number of tests."""

import math
from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down method, which bounds the family-wise error whatever their dependence.

    The k-th smallest of m is multiplied by m - k + 1, made no smaller than the one before it and at most 1
    (Holm 1979, Scandinavian Journal of Statistics 6).

    Args:
        p_values: of one declared family, in any order.

    Returns:
        The adjusted p-values in the same order.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def enough_permutations(tests: int, alpha: float) -> int:
    """Random permutations that a family of tests wants: the smallest p-value is then alpha / 20 after adjustment."""
    return math.ceil(20 * tests / alpha - 1e-6)


def floor_warning(permutations: int, tests: int, alpha: float) -> str | None:
    """What to say where no adjusted p-value of a permutation test can be below `alpha`; None where one can.

    The smallest p-value of m rearrangements is 1 / (m + 1), and Holm multiplies it by the number of tests.
    """
    floor = tests / (permutations + 1)
    if floor < alpha:
        return None
    return (
        f"{permutations:,} permutations cannot bring an adjusted p-value of {tests} tests below {min(floor, 1):.2g}; "
        f"use {enough_permutations(tests, alpha):,}"
    )
