import collections
import os
import pickle
import pickletools
import struct

import pytest

from harness.data.plain_pickle import MOST_DEPTH, load_plain
from harness.errors import HarnessError

PLAIN = [
    {"a": [1, -2, 2**80, 1.5, True, None, "ä"], "t": (1,), "u": (1, 2), "v": (1, 2, 3), "w": (1, 2, 3, 4)},
    {"same": "x" * 300},
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_are_read_in_every_protocol(tmp_path, protocol):
    path = tmp_path / "refs.p"
    path.write_bytes(pickle.dumps([*PLAIN, PLAIN[1]], protocol=protocol))
    assert load_plain(path) == [*PLAIN, PLAIN[1]]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Plain:
    pass


def refusal(path):
    with pytest.raises(HarnessError) as caught:
        load_plain(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_before_it_runs(tmp_path, protocol):
    marker, path = tmp_path / "ran", tmp_path / "refs.p"
    content = pickle.dumps([Evil(str(marker))], protocol=protocol)
    path.write_bytes(content)
    assert "asks for posix.mkdir" in refusal(path)
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists(), "the pickle would have run code"


@pytest.mark.parametrize(
    "value",
    [Plain(), collections.OrderedDict(a=1), {1, 2}, frozenset({1}), complex(1, 2), bytearray(b"x"), b"x"],
)
def test_other_types_are_refused(tmp_path, value):
    path = tmp_path / "refs.p"
    path.write_bytes(pickle.dumps([value]))
    assert "only plain containers" in refusal(path)


def test_every_instruction_that_could_import_or_call_is_refused():
    from harness.data.plain_pickle import PLAIN as ALLOWED

    names = {opcode.name for opcode in pickletools.opcodes}
    assert names >= ALLOWED
    words = ("GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "EXT", "PERS")
    calling = {name for name in names if name.startswith(words) or name.endswith(("GLOBAL", "PERSID"))}
    assert len(calling) == 13
    assert not ALLOWED & calling


def test_a_deep_pickle_is_refused(tmp_path):
    path = tmp_path / "refs.p"
    for depth in (MOST_DEPTH + 1, 100_000):
        path.write_bytes(b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".")
        assert "nested deeper" in refusal(path)
    path.write_bytes(b"\x80\x04" + b"]" * MOST_DEPTH + b"a" * (MOST_DEPTH - 1) + b".")
    assert load_plain(path)


def test_shared_containers_cost_no_time(tmp_path):
    """Each list holds the one before it ten times: 10^12 paths to the innermost, twelve lists."""
    value = []
    for _ in range(12):
        value = [value] * 10
    path = tmp_path / "refs.p"
    path.write_bytes(pickle.dumps(value))
    assert len(load_plain(path)) == 10


def test_a_pickle_that_claims_memory_is_refused(tmp_path):
    path = tmp_path / "refs.p"
    path.write_bytes(b"\x80\x04]r" + struct.pack("<I", 2**31 - 1) + b".")  # LONG_BINPUT
    assert "claims 2147483647 stored objects" in refusal(path)


def test_half_a_character_is_refused(tmp_path):
    path = tmp_path / "refs.p"
    path.write_bytes(pickle.dumps(["\ud800"]))
    assert "surrogates not allowed" in refusal(path)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "refs.p"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse
    assert "1,099,511,627,776 bytes" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"<html>quota exceeded</html>", b"\x80\x04]q\x00(K\x01K", b"Iabc\n."]
)
def test_what_is_no_pickle_is_refused(tmp_path, content):
    path = tmp_path / "refs.p"
    path.write_bytes(content)
    assert "no pickle of plain containers" in refusal(path)


@pytest.mark.parametrize("content", [b"(" + b"}" * 3_000_000 + b"l.", b"(" + b"K\x01" * 7_000_000 + b"l."])
def test_a_pickle_of_too_many_parts_is_refused_before_they_are_made(tmp_path, content):
    path = tmp_path / "refs.p"
    path.write_bytes(content)
    assert "more than 6,000,000 instructions or 2,000,000 containers" in refusal(path)
