"""What is wrong with a params file, in its own terms: the key as it stands there, the value, the nearest key."""

from typing import Any

from pydantic import BaseModel, ValidationError

from harness.errors import shown, suggestion

EXPECTED = {  # in the terms of YAML
    "tuple_type": "expected a list, [first, second]",
    "model_type": "expected a mapping, {key: value}",
}


def complaints(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """A line for each problem that pydantic found in a mapping of `model`: key, problem, value, near keys."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            fields = _fields_at(model, problem["loc"][:-1])
            key = str(problem["loc"][-1])
            lines.append(f"  {where}: unknown key.{suggestion(key, fields)} Known: {', '.join(fields)}")
        elif problem["type"] == "missing":
            lines.append(f"  {where}: missing")
        else:
            message = EXPECTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            given = "" if isinstance(problem["input"], dict) else f" (given: {shown(problem['input'])})"
            lines.append(f"  {where + ': ' if where else ''}{message}{given}")
    return lines


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    section: Any = model
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        annotation = field.annotation if field is not None else section
        found = [
            candidate
            for candidate in (annotation, *getattr(annotation, "__args__", ()))
            if isinstance(candidate, type) and issubclass(candidate, BaseModel)
        ]
        section = found[0] if found else section
    return list(section.model_fields)
