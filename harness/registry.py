"""Models and data sets by name: entry points "name -> module:factory", imported only when asked for.

Another package adds one by declaring it in its own pyproject.toml:

    [project.entry-points."rrsis_harness.models"]
    mynet = "mypackage.mynet:mynet"

docs/add_a_model.md and docs/add_a_dataset.md go through an example; harness.testing checks what is registered.
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.errors import HarnessError, suggestion


@dataclass(frozen=True)
class Registry:
    """The entry points of one group.

    Args:
        group: Name of the entry point group.
        kind: What an entry is, for messages: "model", "data set".
    """

    group: str
    kind: str

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def load(self, name: str) -> Any:
        """Import and return what is registered as `name`: a factory, a `DatasetFormat`.

        Raises:
            HarnessError: The name is unknown, two packages claim it, or its module cannot be imported.
        """
        entry = self.entry(name)
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            raise HarnessError(f"{self.kind} {name!r} ({entry.value}) cannot be imported: {error}") from error

    def entry(self, name: str) -> EntryPoint:
        """Return the one entry point called `name`, without importing it.

        Raises:
            HarnessError: The name is unknown or two packages claim it.
        """
        claims = {entry.value: entry for entry in entry_points(group=self.group, name=name)}
        if not claims:
            known = self.names()
            raise HarnessError(
                f"unknown {self.kind} {name!r}.{suggestion(name, known)} Known: {', '.join(known) or 'none'}. One of "
                f"another package is known once that is installed: `pip install --editable FOLDER`"
            )
        if len(claims) > 1:
            raise HarnessError(
                f"{self.kind} {name!r} is registered more than once: {', '.join(sorted(claims))}; "
                f"uninstall all but one of these packages"
            )
        return next(iter(claims.values()))

    def package(self, name: str) -> str:
        """The distribution that registers `name`, as pip knows it.

        Raises:
            HarnessError: as `entry`.
        """
        entry = self.entry(name)
        return entry.dist.name if entry.dist is not None else entry.module

    def describe(self, name: str) -> str:
        """Return "model 'tinyfcn' of package tiny-fcn (tinyfcn.model:tinyfcn)", for messages.

        Raises:
            HarnessError: as `entry`.
        """
        return f"{self.kind} {name!r} of package {self.package(name)} ({self.entry(name).value})"


MODELS = Registry("rrsis_harness.models", "model")  # factories: harness.models.create_model
DATASETS = Registry("rrsis_harness.datasets", "data set")  # harness.data.DatasetFormat
RECIPES = Registry("rrsis_harness.recipes", "recipe of model")  # by model: harness.training.recipe.Recipe
