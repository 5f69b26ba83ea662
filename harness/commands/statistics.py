"""`harness statistics`."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option


@click.command(name="statistics")
@params_option
def command(params_path: Path) -> None:
    """Write statistics.json: every metric with its interval, every comparison with its tests.

    A run that is not evaluated is left out, and said to be; the report states the gap.
    """
    import os
    import sys
    import time

    # Before numpy comes in: products this small gain nothing from a second thread and lose much on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from harness.config import load_params
    from harness.files import write_json
    from harness.progress import Progress
    from harness.statistics.build import build, plan
    from harness.statistics.evaluated import evaluate_command, evaluated

    params, left_out = evaluated(load_params(params_path))
    for run, table in left_out.items():
        print(
            f"{run} is left out: there is no {table}; `{evaluate_command(params, run)}` writes it",
            file=sys.stderr,
        )
    started = time.monotonic()
    entries = plan(params)
    with Progress("statistics", len(entries), "entries") as progress:
        content = build(params, advance=progress.advance)
    path = params.statistics_file
    write_json(path, content)
    compared = sum(len(content[part]) for part in ("comparisons", "trivial", "shuffled"))
    print(
        f"{path}: {len(content['summaries'])} summaries, {compared} comparisons, "
        f"{params.statistics.resamples:,} resamples each, {time.monotonic() - started:.1f} s"
    )
