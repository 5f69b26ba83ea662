"""The data card: what `harness data verify` found, as one self-contained HTML page."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.config import SPLITS
from harness.data.card import numbers, wording
from harness.data.card.examples import MOST, Examples
from harness.data.findings import KINDS
from harness.data.verify import Verification
from harness.files import atomic_write

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

TEMPLATES = Path(__file__).with_name("templates")
STYLESHEET = Path(__file__).parents[2] / "report" / "assets" / "report.css"
CONTENTS = (
    ("summary", "What is there"),
    ("defects", "Findings"),
    ("examples", "Examples"),
    ("categories", "Categories"),
    ("sizes", "Object sizes"),
    ("sentences", "Sentences"),
    ("positions", "Positions"),
    ("images", "Images, duplicates"),
)
MOST_CATEGORIES = 60
MOST_WORDS = 14
MOST_SIZES = 8


@dataclass(frozen=True, slots=True)
class KindRow:
    """A kind of finding in the table."""

    kind: str
    found: int
    splits: tuple[str, ...]
    known: int
    note: str
    severity: str
    meaning: str
    treatment: str


def write_card(verification: Verification, path: Path) -> None:
    """Write the page. The same verification gives the same bytes.

    Args:
        verification: what was found. The images that the page shows are read again.
        path: the HTML file.

    Raises:
        HarnessError: the file cannot be written.
    """
    page = _templates().get_template("card.html.j2").render(_context(verification))
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _kind_rows(verification: Verification) -> tuple[list[KindRow], list[str]]:
    """Kinds that were found or are known, errors first; and the names of all others."""
    found = verification.counts()
    known = verification.manifest.known if verification.manifest else {}
    splits: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for finding in verification.findings:
        splits[finding.kind][finding.split] += 1
    rows = [
        KindRow(
            kind=kind,
            found=found.get(kind, 0),
            splits=tuple(
                f"{wording.splits_text(split)}: {splits[kind][split]:,}"
                for split in sorted(splits[kind], key=wording.split_order)
            ),
            known=known[kind].count if kind in known else 0,
            note=known[kind].note if kind in known else "",
            severity=verification.severities[kind] if kind in found else "",
            meaning=KINDS[kind].meaning,
            treatment=KINDS[kind].treatment,
        )
        for kind in KINDS
        if kind in found or kind in known
    ]
    rows.sort(key=lambda row: ("error", "warning", "").index(row.severity))
    listed = {row.kind for row in rows}
    compared = verification.manifest is not None  # otherwise nobody looked at the number of expressions
    return rows, [kind for kind in KINDS if kind not in listed and (compared or kind != "split_count")]


def _context(verification: Verification) -> dict[str, Any]:
    manifest = verification.manifest
    table = numbers.expression_table(verification)
    kinds, absent = _kind_rows(verification)
    name = verification.root.resolve().name
    return {
        "title": manifest.dataset if manifest else name,
        "folder": name,
        "verification": verification,
        "manifest": manifest,
        "contents": CONTENTS,
        "kinds_meaning": KINDS,
        "verdict": wording.verdict(verification),
        "splits": numbers.split_counts(verification),
        "leakage": numbers.leakage(table),
        "leak_sentence": wording.leak_sentence(numbers.leakage(table)),
        "finding_caption": wording.finding_caption(verification),
        "kinds": kinds,
        "absent": absent,
        "groups": list(Examples(verification).groups([row.kind for row in kinds])),
        "most_examples": MOST,
        **_categories(table, verification),
        **_sizes(table, verification),
        **_sentences(table, verification),
        **_positions(table),
        **_images(verification),
    }


def _categories(table: pd.DataFrame, verification: Verification) -> dict[str, Any]:
    rows = numbers.category_counts(table, verification.manifest)
    there = [row for row in rows if row.total]
    return {
        "categories": rows[:MOST_CATEGORIES],
        "more_categories": rows[MOST_CATEGORIES:],
        "categories_there": len(there),
        "most_in_a_category": rows[0].total if rows else 0,
        "category_caption": wording.category_caption(there),
    }


def _sizes(table: pd.DataFrame, verification: Verification) -> dict[str, Any]:
    rows = numbers.size_summaries(table)
    content: dict[str, Any] = {"sizes": rows, "size_caption": wording.size_caption(rows)}
    if rows:
        from harness.data.card.figures import size_histograms

        visible = table[table["area"] > 0]
        content["size_figures"] = list(size_histograms(visible, _there(visible)))
        content["smallest"], content["largest"] = Examples(verification).extremes()
    return content


def _sentences(table: pd.DataFrame, verification: Verification) -> dict[str, Any]:
    rows = numbers.sentence_summaries(table, verification.max_tokens)
    content: dict[str, Any] = {
        "sentences": rows,
        "sentence_caption": wording.sentence_caption(rows, verification),
    }
    if rows:
        from harness.data.card.figures import length_histogram

        content["length_figure"] = length_histogram(table["tokens"].to_numpy(), verification.max_tokens)
        content["words"] = numbers.count_words(table["sentence"], MOST_WORDS)
    return content


def _positions(table: pd.DataFrame) -> dict[str, Any]:
    placed = table.dropna(subset=["x", "y"])
    content: dict[str, Any] = {
        "maps": [],
        "position_caption": wording.position_caption(numbers.ninths(placed)),
    }
    if len(placed):
        from harness.data.card.figures import LEVELS, position_maps

        content["maps"] = list(position_maps(placed, _there(placed)))
        content["levels"] = LEVELS
        content["ninths"] = [(split, numbers.ninths(part)) for split, part in numbers.by_split(placed)]
    return content


def _images(verification: Verification) -> dict[str, Any]:
    images = verification.inspection.images
    sizes, clusters = numbers.image_sizes(verification), numbers.cluster_sizes(verification)
    return {
        "image_caption": wording.image_caption(len(images), clusters),
        "image_sizes": sizes[:MOST_SIZES],
        "more_sizes": sizes[MOST_SIZES:],
        "decoded": sum(here for _, here in sizes),
        "distinct_bytes": len({facts.sha256 for facts in images.values() if facts.sha256}),
        "clusters": _cluster_rows(clusters),
    }


def _cluster_rows(clusters: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """The largest clusters one size a row, all smaller ones in one."""
    rows = [(f"{size:,}", here, size * here) for size, here in clusters[:MOST_SIZES]]
    if rest := clusters[MOST_SIZES:]:
        rows.append(
            (f"{rest[0][0]:,} to 2", sum(here for _, here in rest), sum(size * here for size, here in rest))
        )
    return [{"images": images, "clusters": here, "in_all": in_all} for images, here, in_all in rows]


def _breakable(path: str) -> "Markup":
    """A path that may be broken after each slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in path.split("/"))


def _there(table: pd.DataFrame) -> list[str]:
    used = set(table["split"])
    return [split for split in SPLITS if split in used]


@cache
def _templates() -> "jinja2.Environment":
    """The templates with the filters that they use; anything undefined in them is an error."""
    import jinja2
    from markupsafe import Markup

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"percent": wording.percent, "breakable": _breakable, "quantity": "{:,}".format}
    templates.globals["stylesheet"] = Markup(STYLESHEET.read_text(encoding="utf-8"))
    return templates
