"""Reading an untrusted pickle: containers, strings and numbers, nothing else.

A pickle is a program. The one here is looked through before it is run: an instruction that could import, call or look
up anything is refused, and so is one that would take more memory than its own length suggests.
"""

import pickle
import pickletools
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

MOST_BYTES = 64 * 2**20  # RRSIS-D's refs take some 5 MB
MOST_INSTRUCTIONS = (
    6_000_000  # RRSIS-D's refs take some million; each may make an object of 50 bytes from one or two
)
MOST_CONTAINERS = 2_000_000  # some 90,000; an empty one is one byte in the file, 64 in memory
MOST_DEPTH = 16  # of containers in containers; refs have 4: list, dict, list, dict

PLAIN = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT",
    "GET", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2",
    "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
))  # fmt: skip


MAKES_CONTAINER = frozenset(
    ("EMPTY_LIST", "LIST", "EMPTY_DICT", "DICT", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "MARK")
)


class _NoImports(pickle.Unpickler):
    """The second lock, should an instruction that imports ever slip through the first."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"it asks for {module}.{name}")


def load_plain(path: Path) -> Any:
    """Load a pickle of lists, tuples, dicts, strings, numbers, booleans and None.

    Raises:
        HarnessError: the file asks for anything else, is damaged, larger than `MOST_BYTES`, of more parts than
            `MOST_INSTRUCTIONS` or `MOST_CONTAINERS`, or nested deeper than `MOST_DEPTH`. Nothing of it has
            been run then.
        FileNotFoundError: there is no such file.
    """
    if (size := path.stat().st_size) > MOST_BYTES:
        raise HarnessError(
            f"{path} is refused: {size:,} bytes, more than the {MOST_BYTES:,} that a table of refs may have"
        )
    try:
        with path.open("rb") as file:
            _look_through(file)
            file.seek(0)
            content = _NoImports(file, encoding="utf-8").load()
        _require_shallow(content)
    except RecursionError:
        raise HarnessError(f"{path} is refused: it is nested too deeply") from None
    except Exception as error:  # a damaged pickle raises whatever its instructions stumble over
        raise HarnessError(
            f"{path} is refused, it is no pickle of plain containers ({error or type(error).__name__}); write it "
            "with plain containers, strings and numbers only, or fetch it again"
        ) from None
    return content


def _look_through(file: Any) -> None:
    """Check every instruction without running it."""
    containers = 0
    names: list[Any] = []  # an import by STACK_GLOBAL takes its names from the last two strings
    for count, (opcode, argument, position) in enumerate(pickletools.genops(file)):
        name = opcode.name
        containers += name in MAKES_CONTAINER
        if count >= MOST_INSTRUCTIONS or containers > MOST_CONTAINERS:
            raise ValueError(
                f"it has more than {MOST_INSTRUCTIONS:,} instructions or {MOST_CONTAINERS:,} containers"
            )
        if name not in PLAIN:
            wanted = str(argument).split() if name in ("GLOBAL", "INST") else names
            what = f"asks for {'.'.join(wanted)}" if "GLOBAL" in name or name == "INST" else f"holds {name}"
            raise ValueError(f"it {what} at byte {position}; only plain containers are read")
        if "PUT" in name and int(argument or 0) > count:  # the unpickler makes room for every index up to it
            raise ValueError(f"it claims {argument} stored objects after {count} instructions")
        if "UNICODE" in name or "STRING" in name:
            str(argument).encode()  # half a character, which a pickle can hold and no file, is an error
            names = [*names[-1:], str(argument)]


def _require_shallow(content: Any) -> None:
    """Check the depth of containers, each looked at once: shared ones may be reached in very many ways."""
    level: list[Any] = [content]
    seen: set[int] = set()
    for _ in range(MOST_DEPTH + 1):
        new = {
            id(item): item for item in level if isinstance(item, (dict, list, tuple)) and id(item) not in seen
        }
        if not new:
            return
        seen |= new.keys()
        level = [
            child
            for container in new.values()
            for child in ((*container, *container.values()) if isinstance(container, dict) else container)
        ]
    raise ValueError(f"its containers are nested deeper than {MOST_DEPTH}")
