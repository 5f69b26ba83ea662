"""What a check found, for a terminal of 80 columns."""

import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from harness.gate.outcome import LAYERS, Check, Drop, Outcome

WIDTH = 80
SHOUTED = {"regressed": "REGRESSED"}
CHECKS_A_LAYER = 7  # so many failed ones are shown, the first causes first
DETAILS_A_CHECK = 8


def show(outcome: Outcome) -> None:
    """Print an outcome: a table a network, what failed and why, the result in a line."""
    console = Console(width=WIDTH, highlight=False)
    console.print(Text(outcome.title, style="bold"))
    for layer, heading in LAYERS.items():
        if not (checks := outcome.of(layer)):
            continue
        failed = [check for check in checks if not check.passed]
        console.print()
        console.print(Text(heading, style="bold"))
        said = f"{len(failed)} of {len(checks)} checks FAILED" if failed else f"{len(checks)} checks passed"
        console.print(Text(f"  {said}"))
        if layer == "retrained" and outcome.drops:
            console.print()
            for line in _drops(outcome.drops):
                console.print(Text(f"  {line}".rstrip(), style="bold" if "REGRESSED" in line else ""))
        shown = [check for check in failed if check.drop is None]
        for check in shown[:CHECKS_A_LAYER]:
            _failed(console, check)
        if len(shown) > CHECKS_A_LAYER:
            console.print(Text(f"  and {len(shown) - CHECKS_A_LAYER} more; --format json lists all"))
    console.print()
    for note in outcome.notes:
        console.print(Text(textwrap.fill(note, WIDTH)))
    console.print(
        Text(textwrap.fill(outcome.in_words(), WIDTH), style="bold green" if outcome.passed else "bold red")
    )


def _drops(drops: dict[str, list[Drop]]) -> Iterator[str]:
    """Lines of a table: a heading, then the metrics of each network."""
    yield _row("", "was", "now", "drop", "95% interval", "allowed", "seen", "")
    yield _row("", "", "", "", "of the drop", "", "from", "")
    for variant, found in drops.items():
        yield variant
        for drop in found:
            low, high = drop.interval
            yield _row(
                drop.metric,
                f"{drop.reference:.2f}",
                f"{drop.now:.2f}",
                f"{drop.drop:+.2f}",
                f"{low:+.2f} to {high:+.2f}",
                f"{drop.tolerance:.2f}",
                f"{drop.smallest:.2f}",
                SHOUTED.get(drop.verdict, drop.verdict),
            )


def _row(*cells: str) -> str:
    metric, was, now, drop, interval, allowed, seen, verdict = cells
    line = f"  {metric:<6}{was:>7}{now:>7}{drop:>8}{interval:>18}{allowed:>9}{seen:>7}  {verdict}"
    return line.rstrip()


def _failed(console: Console, check: Check) -> None:
    console.print(Text(f"  {check.name}: {check.verdict}", style="bold"))
    lines = [line for detail in check.details for line in detail.splitlines()]
    indent = " " * 4
    for line in lines[:DETAILS_A_CHECK]:
        said = textwrap.fill(
            " ".join(line.split()),
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_on_hyphens=False,
        )
        console.print(Text(said))
    if len(lines) > DETAILS_A_CHECK:
        console.print(Text(f"{indent}and {len(lines) - DETAILS_A_CHECK} more lines"))
