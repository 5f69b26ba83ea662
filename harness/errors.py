"""The one error that a user is meant to see."""


class HarnessError(Exception):
    """Bad input: one message that names the file, the value and the way out.

    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 2
    rank: int | None = None  # of several processes the one whose own error this is; None: all have it


def suggestion(name: str, known: list[str]) -> str:
    """Return " Did you mean 'x'?" for the known name closest to `name`, or "" when none is close."""
    from difflib import get_close_matches

    lower = {one.lower(): one for one in reversed(known)}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return f" Did you mean {lower[close[0]]!r}?" if close else ""
