"""Paper, released code and ours, switch by switch, with the reading that this report's numbers used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import HarnessError
from harness.plain_yaml import read_yaml
from harness.report.parity import COMMAND, read_parity
from harness.report.wording import listing
from harness.training.plan import resolve_recipe

if TYPE_CHECKING:
    from harness.config import Params
    from harness.report.sections import Inputs

FILE = Path(__file__).with_name("fidelity.yaml")
GROUPS = {
    "network": "Network",
    "training": "Training recipe",
    "data": "Data",
    "metrics": "Metrics and evaluation",
}
Group = Literal["network", "training", "data", "metrics"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Option(_Entry):
    """A parameter of a model's factory."""

    option: str = Field(pattern=r"^[a-z0-9-]+\.[a-z0-9_]+$")
    default: Any
    other: Any
    unset: str = "not set"  # what None means, in words

    @property
    def name(self) -> str:
        """How the page calls it."""
        return f"option {self.option.partition('.')[2]}"


class Setting(_Entry):
    """A field of the params file; a * in it stands for every key of a mapping. Without a default it must be given."""

    setting: str
    default: Any = None
    other: Any = None
    unset: str = "not set"

    @property
    def name(self) -> str:
        """How the page calls it."""
        return f"setting {self.setting}"


class RecipeField(_Entry):
    """A field of the recipes and its value in each, by "RECIPE MODEL"."""

    recipe: str
    values: dict[str, Any] = Field(min_length=1)
    trains: bool = True  # False: what the script had, and nothing here uses

    @property
    def by_value(self) -> str:
        """Its values, each with the recipes that have it: "8 (released lavt), 2 (released rmsin)"."""
        found: dict[str, list[str]] = {}
        for name, value in self.values.items():
            found.setdefault(value_text(value), []).append(name)
        return _by_name(found)

    @property
    def name(self) -> str:
        """How the page calls it."""
        return f"{self.recipe} in effect"


class Function(_Entry):
    """A parameter of a function that is called from Python; the pipeline leaves it at its default."""

    function: str
    parameter: str
    default: Any
    other: Any

    @property
    def name(self) -> str:
        """How the page calls it."""
        return f"{self.function}({self.parameter}=…)"


Selector = Option | Setting | RecipeField | Function


class Effect(_Entry):
    """What a switch was measured to change, and where that stands."""

    text: str
    source: str  # a file of the project
    quote: str  # stands in that file, word for word


class Switch(_Entry):
    """One point on which paper, released code and ours are compared."""

    key: str = Field(pattern=r"^[a-z0-9-]+$")
    group: Group
    subject: str = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=1)
    paper: str = Field(min_length=1)
    released: str = Field(min_length=1)
    ours: str = Field(min_length=1)
    select: tuple[Selector, ...] = ()
    effect: Effect | None = None


class _File(_Entry):
    schema_version: Literal[1]
    switches: tuple[Switch, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _keys_differ(self) -> _File:
        keys = [switch.key for switch in self.switches]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"the key {twice[0]!r} occurs twice")
        return self


def read_switches(path: Path = FILE) -> tuple[Switch, ...]:
    """Read and validate fidelity.yaml.

    Raises:
        HarnessError: it cannot be read or has a wrong key or value; names the first one.
    """
    try:
        return _File.model_validate(read_yaml(path)).switches
    except ValidationError as error:
        first = error.errors()[0]
        raise HarnessError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, yaml.YAMLError) as error:
        raise HarnessError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None


@cache
def _switches() -> tuple[Switch, ...]:
    return read_switches()


@dataclass(frozen=True)
class Row:
    """A switch and what this report's numbers used."""

    switch: Switch
    used: tuple[str, ...]  # a line for each selector
    departs: bool  # for a model of Table I something stands at another value than the default or the released recipe's


def fidelity_context(inputs: Inputs) -> dict[str, Any]:
    """What the section's template is given."""
    params = inputs.params
    rows = [used_here(switch, params) for switch in _switches()]
    parity, no_parity = read_parity(params.report.parity)
    return {
        "fidelity_groups": [
            (GROUPS[group], [row for row in rows if row.switch.group == group]) for group in GROUPS
        ],
        "fidelity_sentence": departures(rows, params.training.recipe if params.trains else None),
        "parity": parity,
        "no_parity": no_parity,
        "parity_command": COMMAND,
        "value_text": value_text,
    }


