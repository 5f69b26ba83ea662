"""`harness plan`: what a profile takes."""

from pathlib import Path
from typing import Any

import rich_click as click

from harness.commands import params_option


@click.command(name="plan")
@params_option
@click.option(
    "--gpus",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="GPUs, or with --measure places like this machine; one run at a time on each.",
)
@click.option("--gpu", "card_name", metavar="NAME", help="Their kind: h100, a100, rtx4090, v100 ...")
@click.option(
    "--utilisation",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="With --gpu: of the card's peak, the share that is reached; 0.3 by default, an assumption.",
)
@click.option("--measure", "measured", is_flag=True, help="Time some steps of each network here instead.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write it all.")
def command(
    params_path: Path,
    gpus: int,
    card_name: str | None,
    utilisation: float | None,
    measured: bool,
    json_path: Path | None,
) -> None:
    """Say what a profile takes before anybody starts: runs, steps, images, hours, memory, disk.

    Needs neither data nor weights nor a GPU. Runs that are trained are left out of what is to do.
    """
    from harness.config import load_params
    from harness.files import require_writable, write_json
    from harness.pipeline_keys import require_written_out

    if measured and card_name:
        raise click.UsageError("--measure times this machine; --gpu is for a card that is not here")
    if utilisation is not None and not card_name:
        raise click.UsageError("--utilisation is a share of the peak of a card; name it with --gpu")
    params = load_params(params_path)
    require_written_out(params_path)
    if json_path is not None:
        require_writable(json_path)

    from rich.console import Console

    from harness.planning.cards import find_card
    from harness.planning.plan import UTILISATION, plan_profile, to_dict
    from harness.planning.view import print_plan
    from harness.progress import Progress

    card = find_card(card_name) if card_name else None
    share = utilisation or UTILISATION
    assumption = None
    if card is not None:
        peak = card.peak(params.training.precision)
        assumption = (
            f"Time at {share:.0%} of {peak / 1e12:g} TFLOP/s ({params.training.precision}, {card.source}): an "
            "assumption, not a measurement. `harness plan --measure` on the card gives a figure of its own."
        )
    variants = dict.fromkeys(run.variant for run in params.runs.values())
    with Progress("measure" if measured else "count", len(variants), "networks") as progress:
        plan = plan_profile(
            params,
            gpus=gpus,
            card=card,
            utilisation=share,
            measured=measured,
            counted=lambda name: progress.advance(name),
        )
    if measured:
        devices = {work.measured.device for work in plan.works.values() if work.measured is not None}
        assumption = (
            f"Time from steps measured on {', '.join(devices)}, on random images." if devices else None
        )
    options: dict[str, Any] = {"width": _width(), "highlight": False}
    print_plan(plan, Console(**options), card, assumption)
    if json_path is not None:
        write_json(json_path, to_dict(plan, assumption))


def _width() -> int:
    import shutil

    return min(80, shutil.get_terminal_size().columns)
