"""The templates of the report and of the audit's page, and their filters."""

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
    """The style of every page."""
    from markupsafe import Markup

    return Markup((HERE / "assets" / "report.css").read_text(encoding="utf-8"))


def _quantity(value: object) -> str:
    """A count with separators, or a measured figure with one decimal; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _command_line(command: object) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)


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
        "signed": wording.signed,
        "interval": wording.interval,
        "p_text": wording.p_text,
        "quantity": _quantity,
        "command_line": _command_line,
    }
    return environment
