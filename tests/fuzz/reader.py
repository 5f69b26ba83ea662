"""What a reader is to the fuzzer, and the makers of all of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

Inputs = st.SearchStrategy[bytes]


@dataclass(frozen=True)
class Reader:
    """A reader of files."""

    name: str
    file: str  # relative to its folder
    valid: bytes
    inputs: Inputs
    read: Callable[[Path], object]


READERS: dict[str, Callable[[Path], Reader]] = {}


def reader(make: Callable[[Path], Reader]) -> Callable[[Path], Reader]:
    """Add a maker of a reader, under the name of the function."""
    READERS[make.__name__] = make
    return make
