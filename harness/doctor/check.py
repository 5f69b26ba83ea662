"""What a check finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Check:
    """One line of `harness doctor`.

    Args:
        name: what was looked at, a word.
        status: an error is in the way of the profile; a warning may be.
        text: what was found.
        way_out: what to do about it; "" where nothing is to be done.
    """

    name: str
    status: Status
    text: str
    way_out: str = ""


def guarded(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    """What `look` finds; where it cannot be made, a warning that says why."""
    try:
        return look()
    except HarnessError as error:
        return [Check(name, "error", str(error))]
    except (
        Exception
    ) as error:  # libraries and systems fail in ways of their own, and the other lines matter, too
        reason = " ".join(str(error).split()) or "no reason given"
        return [Check(name, "warning", f"could not be checked ({type(error).__name__}: {reason[:200]})")]
