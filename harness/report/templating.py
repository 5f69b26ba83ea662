"""The templates of the report and of the audit's page, and their filters."""

import base64
import hashlib
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.report import wording

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

HERE = Path(__file__).parent


def stylesheet() -> "Markup":
    """The style of every page: all style sheets of assets/."""
    return _assets("*.css")


def _quantity(value: object) -> str:
    """A count with separators, or a measured figure with one decimal; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _command_line(command: object) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


def script() -> "Markup":
    """The script of every page of the report, all of assets/; the pages can be read without it."""
    return _assets("*.js")


def _assets(pattern: str) -> "Markup":
    from markupsafe import Markup

    texts = [path.read_text(encoding="utf-8") for path in sorted((HERE / "assets").glob(pattern))]
    return Markup("".join(texts))


def policy() -> str:
    """The Content-Security-Policy of the report's pages: nothing is loaded, no script and no style but their own."""

    def own(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {own(stylesheet())}; style-src-attr 'unsafe-inline'; "
        f"script-src {own(script())}; base-uri 'none'; form-action 'none'"
    )


@cache
def templates() -> "jinja2.Environment":
    """The templates with the filters that they use; anything undefined in them is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": wording.number,
        "significant": wording.significant_digits,
        "signed": wording.signed,
        "interval": wording.interval,
        "p_text": wording.p_text,
        "quantity": _quantity,
        "command_line": _command_line,
    }
    return environment
