"""The runs of a sweep as jobs of a Slurm cluster, one each, by submitit."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Params
from harness.errors import HarnessError
from harness.sweep.job import SAVE_SECONDS, TrainJob
from harness.sweep.run import Run

DEFAULT_MINUTES = 8 * 60
LEAST_MINUTES = 5  # a start, and `SAVE_SECONDS` at the end, have to fit in
MOST_TIMEOUTS = 1000  # a training may need many jobs' time; submitit's own limit is 3
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


@dataclass(frozen=True)
class Resources:
    """What each job asks for.

    Args:
        partition: None: the cluster's default one.
        minutes: time limit; the training goes on in the next job.
        nodes: machines.
        gpus: GPUs on each of them.
        cpus: cores on each of them; None: one for each GPU's process and each of its loader workers.
        others: further options of sbatch by name, True for one without a value.
    """

    partition: str | None = None
    minutes: int = DEFAULT_MINUTES
    nodes: int = 1
    gpus: int = 1
    cpus: int | None = None
    others: Mapping[str, str | bool] | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Resources":
        """The resources from the options of the command line, where None is an option not given.

        Raises:
            HarnessError: a time that is none, or too short.
        """
        given = {
            name: options[name]
            for name in ("partition", "nodes", "gpus", "cpus")
            if options[name] is not None
        }
        minutes = minutes_of(options["time"]) if options["time"] is not None else DEFAULT_MINUTES
        others = dict(option.lstrip("-").partition("=")[::2] for option in options["sbatch"])
        return cls(minutes=minutes, others={name: value or True for name, value in others.items()}, **given)


def minutes_of(time: str) -> int:
    """Minutes of a time as Slurm writes it: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes...].

    Raises:
        HarnessError: no such time, or less than a job needs.
    """
    match = _TIME.fullmatch(time)
    if match is None:
        raise HarnessError(
            f"--time {time}: as Slurm takes it, such as 90 (minutes), 8:00:00 or 1-12 (days-hours)"
        )
    days, *rest = (int(part) if part is not None else None for part in match.groups())
    parts = [part for part in rest if part is not None]
    if days is None and len(parts) < 3:  # minutes come first, hours elsewhere
        parts = [0, *parts]
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    total = (days or 0) * 24 * 60 + hours * 60 + minutes + (seconds > 0)
    if total < LEAST_MINUTES:
        raise HarnessError(
            f"--time {time}: a job needs {LEAST_MINUTES} minutes at least; {SAVE_SECONDS} s are to save"
        )
    return total


def require_slurm() -> None:
    """Find out that jobs cannot be submitted from here before the data is prepared.

    Raises:
        HarnessError: submitit or Slurm's commands are missing.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise HarnessError(
            "--launcher slurm needs submitit: pip install 'rrsis-harness[slurm]' (in a checkout: pip install -e "
            "'.[slurm]')"
        ) from None
    if missing := [name for name in ("sbatch", "srun", "squeue", "scontrol") if shutil.which(name) is None]:
        raise HarnessError(
            f"--launcher slurm: there is no {' or '.join(missing)} here; run it on a machine of the cluster that jobs "
            "are submitted from"
        )


def submit(params: Params, runs: Sequence[Run], resources: Resources) -> list[tuple[Run, str, str]]:
    """Submit a job for each run that has none.

    Returns:
        Each run with its job's id and state: "submitted", or for a job that was there its state in Slurm's words.

    Raises:
        HarnessError: Slurm refuses, or does not answer.
    """
    import submitit

    folder = params.out / "sweep" / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    there = jobs_by_name(Path.cwd())
    submitted = []
    for run in runs:
        name = f"{params.profile}-{run.name}"
        if name in there:
            submitted.append((run, *there[name]))
            continue
        executor = submitit.SlurmExecutor(folder=folder.resolve(), max_num_timeout=MOST_TIMEOUTS)
        executor.update_parameters(job_name=name, **_parameters(params, resources))
        try:
            job = executor.submit(TrainJob(run.name, run.target, str(run.log), str(Path.cwd())))
        except submitit.core.utils.FailedJobError as error:
            raise HarnessError(
                f"sbatch refuses the job of {run.name}: {' '.join(str(error).split())}"
            ) from None
        submitted.append((run, job.job_id, "submitted"))
    return submitted


def _parameters(params: Params, resources: Resources) -> dict[str, Any]:
    """What submitit writes into the script of a job."""
    cpus = resources.cpus or max(resources.gpus, 1) * (params.training.workers + 1)
    return {
        "partition": resources.partition,
        "time": resources.minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": cpus,
        "gpus_per_node": resources.gpus or None,
        "signal_delay_s": SAVE_SECONDS,
        "stderr_to_stdout": True,
        "srun_args": [f"--cpus-per-task={cpus}"],  # since Slurm 22.05 srun does not take it over from sbatch
        "additional_parameters": {"requeue": True, **(resources.others or {})},
    }


def jobs_by_name(folder: Path) -> dict[str, tuple[str, str]]:
    """Id and state of our jobs, waiting or running, that were submitted from a folder; by their names.

    Raises:
        HarnessError: Slurm does not answer.
    """
    command = ["squeue", "--me", "--noheader", "--format=%i|%T|%j|%Z"]
    asked = subprocess.run(command, capture_output=True, text=True)
    if asked.returncode:
        raise HarnessError(f"Slurm does not answer (squeue): {' '.join(asked.stderr.split())}")
    rows = [line.split("|", 3) for line in asked.stdout.splitlines()]
    return {name: (number, state) for number, state, name, place in rows if Path(place) == folder}
