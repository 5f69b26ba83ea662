"""`harness sweep`: several runs at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from harness.commands import params_option
from harness.commands.completion import run_names
from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config import Params
    from harness.sweep.pending import Plan
    from harness.sweep.run import Run

EXIT_FAILED = 1
EXIT_STOPPED = 75  # by a signal; the same command goes on


@click.command(name="sweep")
@click.argument("names", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@params_option
@click.option(
    "--slots",
    type=click.IntRange(1),
    metavar="N",
    help="Runs side by side; one for each GPU or core by default.",
)
@click.option("--devices", metavar="LIST", help="GPUs to train on, such as 0,1; all by default, '' for none.")
@click.option("--dry", is_flag=True, help="Only show what would be trained.")
@click.option("--launcher", type=click.Choice(["local", "slurm"]), default="local", show_default=True)
@click.option("--partition", metavar="NAME", help="Slurm: partition of the jobs.")
@click.option(
    "--time", metavar="[D-]H:M:S", help="Slurm: time limit of a job, after which it goes on in a new one."
)
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="Slurm: machines a run; 1 by default.")
@click.option("--gpus", type=click.IntRange(0), metavar="N", help="Slurm: GPUs a machine; 1 by default.")
@click.option(
    "--cpus",
    type=click.IntRange(1),
    metavar="N",
    help="Slurm: cores a machine; what loaders need by default.",
)
@click.option(
    "--sbatch", multiple=True, metavar="KEY=VALUE", help="Slurm: any other option of sbatch, qos=long say."
)
def command(
    names: tuple[str, ...],
    params_path: Path,
    slots: int | None,
    devices: str | None,
    dry: bool,
    launcher: str,
    **slurm_options: "str | int | tuple[str, ...] | None",
) -> None:
    """Train several networks at once: the runs whose train stage is not up to date, side by side.

    RUN is a run (mafn-s0) or all seeds of a variant (mafn, mafn-k1); all runs by default. Ctrl-C and SIGTERM let every
    training save and leave; the same command goes on.
    """
    from harness.config import load_params
    from harness.pipeline_keys import require_written_out
    from harness.sweep.pending import chosen_runs

    _refuse_foreign_options(launcher == "slurm", {"slots": slots, "devices": devices}, slurm_options)
    params = load_params(params_path)
    if params.params.resolve() != params_path.resolve():
        raise HarnessError(
            f"{params_path} says `params: {params.params}`, and DVC would train what that file says"
        )
    require_written_out(params_path)
    chosen = chosen_runs(params, names)
    if launcher == "slurm":
        code = _submit(params, chosen, slurm_options, dry=dry)
    else:
        code = _train_here(params, chosen, slots, devices, dry=dry)
    sys.exit(code)


def _train_here(
    params: "Params", chosen: "Sequence[str]", slots: int | None, devices: str | None, *, dry: bool
) -> int:
    from harness.sweep.local import stop_requests, train
    from harness.sweep.slots import make_slots, parse_devices
    from harness.sweep.view import View, print_summary

    named = parse_devices(devices)
    runs = _runs_to_train(params, chosen, dry=dry)
    if not runs:
        return 0
    places = make_slots(slots, named)
    with stop_requests() as requests, View(runs) as view:
        train(runs, places, view, requests)
    print_summary(runs, runs[0].log.parent)
    return _ending(params, runs, stopped=requests.count > 0)


def _submit(params: "Params", chosen: "Sequence[str]", options: "Mapping[str, object]", *, dry: bool) -> int:
    from harness.sweep.slurm import Resources, require_slurm, submit
    from harness.sweep.view import print_jobs

    resources = Resources.from_options(options)
    require_slurm()
    runs = _runs_to_train(params, chosen, dry=dry)
    if runs:
        jobs = submit(params, runs, resources)
        print_jobs(jobs, runs[0].log.parent)
        click.echo("`squeue --me` shows them, the same command what is left to do; `scancel ID` ends one.")
        click.echo(f"When they are done: {_repro(params)}")
    return 0


def _runs_to_train(params: "Params", chosen: "Sequence[str]", *, dry: bool) -> "list[Run]":
    """The pending runs, after the data was brought up to date; none where that is all there is to show or do."""
    from harness.sweep.local import prepare, stop_requests
    from harness.sweep.pending import make_plan, make_runs

    plan = make_plan(params, chosen)
    if dry:
        _show_plan(params, plan)
        return []
    if plan.preparation:
        click.echo(f"first the data: {' and '.join(plan.preparation)}", err=True)
        with stop_requests() as requests:
            if not prepare(params, requests):
                _leave_unprepared(stopped=requests.count > 0)
        plan = make_plan(params, chosen)
    if not plan.pending:
        click.echo(_nothing_to_train(params, len(chosen)))
    return make_runs(params, plan.pending)


def _refuse_foreign_options(
    on_cluster: bool, local: "Mapping[str, object]", slurm: "Mapping[str, object]"
) -> None:
    foreign = local if on_cluster else slurm
    if given := [f"--{name}" for name, value in foreign.items() if value not in (None, ())]:
        rest = "is not for --launcher slurm" if on_cluster else "is for --launcher slurm"
        raise click.UsageError(f"{', '.join(given)} {rest}")


def _show_plan(params: "Params", plan: "Plan") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.sweep.view import summary_console

    console = summary_console()
    if plan.preparation:
        console.print(f"first: {' and '.join(plan.preparation)}, which may leave more to train or less")
    if not plan.pending:
        click.echo(_nothing_to_train(params, len(plan.current)))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("to train", no_wrap=True)
    table.add_column("because")
    for run, why in plan.pending.items():
        table.add_row(run, Text(why))
    console.print(table)
    console.print(f"{len(plan.pending)} to train, {len(plan.current)} up to date")


def _nothing_to_train(params: "Params", number: int) -> str:
    current = "1 run is" if number == 1 else f"{number} runs are"
    return f"Nothing to train: {current} up to date in {params.params}.\nNext: {_repro(params)}"


def _repro(params: "Params") -> str:
    pipeline = "" if params.pipeline == "dvc.yaml" else f" {params.pipeline}"
    return f"`dvc repro{pipeline}` evaluates what is new and builds the report."


def _leave_unprepared(*, stopped: bool) -> None:
    if stopped:
        click.echo("Stopped before the first training; the same command goes on.", err=True)
        sys.exit(EXIT_STOPPED)
    click.echo("error: the data could not be prepared, DVC says above why; nothing was trained", err=True)
    sys.exit(EXIT_FAILED)


def _ending(params: "Params", runs: "Sequence[Run]", *, stopped: bool) -> int:
    """Say what to do next; the exit code."""
    failed = sum(run.outcome == "failed" for run in runs)
    if failed:
        click.echo(f"{failed} of {len(runs)} failed; their logs say more. The same command tries them again.")
    if stopped and any(run.outcome in ("stopped", "not started") for run in runs):
        click.echo("Stopped; the same command goes on.")
        return EXIT_STOPPED
    if failed:
        return EXIT_FAILED
    click.echo(f"Next: {_repro(params)}")
    return 0
