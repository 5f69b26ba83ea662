"""The command line: one module a command under harness/commands, imported when it is called or listed.

A command module exposes `command` and imports what is heavy inside its function, so that `harness --help` stays fast.
"""

import importlib
import os
import sys
from typing import Any

import rich_click as click

from harness import __version__
from harness.commands import in_profile
from harness.errors import HarnessError, suggestion

COMMANDS = {  # in the order of the work
    "doctor": "harness.commands.doctor",
    "plan": "harness.commands.plan",
    "data": "harness.commands.data",
    "prepare": "harness.commands.prepare",
    "models": "harness.commands.models",
    "weights": "harness.commands.weights",
    "train": "harness.commands.train",
    "sweep": "harness.commands.sweep",
    "evaluate": "harness.commands.evaluate",
    "predict": "harness.commands.predict",
    "features": "harness.commands.features",
    "statistics": "harness.commands.statistics",
    "compare": "harness.commands.compare",
    "audit": "harness.commands.audit",
    "check": "harness.commands.check",
    "report": "harness.commands.report",
}


class LazyGroup(click.RichGroup):
    """Imports a command's module when it is asked for, and says "did you mean"."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name; None when there is none."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name]).command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command of the first argument."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"there is no command {name!r}.{suggestion(name, list(COMMANDS))}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Train, evaluate and compare networks for referring remote sensing image segmentation.

    `dvc repro` runs all stages in order; each stage is one of these commands.
    """


def main() -> None:
    """Run the command line; bad input ends with one message and exit code 2."""
    try:
        cli(prog_name="harness")
    except HarnessError as error:
        if error.rank is not None or os.environ.get("RANK", "0") == "0":
            print(f"error: {in_profile(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output, `head` say, is gone
        sys.stderr.close()
        sys.exit(1)
