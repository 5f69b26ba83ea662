"""All checks, in the order in which they are read."""

from collections.abc import Callable
from pathlib import Path

from rich.filesize import decimal

from harness.config import Params
from harness.doctor.check import Check, guarded
from harness.doctor.inputs import Purpose, check_data, check_network, check_pretrained
from harness.doctor.machine import check_disks, check_gpus, check_host, dvc_cache
from harness.doctor.project import check_dvc, check_git, check_profile
from harness.doctor.software import check_packages, check_python, check_torch
from harness.planning.plan import CACHE, ProfilePlan, plan_profile


def examine(
    params_path: Path, *, offline: bool, counted: Callable[[str], None] = lambda name: None
) -> list[Check]:
    """Look at everything; never raises.

    Args:
        params_path: the profile.
        offline: ask no host.
        counted: called with each network whose memory is known.
    """
    checks = guarded("Python", check_python) + guarded("packages", check_packages)
    checks += guarded("torch", check_torch)
    params: Params | None = None

    def profile() -> list[Check]:
        nonlocal params
        found, params = check_profile(params_path)
        return found

    checks += guarded("profile", profile)
    if params is not None:
        checks += _for_profile(params, offline=offline, counted=counted)
    return checks + guarded("git", check_git)


def _for_profile(params: Params, *, offline: bool, counted: Callable[[str], None]) -> list[Check]:
    plan: ProfilePlan | None = None
    purposes: list[Purpose] = []

    def networks() -> list[Check]:
        nonlocal plan
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 1
        plan = plan_profile(params, gpus=max(gpus, 1), cache=_cache(), counted=counted)
        text = f"{len(plan.works)} can be built; training takes {decimal(plan.memory)} of tensors at most"
        return [Check("networks", "ok", text)]

    def inputs(look: Callable[[Params], tuple[list[Check], list[Purpose]]]) -> Callable[[], list[Check]]:
        def looked() -> list[Check]:
            found, missing = look(params)
            purposes.extend(missing)
            return found

        return looked

    checks = guarded("networks", networks)
    memory = plan.memory if plan is not None else None
    checks += guarded("GPUs", lambda: check_gpus(params, memory))
    checks += guarded("memory", lambda: check_host(params, memory))
    if plan is not None:
        needs = plan.needs
        checks += guarded("disk", lambda: check_disks(needs))
    checks += guarded("data", inputs(check_data))
    checks += guarded("weights", inputs(check_pretrained))
    checks += guarded("network", lambda: check_network(purposes, offline=offline))
    return checks + guarded("DVC", lambda: check_dvc(params))


def _cache() -> Path:
    try:
        return dvc_cache()
    except Exception:  # the check of DVC says more
        return CACHE
