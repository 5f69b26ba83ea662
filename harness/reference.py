"""The two reference pages of the documentation, written from what they describe: `python -m harness.reference docs`.

commands.md comes from the command line's own objects, configuration.md from the classes of harness/config.py.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import click
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.cli import cli
from harness.config import Params, Section
from harness.files import atomic_write

WRITTEN = "<!-- Written by `python -m harness.reference docs`; a change here is lost. -->\n"


def commands_page() -> str:
    """docs/commands.md: every command with its usage, its help and its options."""
    context = click.Context(cli, info_name="harness")
    parts = [
        "# Commands",
        WRITTEN,
        "Every command has `--help`. Bad input ends with a message that names the file, the value and the way out, and "
        "exit code 2.",
    ]
    for path, command, inner in _commands(cli, context, "harness"):
        parts.append(f"{'#' * (path.count(' ') + 1)} {path}")
        if not isinstance(command, click.Group):
            parts.append(f"`{' '.join([path, *command.collect_usage_pieces(inner)])}`")
        parts.append(_prose(inspect.cleandoc(command.help or "")))
        options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        if options:
            rows = [_option(option, inner) for option in options]
            if any(default for _, default, _ in rows):
                parts.append(_table(("option", "default", "meaning"), rows))
            else:
                parts.append(_table(("option", "meaning"), [(name, meaning) for name, _, meaning in rows]))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def configuration_page() -> str:
    """docs/configuration.md: every key of params.yaml with its type, default and meaning."""
    parts = [
        "# params.yaml",
        WRITTEN,
        "A profile is one file; every key of it is here. Unknown keys are refused, with the nearest known one. A key "
        "without a default has to be there. So does every key that dvc.yaml names, as DVC knows no defaults: all of "
        "the file's first level, `tables.table2` and, under `report`, `html`, `published` and `features`; "
        "`harness doctor` says which one is missing. Paths are relative to the project's folder, where every stage "
        "runs.",
        "[The embedded profile](quickstart.md) is `params.yaml`, the paper's `profiles/rrsisd/params.yaml`.",
    ]
    sections: dict[type[BaseModel], str] = {}  # each with the first place where it stands
    for path, section in _sections(Params, ""):
        sections.setdefault(section, path)
    for section, path in sections.items():
        if path:
            parts += [f"## {path}", section.__doc__ or ""]
        else:
            parts.append("## The file")
        rows = []
        for name, field in section.model_fields.items():
            inner = _inner(field.annotation)
            key = f"[`{name}`](#{_anchor(sections[inner])})" if inner else f"`{name}`"
            rows.append((key, _type(field), _default(field), _prose(field.description or "")))
        parts.append(_table(("key", "type", "default", "meaning"), rows))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def write(folder: Path) -> None:
    """Write both pages into `folder`."""
    for name, page in (("commands.md", commands_page()), ("configuration.md", configuration_page())):
        with atomic_write(folder / name) as temporary:
            temporary.write_text(page, encoding="utf-8")


def _commands(
    command: click.Command, context: click.Context, path: str
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """All commands below a group, each followed by its own, with the context that its usage is made in."""
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is None or inner.hidden:
            continue
        below = click.Context(inner, info_name=name, parent=context)
        yield f"{path} {name}", inner, below
        yield from _commands(inner, below, f"{path} {name}")


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag and not option.count:
        names += f" {_code(option.make_metavar(context).removesuffix(' RANGE'))}"
    default = option.to_info_dict()["default"]
    shown = (
        "" if option.is_flag or default in (None, ()) or isinstance(default, Enum) else _code(str(default))
    )
    meaning = option.help or ""
    if option.multiple and "repeated" not in meaning:
        meaning += " May be repeated."
    if isinstance(option.type, click.IntRange | click.FloatRange):
        limits = (("at least", option.type.min), ("at most", option.type.max))
        meaning += f" ({', '.join(f'{word} {value:,}' for word, value in limits if value is not None)})"
    return names, "required" if option.required else shown, _prose(meaning)


def _sections(section: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, section
    for name, field in section.model_fields.items():
        if inner := _inner(field.annotation):
            yield from _sections(inner, _path(path, name, field))


def _path(path: str, name: str, field: FieldInfo) -> str:
    """A section's name as the file nests it: `runs.NAME`, `data.sources[]`."""
    origin = get_origin(field.annotation)
    below = ".NAME" if origin is dict else "[]" if origin is tuple else ""
    return f"{path}.{name}{below}".lstrip(".")


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The section that a key holds, by itself, in a list or under names."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None


NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
    Any: "any value",
}


def _type(field: FieldInfo) -> str:
    limits = [text for one in field.metadata if (text := _limit(one))]
    return ", ".join([_type_name(field.annotation), *limits])


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        limits = [text for one in _unpacked(annotation.__metadata__) if (text := _limit(one))]
        return ", ".join([_type_name(inner[0]), *limits])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join("`null`" if one is NoneType else _type_name(one) for one in inner)
    if origin is dict:
        return f"mapping of names to {_type_name(inner[1])}"
    if origin is tuple:
        if inner[-1] is Ellipsis:
            return f"list of {_type_name(inner[0])}"
        return f"list of {len(inner)}: {', '.join(_type_name(one) for one in inner)}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "section"
    if annotation is JsonValue:
        return "any value"
    return NAMES[annotation]


def _unpacked(metadata: tuple[Any, ...]) -> Iterator[Any]:
    for one in metadata:
        yield from one.metadata if isinstance(one, FieldInfo) else (one,)


def _limit(constraint: Any) -> str:
    match constraint:
        case annotated_types.Ge(ge=value):
            return f"at least {value}"
        case annotated_types.Gt(gt=value):
            return f"above {value}"
        case annotated_types.Le(le=value):
            return f"at most {value}"
        case annotated_types.Lt(lt=value):
            return f"below {value}"
    return ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        return "its defaults"
    return _code(_yaml(field.default))


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return str(value)


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _prose(text: str) -> str:
    """Help as Markdown: <, > and [ would be markup there; what stands between backticks is left alone."""
    pieces = text.replace("\b\n", "").split("`")
    for place in range(0, len(pieces), 2):
        for special in "<>[]*_":
            pieces[place] = pieces[place].replace(special, "\\" + special)
    return "`".join(pieces)


def _anchor(path: str) -> str:
    """The id that Markdown's toc gives a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m harness.reference FOLDER, which is docs")
    write(Path(sys.argv[1]))
