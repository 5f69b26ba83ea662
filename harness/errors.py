"""The one error that a user is meant to see."""


class HarnessError(Exception):
    """Bad input: one message that names the file, the value and the way out.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 2
    rank: int | None = None  # of several processes the one whose own error this is; None: all have it


def shown(value: object, most: int = 200) -> str:
    """`value` as Python writes it, cut at `most` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in a list in a list ...
        text = f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= most else f"{text[: most - 1]}…"


def suggestion(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the known name closest to `name`, or "" when none is close."""
    from difflib import get_close_matches

    lower = {one.lower(): one for one in reversed(known)}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return f" Did you mean {lower[close[0]]!r}?" if close else ""
