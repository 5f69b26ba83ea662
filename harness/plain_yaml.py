"""Reading YAML that anybody may have written: plain values, of a size that the file's own length bounds.

An alias takes a few bytes and stands for all that its anchor holds; ten of them, each of ten more, fill any memory once
somebody walks through what was read.
"""

from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 2**19  # of a file, also with every alias replaced by what it stands for
MOST_BRACKETS = 50  # open at a time; the scanner looks back at all of them for every word


class PlainLoader(yaml.SafeLoader):
    """Values only, in brackets of a bounded depth."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """Refuse the bracket that is one too many."""
        if self.flow_level >= MOST_BRACKETS:
            raise yaml.YAMLError(f"line {self.line + 1}: more than {MOST_BRACKETS} brackets are open")
        super().fetch_flow_collection_start(token)


def read_yaml(path: Path, loader: type[PlainLoader] = PlainLoader) -> Any:
    """The value of a YAML file.

    Args:
        path: the file, in UTF-8.
        loader: how its scalars become values.

    Raises:
        yaml.YAMLError: no YAML, a value that its type cannot have, nested too deeply, larger than `MOST_BYTES` or
            larger once its aliases are replaced.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise yaml.YAMLError(f"it has more than {MOST_BYTES:,} bytes")
    text = content.decode("utf-8")
    try:
        reader = loader(text)
        root = reader.get_single_node()
        if root is None:
            return None
        if _size(root, {}) > MOST_BYTES:
            raise yaml.YAMLError(f"its aliases stand for more than {MOST_BYTES:,} bytes")
        return reader.construct_document(root)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except Exception as error:  # constructors raise whatever they stumble over: 2024-13-45, !!int x
        raise yaml.YAMLError(f"a value cannot be what its form says ({error})") from None


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Bytes and nodes of a tree, those behind an alias counted each time."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: an anchor contains itself")
        return size
    known[id(node)] = None
    size = 1
    if isinstance(node, yaml.ScalarNode):
        size += len(node.value.encode())  # half a character, which no file can hold, is an error
    elif isinstance(node, yaml.MappingNode):
        size += sum(_size(key, known) + _size(value, known) for key, value in node.value)
    else:
        size += sum(_size(item, known) for item in node.value)
    known[id(node)] = size
    return size
