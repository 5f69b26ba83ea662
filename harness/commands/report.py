"""`harness report`."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option


@click.command(name="report")
@params_option
def command(params_path: Path) -> None:
    """Write the HTML report: Tables I to III, significance, sanity checks, predictions, provenance."""
    import time

    from harness.config import load_params
    from harness.report.build import build_report

    started = time.monotonic()
    path = build_report(load_params(params_path))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {time.monotonic() - started:.1f} s")
