"""The recorded comparison with the released networks' outputs, reports/parity.json.

`pytest -m big tests/golden --parity-report reports/parity.json` writes it (tests/golden/conftest.py).
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA_VERSION = 1
COMMAND = "pytest -m big tests/golden --parity-report reports/parity.json"


class Precision(BaseModel):
    """One network in one precision: relative L2 errors of its outputs, and the largest that the test allows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    errors: dict[str, float] = Field(min_length=1)  # by output, from the text to the logits
    limit: float

    @property
    def largest(self) -> float:
        """The largest relative error."""
        return max(self.errors.values())

    @property
    def worst(self) -> str:
        """The output that has it."""
        return max(self.errors, key=self.errors.__getitem__)


class Parity(BaseModel):
    """parity.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    setting: str  # what was compared: sizes, images, mode
    versions: dict[str, str]
    networks: dict[str, dict[Literal["float64", "float32"], Precision]]


def read_parity(path: Path) -> tuple[Parity | None, str | None]:
    """The recorded parity, or why there is none, in words."""
    if not path.exists():
        return None, f"Parity with the released networks was not recorded: {path} does not exist."
    try:
        return Parity.model_validate(json.loads(path.read_text(encoding="utf-8"))), None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return None, f"Parity with the released networks cannot be told: {path}, {where}: {first['msg']}."
    except (ValueError, OSError, RecursionError):
        return None, f"Parity with the released networks cannot be told: {path} cannot be read as JSON."
