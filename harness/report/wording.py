"""Numbers as text, and the sentences that are computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.inputs import Comparison, Difference, Statistics, Summary

MINUS = "\N{MINUS SIGN}"
RRSIS_D = ("rrsis-d", "rrsisd")


def number(value: float, decimals: int = 2) -> str:
    """A value with a fixed number of decimals and a true minus sign; no "-0.00"."""
    rounded = round(value, decimals) + 0.0  # the sum turns -0.0 into 0.0
    return f"{rounded:.{decimals}f}".replace("-", MINUS)


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


def _against(names: dict[str, str], comparison: Comparison, leader: str, statistics: Statistics) -> str:
    """The leader's lead over the other side of a comparison, as a sentence."""
    metric = comparison.metrics["mIoU"]
    turned = comparison.b == leader
    other = names[comparison.a if turned else comparison.b]
    lead = -metric.difference if turned else metric.difference
    bounds = metric.interval
    if bounds is not None and turned:
        bounds = (-bounds[1], -bounds[0])
    detail = f"{statistics.percent} interval {between(bounds)}; " if bounds is not None else ""
    significant = is_significant(metric, statistics.alpha)
    if significant is None:
        end = "no test was made."
    elif significant:
        end = f"significant at the {100 * statistics.alpha:.10g}% level."
    else:
        end = "not significant, so these data do not tell the two apart."
    return (
        f"Its lead over {other} is {number(lead)} points ({detail}Holm-adjusted "
        f"{p_equals(metric.p_adjusted)}): {end}"
    )


def findings(statistics: Statistics, names: dict[str, str], split: str) -> list[str]:
    """The order of Table I's models by mIoU on a split, in sentences that claim no more than the tests.

    Args:
        statistics: statistics.json.
        names: variant id -> the row's name in Table I.
        split: the split to speak of.
    """
    measured: list[tuple[str, Summary]] = [
        (variant, summary)
        for variant in names
        if (summary := statistics.summary(variant, split)) is not None and "mIoU" in summary.metrics
    ]
    if not measured:
        return [f"No model of Table I has been measured on {split} yet, so there is nothing to compare."]
    measured.sort(key=lambda pair: -pair[1].metrics["mIoU"].value)
    leader, best = measured[0]
    value = best.metrics["mIoU"]
    within = "" if value.interval is None else f"{statistics.percent} interval {between(value.interval)}, "
    seeds = count(len(best.seeds), "seed")
    of = f"of the {len(measured)} models measured" if len(measured) > 1 else "and is the only model measured"
    sentences = [
        f"On {split} ({count(best.n, 'expression')}), {names[leader]} has the highest mIoU {of}: "
        f"{number(value.value)} ({within}{seeds})."
    ]
    if len(measured) == 1:
        sentences = [
            f"On {split} ({count(best.n, 'expression')}), only {names[leader]} has been measured: "
            f"mIoU {number(value.value)} ({within}{seeds})."
        ]
    for other, _ in measured[1:]:
        pair = {leader, other}
        comparison = next(
            (c for c in statistics.comparisons if {c.a, c.b} == pair and c.split == split), None
        )
        if comparison is None or "mIoU" not in comparison.metrics:
            sentences.append(f"{names[leader]} and {names[other]} were not compared.")
        else:
            sentences.append(_against(names, comparison, leader, statistics))
    scopes = sorted({c.scope for c in statistics.comparisons if c.split == split and c.scope})
    if len(measured) > 1 and scopes == ["models trained this way"]:
        sentences.append("Intervals and tests include what training again from other seeds would change.")
    elif len(measured) > 1 and scopes == ["these trained models"]:
        sentences.append(
            "The tests speak of these trained networks on expressions like these; they do not say how far "
            "training again from other seeds would move the figures."
        )
    return sentences