def departures(rows: list[Row], recipe: str | None) -> str:
    """How many switches stand at another reading than the default in this report."""
    found = [row.switch.subject[0].lower() + row.switch.subject[1:] for row in rows if row.departs]
    start = (
        f"The networks of this report were trained by the recipe “{recipe}”. "
        if recipe is not None
        else "The networks of this report were not trained here, so their recipes are not known. "
    )
    if not found:
        return f"{start}For the models of Table I all {len(rows)} switches stand at their defaults."
    return (
        f"{start}For one model of Table I or more, {len(found)} of {len(rows)} switches stand at another value than "
        f"the released code's: {listing(found)}."
    )


def used_here(switch: Switch, params: Params) -> Row:
    """Which reading of a switch the tables' networks used."""
    if switch.group == "training" and not params.trains:
        return Row(switch, ("not known: not trained here",), False)
    counted = [one for one in switch.select if not isinstance(one, RecipeField) or one.trains]
    found = [_used(selector, params) for selector in counted]
    used = [
        line if len(counted) == 1 else f"{selector.name}: {line}"
        for selector, (line, _) in zip(counted, found, strict=True)
    ]
    departs = any(departed for _, departed in found)
    return Row(switch, tuple(used) or ("as in the column “Ours”: there is no choice",), departs)


def _used(selector: Selector, params: Params) -> tuple[str, bool]:
    if isinstance(selector, Option):
        return _option_used(selector, params)
    if isinstance(selector, RecipeField):
        return _recipe_used(selector, params)
    if isinstance(selector, Function):
        return value_text(selector.default), False
    found = setting_values(params, selector.setting)
    values = list(dict.fromkeys(value_text(value, selector.unset) for value in found))
    default = value_text(selector.default, selector.unset)
    departed = "default" in selector.model_fields_set and values != [default]
    return ", ".join(values) or "none", departed


def _tabled(params: Params) -> list[str]:
    """The variants of the three tables, each once."""
    tables = (params.tables.table1, params.tables.table2, params.tables.table3)
    return list(dict.fromkeys(variant for table in tables for variant in table.rows.values()))


def _option_used(selector: Option, params: Params) -> tuple[str, bool]:
    model, _, parameter = selector.option.partition(".")
    found: dict[str, list[str]] = {}
    departed = False
    for name in _tabled(params):
        if params.variants[name].model == model:
            value = params.variants[name].options.get(parameter, selector.default)
            found.setdefault(value_text(value, selector.unset), []).append(name)
            # An ablation departs on purpose; the models of Table I are what is compared with the paper.
            departed |= name in params.tables.table1.rows.values() and value != selector.default
    return _by_name(found) or f"no network of {model} is in the tables", departed


def _recipe_used(selector: RecipeField, params: Params) -> tuple[str, bool]:
    found: dict[str, list[str]] = {}
    departed = False
    for row, variant in params.tables.table1.rows.items():
        run = next((name for name, planned in params.runs.items() if planned.variant == variant), None)
        if run is None:
            found.setdefault("no run planned", []).append(row)
            continue
        try:
            value = value_text(getattr(resolve_recipe(params, run), selector.recipe))
        except HarnessError as error:
            value = f"cannot be told ({error})"
        found.setdefault(value, []).append(row)
        released = f"released {params.variants[variant].model}"
        departed |= released in selector.values and value != value_text(selector.values[released])
    return _by_name(found), departed


def _by_name(found: Mapping[str, list[str]]) -> str:
    """ "8", or "8 (LAVT), 16 (RMSIN, MAFN)"."""
    if len(found) <= 1:
        return "".join(found)
    return ", ".join(f"{value} ({', '.join(names)})" for value, names in found.items())


def setting_values(params: Params, path: str) -> list[Any]:
    """The values of a field of params; several where the path has a *. Below a section that is off: none."""
    values: list[Any] = [params]
    for part in path.split("."):
        if part == "*":
            values = [inner for value in values for inner in value.values()]
        else:
            values = [getattr(value, part) for value in values if value is not None]
    return values


def value_text(value: Any, unset: str = "not set") -> str:
    """A value of a setting as the page shows it: as YAML has it, and None as `unset`."""
    if value is None:
        return unset
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(value_text(item) for item in value)}]" if value else "[] (none)"
    if isinstance(value, float):
        return f"{value:g}".replace("e-0", "e-")
    return str(value)
