"""Changes to valid content: of values in a tree, and of bytes."""

import copy
from typing import Any

from hypothesis import strategies as st

SIZES = (
    0,
    1,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
)
ODD = (
    None, True, False, 0, -1, 1, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 1e308, 0.5, -0.0,
    float("nan"), float("inf"), "", " ", "0", "\x00", "a/b", "../x", "ä\u2028船", "x" * 3000, "nan",
    "1e999", [], {}, [[]],
    {"": None}, [None], {"a": {"b": {"c": []}}}, [0] * 100, "https://example.org/", "model", "\ud800",
)  # fmt: skip
COUNTS = "m04500000>M^O"  # run lengths of a mask of 9 x 9 pixels
ROOM = 50_000  # bytes that an insertion or repetition adds at most


def trees(seed: Any, odd: tuple[Any, ...] = ODD) -> st.SearchStrategy[Any]:
    """`seed` with one to four of its values replaced, removed, repeated, wrapped or moved; keys may be renamed."""

    @st.composite
    def changed(draw: Any) -> Any:
        root = [copy.deepcopy(seed)]
        for _ in range(draw(st.integers(1, 4))):
            holder: Any = root
            key: Any = 0
            for _ in range(draw(st.integers(0, 7))):  # the deeper, the fewer there are
                child = holder[key]
                if not isinstance(child, dict | list) or not child:
                    break
                holder = child
                key = draw(st.sampled_from(list(child) if isinstance(child, dict) else range(len(child))))
            match draw(
                st.sampled_from(
                    ("replace", "replace", "number", "text", "remove", "repeat", "wrap", "rename")
                )
            ):
                case "replace":
                    holder[key] = copy.deepcopy(draw(st.sampled_from(odd)))
                case "number":
                    holder[key] = draw(st.integers() | st.floats() | st.sampled_from(SIZES).map(lambda n: -n))
                case "text":
                    holder[key] = draw(st.text(max_size=20))
                case "remove" if holder is not root:
                    del holder[key]
                case "repeat" if isinstance(holder, list):
                    holder[key : key + 1] = [holder[key]] * draw(st.sampled_from((2, 3, 50)))
                case "wrap":
                    for _ in range(draw(st.sampled_from((1, 2, 20, 200)))):
                        holder[key] = draw(st.sampled_from(([holder[key]], {"a": holder[key]})))
                case "rename" if isinstance(holder, dict):
                    name = draw(st.text(max_size=8) | st.sampled_from(list(holder)))
                    holder[name] = holder.pop(key)
        return root[0]

    return changed()


def edits(content: bytes, tokens: tuple[bytes, ...] = ()) -> st.SearchStrategy[bytes]:
    """`content` with up to four changes to its bytes; `tokens` are pieces that its format knows."""

    @st.composite
    def changed(draw: Any) -> bytes:
        found = bytearray(content)
        for _ in range(draw(st.integers(1, 4))):
            start = draw(st.integers(0, len(found)) | st.integers(max(0, len(found) - 600), len(found)))
            span = draw(st.integers(0, 16) | st.integers(0, 600))
            match draw(
                st.sampled_from(("flip", "size", "bytes", "cut", "remove", "repeat", "move", "token"))
            ):
                case "flip" if start < len(found):
                    found[start] ^= draw(st.integers(1, 255))
                case "size":
                    width = draw(st.sampled_from((1, 2, 4, 8)))
                    number = draw(st.sampled_from(SIZES)) % 256**width
                    found[start : start + width] = number.to_bytes(
                        width, draw(st.sampled_from(("little", "big")))
                    )
                case "bytes":
                    found[start : start + span] = draw(st.binary(max_size=32))
                case "cut":
                    del found[start:]
                case "remove":
                    del found[start : start + span]
                case "repeat":
                    piece = found[start : start + span]
                    times = min(draw(st.sampled_from((1, 2, 10, 1000))), ROOM // (len(piece) or 1))
                    found[start:start] = piece * times
                case "move":
                    piece = found[start : start + span]
                    del found[start : start + span]
                    target = draw(st.integers(0, len(found)))
                    found[target:target] = piece
                case "token" if tokens:
                    found[start:start] = draw(st.sampled_from(tokens)) * draw(st.sampled_from((1, 1, 1, 50)))
        return bytes(found)

    return changed()
