"""What a check found, and the forms in which it is handed on: JSON, JUnit XML, Markdown."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

SCHEMA_VERSION = 1
MARKDOWN_LINES = 12  # of what moved in a check: a comment on GitHub holds 65,536 characters
LAYERS = {
    "reference": "Reference",
    "exact": "Exact layer: recomputed from the committed predictions",
    "retrained": "Retrained layer: fresh networks against the committed tables",
}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Layer = Literal["reference", "exact", "retrained"]
Verdict = Literal["same", "kept", "improved", "regressed"]


@dataclass(frozen=True)
class Drop:
    """A metric of freshly trained networks against the reference's, in percent; drop = reference - now, in points."""

    variant: str
    metric: str
    reference: float  # mean over the reference's seeds
    now: float  # mean over the fresh seeds
    drop: float
    interval: tuple[float, float]  # 95%, over images, the networks taken as fixed
    tolerance: float
    smallest: float  # the true drop that is caught with 80% probability
    verdict: Verdict


@dataclass(frozen=True)
class Check:
    """One thing that was checked."""

    layer: Layer
    name: str
    passed: bool
    verdict: str  # in a word or two: identical, changed, missing, kept, regressed, ...
    details: tuple[str, ...] = ()  # what moved, a line each
    drop: Drop | None = None


@dataclass(frozen=True)
class Outcome:
    """All checks of one call."""

    title: str  # what was checked
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def drops(self) -> dict[str, list[Drop]]:
        """The drops by variant, in the order of the checks."""
        drops: dict[str, list[Drop]] = {}
        for check in self.checks:
            if check.drop is not None:
                drops.setdefault(check.drop.variant, []).append(check.drop)
        return drops

    def of(self, layer: str) -> tuple[Check, ...]:
        """The checks of a layer."""
        return tuple(check for check in self.checks if check.layer == layer)

    def in_words(self) -> str:
        """The result in a line."""
        if self.passed:
            return f"Passed: {len(self.checks)} checks."
        return (
            f"FAILED: {len(self.failed)} of {len(self.checks)} checks. "
            + ". ".join(_together(self.failed))
            + "."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "notes": list(self.notes),
        }

    def to_junit(self) -> bytes:
        """JUnit XML: a suite a layer, a test case a check."""
        root = ET.Element("testsuites", {"name": "harness check", **_counts(self.checks)})
        for layer in LAYERS:
            if not (checks := self.of(layer)):
                continue
            suite = ET.SubElement(root, "testsuite", {"name": layer, **_counts(checks)})
            for check in checks:
                case = ET.SubElement(suite, "testcase", classname=f"harness.check.{layer}", name=check.name)
                said = _xml("\n".join(check.details))
                if not check.passed:
                    first = _xml(check.details[0]) if check.details else ""
                    ET.SubElement(case, "failure", type=check.verdict, message=first).text = said
                elif said:
                    ET.SubElement(case, "system-out").text = said
        ET.indent(root)
        xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
        return xml

    def to_markdown(self) -> str:
        """A summary for a pull request."""
        lines = [f"### harness check: {'passed' if self.passed else 'FAILED'}", "", f"{self.title}.", ""]
        for layer, heading in LAYERS.items():
            if not (checks := self.of(layer)):
                continue
            failed = [check for check in checks if not check.passed]
            said = (
                f"{len(failed)} of {len(checks)} checks failed" if failed else f"{len(checks)} checks passed"
            )
            lines += [f"**{heading}**: {said}", ""]
            lines += [f"- **{line}**" for line in _together(check for check in failed if check.drop)]
            for check in failed:
                if check.drop is None:
                    lines += [f"- **{check.name} {check.verdict}**", *_block(check.details)]
            if moved := [drop for drops in self.drops.values() for drop in drops if layer == "retrained"]:
                lines += _folded_table(moved, bool(failed))
        return "\n".join([*lines, *self.notes]).rstrip() + "\n"


def _together(checks: Iterable[Check]) -> list[str]:
    """Failed checks in words, those of one network and verdict together."""
    names: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        subject, _, what = check.name.rpartition(": ")
        names.setdefault((subject, check.verdict), []).append(what)
    return [
        f"{f'{subject}: ' if subject else ''}{', '.join(whats)} {verdict}"
        for (subject, verdict), whats in names.items()
    ]


def _counts(checks: Iterable[Check]) -> dict[str, str]:
    checks = list(checks)
    return {
        "tests": str(len(checks)),
        "failures": str(sum(not check.passed for check in checks)),
        "errors": "0",
    }


def _xml(text: str) -> str:
    return _NO_XML.sub("?", text)


def _block(details: tuple[str, ...]) -> list[str]:
    lines = [line for detail in details for line in detail.splitlines()]
    if not lines:
        return []
    if len(lines) > MARKDOWN_LINES:
        lines[MARKDOWN_LINES:] = [f"and {len(lines) - MARKDOWN_LINES} more lines; the JUnit file has them"]
    return ["", "  ```text", *(f"  {line}" for line in lines), "  ```", ""]


def _folded_table(drops: list[Drop], shown: bool) -> list[str]:
    head = (
        "network",
        "metric",
        "reference",
        "now",
        "drop",
        "95% interval",
        "tolerance",
        "seen from",
        "verdict",
    )
    rows = [
        (
            drop.variant,
            drop.metric,
            f"{drop.reference:.2f}",
            f"{drop.now:.2f}",
            f"{drop.drop:+.2f}",
            f"{drop.interval[0]:+.2f} to {drop.interval[1]:+.2f}",
            f"{drop.tolerance:.2f}",
            f"{drop.smallest:.2f}",
            f"**{drop.verdict}**" if drop.verdict == "regressed" else drop.verdict,
        )
        for drop in drops
    ]
    table = [" | ".join(row) for row in (head, ("---",) * len(head), *rows)]
    return [
        "",
        f"<details{' open' if shown else ''}><summary>Every metric</summary>",
        "",
        *(f"| {row} |" for row in table),
        "",
        "</details>",
        "",
    ]
