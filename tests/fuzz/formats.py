"""JSON and pickles that are not what they should be."""

import json
import pickletools
from typing import Any

from hypothesis import strategies as st

from .mutations import SIZES, edits, trees
from .reader import Inputs


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def json_inputs(seed: Any) -> Inputs:
    """JSON of changed values; of changed bytes; with traps for its parser."""
    traps = (
        b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b"1e999", b"NaN", b"-Infinity", b'"\\ud800"', b"\xff",
        b"\x00", b"null", b"{}," * 100_000,
        b"\xef\xbb\xbf", b'"a":1,"a":2,', b"-", b"1" + b"0" * 400,
    )  # fmt: skip
    return (
        trees(seed).map(json_bytes)
        | edits(json_bytes(seed), traps)
        | trees(seed).map(json_bytes).flatmap(edits)
    )


@st.composite
def instructions(draw: Any) -> bytes:
    """A pickle of any instructions, with arguments that may lie."""
    parts = [draw(st.sampled_from((b"", b"\x80\x04", b"\x80\x02")))]
    for opcode in draw(st.lists(st.sampled_from(pickletools.opcodes), max_size=20)):
        parts.append(opcode.code.encode("latin-1"))
        if opcode.arg is None:
            continue
        if opcode.arg.n > 0:
            parts.append((draw(st.sampled_from(SIZES)) % 256**opcode.arg.n).to_bytes(opcode.arg.n, "little"))
        elif opcode.arg.n == pickletools.UP_TO_NEWLINE:
            word = draw(
                st.sampled_from((b"os", b"1", b"-1", b"'a'", b"9" * 5000, b"1e999", b"nan", b"\\ud800", b""))
            )
            parts.append(word + b"\n")
        else:
            width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(
                opcode.arg.n, 4
            )
            claimed = draw(st.sampled_from((0, 1, 3, *SIZES))) % 256**width
            parts.append(claimed.to_bytes(width, "little") + draw(st.binary(max_size=8)))
    return b"".join([*parts, draw(st.sampled_from((b".", b"")))])
