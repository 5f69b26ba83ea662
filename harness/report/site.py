"""The pages of the report, the links between them, and the same as one page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.report import wording
from harness.report.overview import directory
from harness.report.sections import SECTIONS, Inputs, Section
from harness.report.tables import WITH_INTERVAL
from harness.report.templating import policy, script, stylesheet, templates

PAGES = {  # file -> its title and its sections
    "index.html": ("Overview", ("summary",)),
    "tables.html": ("Tables I to III", ("table1", "table2", "table3", "reproduction")),
    "significance.html": ("Significance", ("significance", "sanity")),
    "breakdowns.html": ("Breakdowns", ("breakdowns",)),
    "gallery.html": ("Gallery", ("gallery", "features")),
    "training.html": ("Training", ("training", "efficiency", "checkpoints")),
    "data.html": ("Data card", ("data",)),
    "published.html": ("Published numbers", ("audit",)),
    "fidelity.html": ("Fidelity", ("fidelity",)),
    "provenance.html": ("Provenance", ("provenance",)),
    "glossary.html": ("Glossary", ("glossary",)),
}


@dataclass(frozen=True)
class Page:
    """A page: the file that holds it, its title, and its sections."""

    file: str
    title: str
    sections: tuple[Section, ...]
    front: bool = False  # with the report's title in place of its own
    following: "Page | None" = None

    def has(self, key: str) -> bool:
        """Whether a section stands on this page."""
        return any(section.key == key for section in self.sections)


def site(inputs: Inputs) -> dict[str, str]:
    """The report as several pages.

    Returns:
        The content of each page by its file's name; the same inputs give the same text.
    """
    pages: list[Page] = []
    for file, (title, keys) in reversed(PAGES.items()):
        sections = tuple(SECTIONS[key] for key in keys)
        pages.insert(0, Page(file, title, sections, file == "index.html", pages[0] if pages else None))
    return render_pages(inputs, tuple(pages))


def single_page(inputs: Inputs, file: str) -> str:
    """All sections as one page, to be sent as one file."""
    keys = [key for _, of_page in PAGES.values() for key in of_page]
    page = Page(file, "Report", tuple(SECTIONS[key] for key in keys), front=True)
    return render_pages(inputs, (page,))[file]


def render_pages(inputs: Inputs, pages: tuple[Page, ...]) -> dict[str, str]:
    """The text of some pages by their files; links between them are the only ones that a section may have."""
    shared: dict[str, Any] = {
        "title": inputs.title,
        "stylesheet": stylesheet(),
        "script": script(),
        "policy": policy(),
        "pages": pages,
        "params": inputs.params,
        "statistics": inputs.statistics,
        "published": inputs.published,
        "runs": inputs.runs,
        "runs_trained": sum(run.provenance is not None for run in inputs.runs),
        "tables": inputs.tables,
        "on_rrsisd": wording.is_rrsisd(inputs.statistics.dataset),
        "with_interval": WITH_INTERVAL,
        "directory": directory(PAGES),
    }
    template = templates().get_template("page.html.j2")
    rendered = {}
    for page in pages:

        def to(key: str, here: Page = page) -> str:
            """Where a section is, seen from this page."""
            file = next((other.file for other in pages if other.has(key)), None)
            if file is None:
                raise ValueError(f"no page of this report has a section {key!r}")
            return f"#{key}" if file == here.file else f"{file}#{key}"

        def term(key: str, to: Callable[[str], str] = to) -> str:
            """Where a word of the glossary is explained, seen from this page."""
            return f"{to('glossary').partition('#')[0]}#term-{key}"

        own: dict[str, Any] = {}
        for section in page.sections:
            own |= section.context(inputs)
        rendered[page.file] = template.render(shared | own, page=page, to=to, term=term)
    return rendered
