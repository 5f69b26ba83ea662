"""YAML: settings, published numbers, manifests, the pipeline."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from sample_tables import PROJECT
from toy import toy_params

from .mutations import edits, trees
from .reader import Inputs, Reader, reader

YAML_TRAPS = tuple(
    trap.encode()
    for trap in (
        "\nbomb: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"b{n}: &{n} [{','.join(['*' + (str(n - 1) if n else 'a')] * 9)}]\n" for n in range(9)
        ),
        "[" * 2000, "{a: " * 2000, "- " * 2000, "? " * 2000, "!!python/object:os.system x", "!!python/name:os.system",
        "!!timestamp 2024-99-99", "2024-13-45", "!!int x", "!!int ''", "!!float x", "!!binary x", "!!bool x",
        "!!set [1]",
        "!!omap [1]", "!!pairs 1", "<<: [1]", "<<: {a: 1}", "? [a]\n: b", "? {a: 1}\n: b", "&a [*a]",
        "&a {x: *a}", "*unknown",
        "0x", "0x" + "f" * 5000, "0b", "0o8", "1:99:99", "9" * 5000, "1e999", ".nan", "-.inf", "\ud7ff", "\t",
        "%YAML 9.9\n---\n", "---\n", "...\n",
        "|9\n", ">-\n", "'", '"', '"\\ud800"', '"\\x"', "!<", "&", "#", "\x85", "\u2028", "\ufeff", "!",
        "!!null x", "{*a: 1}", "=",
    )
)  # fmt: skip


def _yaml(value: Any) -> bytes:
    try:
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return b"{"


def yaml_inputs(content: bytes) -> Inputs:
    seed = yaml.safe_load(content)
    bombs = st.sampled_from(
        ("sha256", "dataset", "root", "rows", "options", "table1", "seed", "text", "n", "stages")
    )
    nested = st.tuples(bombs, st.integers(1, 12)).map(lambda pair: _bomb(content, *pair))
    return trees(seed).map(_yaml) | edits(content, YAML_TRAPS) | nested


def _bomb(content: bytes, key: str, levels: int) -> bytes:
    """`content` with an anchor that stands for nine more, `levels` times over, as the value of a key."""
    lines = ["zero: &z0 [lol, lol]"]
    lines += [f"level{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 9)}]" for n in range(1, levels + 1)]
    return (
        "\n".join(lines).encode()
        + b"\n"
        + content.replace(f"{key}:".encode(), f"{key}: *z{levels} #".encode())
    )


@reader
def params(folder: Path) -> Reader:
    """params.yaml, and what a message and the provenance make of its values."""
    from harness.config import load_params

    content = (PROJECT / "params.yaml").read_bytes()
    return Reader(
        "params",
        "params.yaml",
        content,
        yaml_inputs(content),
        lambda path: load_params(path).model_dump_json(),
    )


@reader
def published(folder: Path) -> Reader:
    from harness.published import read_published

    content = (PROJECT / "reports" / "published.yaml").read_bytes()
    return Reader("published", "published.yaml", content, yaml_inputs(content), read_published)


@reader
def manifest(folder: Path) -> Reader:
    from harness.data.verify import MANIFESTS, read_manifest

    content = next(iter(sorted(MANIFESTS.glob("*.yaml")))).read_bytes()
    return Reader(
        "manifest", "manifest.yaml", content, yaml_inputs(content), lambda path: read_manifest(str(path))
    )


@reader
def pipeline(folder: Path) -> Reader:
    """dvc.yaml as the report reads it: what is wrong becomes a sentence."""
    from harness.report.pipeline import read_pipeline

    settings = toy_params(folder)
    content = (PROJECT / "dvc.yaml").read_bytes()
    return Reader("pipeline", "dvc.yaml", content, yaml_inputs(content), lambda path: read_pipeline(settings))
