"""`harness doctor`: whether this machine can run a profile."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from harness.commands import params_option

if TYPE_CHECKING:
    from harness.doctor.check import Check

SCHEMA_VERSION = 1
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command(name="doctor")
@params_option
@click.option("--offline", is_flag=True, help="Ask no host on the network.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write it, too.")
def command(params_path: Path, offline: bool, json_path: Path | None) -> None:
    """Check whether this machine can run a profile: what is ready, what is missing, and what to do about it.

    Exit code 0: no errors, though there may be warnings. 1: errors. Nothing is changed or fetched.
    """
    from rich.console import Console

    from harness.doctor.examination import examine
    from harness.files import require_writable, write_json

    if json_path is not None:
        require_writable(json_path)
    with Console(stderr=True).status("looking; the networks take some seconds"):
        checks = examine(params_path, offline=offline)
    _print(checks)
    errors = sum(check.status == "error" for check in checks)
    if json_path is not None:
        found = [vars(check) for check in checks]
        write_json(
            json_path,
            {"schema_version": SCHEMA_VERSION, "params": str(params_path), "errors": errors, "checks": found},
        )
    sys.exit(1 if errors else 0)


def _print(checks: "list[Check]") -> None:
    import shutil

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(Text(check.status, STYLES[check.status]), check.name, Text(check.text))
        if check.way_out:
            table.add_row("", "", Text(f"-> {check.way_out}"))
    console = Console(width=min(80, shutil.get_terminal_size().columns), highlight=False)
    console.print(table)
    number = {status: sum(check.status == status for check in checks) for status in STYLES}
    found = [
        f"{number[status]} {status}{'' if number[status] == 1 else 's'}" for status in ("error", "warning")
    ]
    console.print(f"\n{', '.join(found)}", style="bold")
