"""The keys of params.yaml that dvc.yaml names: DVC reads the file by itself, and knows none of the defaults."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness.errors import HarnessError
from harness.plain_yaml import read_yaml

INSERTED = re.compile(r"\$\{([\w.]+)\}")
LOOP = ("key", "item")  # of a foreach, no keys of the file


def require_written_out(path: Path) -> None:
    """Check that a params file has every key that the dvc.yaml beside it names; all is well without a dvc.yaml.

    Raises:
        HarnessError: it leaves some to their defaults; names them.
    """
    if lacking := unwritten(path):
        raise HarnessError(
            f"{path} leaves out {', '.join(lacking)}. {path.with_name('dvc.yaml')} names "
            f"{'this key' if len(lacking) == 1 else 'these keys'}, and DVC knows no defaults: write "
            f"{'it' if len(lacking) == 1 else 'them'} out, docs/configuration.md has the values"
        )


def unwritten(path: Path) -> list[str]:
    """The keys that the dvc.yaml beside a params file names and the file does not have."""
    try:
        pipeline, content = read_yaml(path.with_name("dvc.yaml")), read_yaml(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # no pipeline, or DVC says what is wrong with it
        return []
    return [key for key in dict.fromkeys(_named(pipeline)) if not _has(content, key)]


def _named(part: Any) -> Iterator[str]:
    """The keys that a part of dvc.yaml inserts, `${report.html}`, or lists under `params`."""
    if isinstance(part, str):
        yield from (key for key in INSERTED.findall(part) if key.split(".")[0] not in LOOP)
    elif isinstance(part, list):
        for one in part:
            yield from _named(one)
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from _named(name)
            yield from _named(value)
            if name == "params" and isinstance(value, list):
                yield from _listed(value)


def _listed(params: list[Any]) -> Iterator[str]:
    """The keys of `params: [{'${params}': [data, text]}]`."""
    for files in params:
        for keys in files.values() if isinstance(files, dict) else ():
            yield from (key for key in keys or () if isinstance(key, str) and "$" not in key)


def _has(content: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True
