"""A plan as text of 80 columns."""

from collections import Counter

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from harness.complexity import shown_gflop
from harness.planning.cards import Card
from harness.planning.disk import total
from harness.planning.measuring import SPARE
from harness.planning.plan import ProfilePlan, Work
from harness.progress import clock

LEFT_OUT = "Left out: reading images, workspaces and fragmentation of memory, other users of the machine."


def print_plan(plan: ProfilePlan, console: Console, card: Card | None, assumption: str | None) -> None:
    """Print a plan.

    Args:
        plan: the profile in numbers.
        console: to print on.
        card: the GPU named, whose memory is compared.
        assumption: what the hours rest on; None: there are no hours.
    """
    params = plan.params
    counted = " / ".join(f"{plan.expressions[split]:,}" for split in ("train", "val", "test"))
    console.print(f"{params.profile}: {len(plan.runs)} runs, {len(plan.finished)} finished", style="bold")
    console.print(f"expressions   {counted} for train / val / test")
    console.print(f"              {plan.source}")
    console.print(_table(plan))
    pending = plan.pending
    if not pending:
        console.print("Nothing to train.")
        return
    works = [plan.works[plan.runs[run]] for run in pending]
    console.print(
        f"to train      {_many(len(pending), 'run')}, {sum(work.plan.steps for work in works):,} steps, "
        f"{sum(work.images for work in works):,} images"
    )
    if plan.seconds is not None and plan.wall is not None:
        places = (
            f"{plan.gpus} x {card.title}" if card else f"this machine, {_many(plan.gpus, 'run')} at a time"
        )
        console.print(f"time          {hours(plan.seconds)}, one run after another")
        console.print(f"              {hours(plan.wall)} on {places}")
    _print_memory(plan, console, card)
    size, complete = total(plan.needs)
    console.print(f"disk          {'' if complete else 'more than '}{decimal(round(size))} to write")
    for need in plan.needs:
        shown = decimal(round(need.size)) if need.size is not None else "unknown"
        console.print(f"              {shown:>9}  {need.what}")
    console.print()
    console.print(
        assumption or "No hours: name a card with --gpu, or have some steps timed here with --measure."
    )
    if params.training.precision in ("bf16", "fp16"):
        console.print(f"Memory is counted in float32; {params.training.precision} takes less.")
    console.print(LEFT_OUT)


def hours(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{clock(seconds)} min"
    if seconds < 100 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 3600:,.0f} h ({seconds / 86400:.1f} days)"


def _table(plan: ProfilePlan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("network", no_wrap=True)
    timed = ["time"] if any(work.seconds is not None for work in plan.works.values()) else []
    for heading in ("to train", "batch", "steps", "images", *timed, "GFLOP", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    number = Counter(plan.runs.values())
    left = Counter(plan.runs[run] for run in plan.pending)
    for name, work in plan.works.items():
        table.add_row(
            name,
            f"{left[name]} of {number[name]}",
            _batch(work),
            f"{work.plan.steps:,}",
            f"{work.images:,}",
            *("" if work.seconds is None else hours(work.seconds).split(" (")[0] for _ in timed),
            shown_gflop(work.counts.flops),
            decimal(work.counts.memory),
        )
    return table


def _batch(work: Work) -> str:
    """The batch as so many micro-batches."""
    size, micro = work.plan.recipe.batch_size, work.plan.micro_batch
    return str(size) if size == micro else f"{size // micro} x {micro}"


def _print_memory(plan: ProfilePlan, console: Console, card: Card | None) -> None:
    line = f"memory        {decimal(plan.memory)} of tensors at most"
    if card is not None:
        share = plan.memory / card.memory
        fits = "too much" if share > 1 else "tight" if share > 0.9 else "fits"
        line += f", {share:.0%} of {decimal(round(card.memory))}: {fits}"
        if share > 0.9:
            line += "\n              lower training.micro_batch or set training.activation_checkpointing"
    else:
        line += (
            f"\n              a process without a GPU takes up to {decimal(round(SPARE))} more, for libraries"
        )
    console.print(line)


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
