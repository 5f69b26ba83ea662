"""The audit as a section of the report and as one self-contained HTML page."""

from typing import Any

from harness.audit.audit import Audit
from harness.audit.document import document
from harness.audit.summary import summary
from harness.escaping import plain


def audit_context(audit: Audit) -> dict[str, Any]:
    """What the template _audit.html.j2 needs as `audit`."""
    return {"sentences": [plain(sentence) for sentence in summary(audit)], "blocks": document(audit)}


def audit_page(audit: Audit, title: str) -> str:
    """The page; the same audit gives the same bytes. All text from the file is escaped."""
    from harness.report.templating import stylesheet, templates

    return (
        templates()
        .get_template("audit.html.j2")
        .render(title=plain(title), stylesheet=stylesheet(), sizes=audit.sizes, audit=audit_context(audit))
    )
