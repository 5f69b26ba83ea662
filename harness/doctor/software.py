"""Python, the packages, torch's build."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from harness.doctor.check import Check

DISTRIBUTION = "rrsis-harness"
INSTALL = "`make install` puts it right"
CARDS_OF_BUILDS = "`make install TORCH=cu126` or another build, see docs/planning.md"


def check_python() -> list[Check]:
    """The interpreter against what the project asks for."""
    from packaging.specifiers import SpecifierSet

    here = platform.python_version()
    try:
        wanted = metadata(DISTRIBUTION)["Requires-Python"]
    except PackageNotFoundError:
        return [Check("Python", "warning", f"{here}; {DISTRIBUTION} is not installed", INSTALL)]
    if not SpecifierSet(wanted).contains(here, prereleases=True):
        return [
            Check(
                "Python", "error", f"{here}; the project needs {wanted}", "`make install PYTHON=python3.11`"
            )
        ]
    return [Check("Python", "ok", here)]


def check_packages() -> list[Check]:
    """The packages that the project depends on: there, and of versions that it takes."""
    return compare_packages(requires(DISTRIBUTION) or [])


def compare_packages(requirements: Iterable[str]) -> list[Check]:
    """Installed packages against requirements as a distribution's metadata has them; extras are left out."""
    wrong, number = [], 0
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        number += 1
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} is {found}, not {requirement.specifier}")
    if wrong:
        return [Check("packages", "error", "; ".join(wrong), INSTALL)]
    return [Check("packages", "ok", f"{number} installed, in versions that the project takes")]


def check_torch() -> list[Check]:
    """torch, its CUDA build, and whether it can use the GPUs that the driver has."""
    import torch

    from harness.provenance import driver_version

    build = torch.version.cuda
    text = f"{torch.__version__}, {f'built for CUDA {build}' if build else 'a build without CUDA'}"
    driver = driver_version()
    if torch.cuda.is_available():
        return [Check("torch", "ok", f"{text}, driver {driver or 'unknown'}")]
    if driver is None and not Path("/proc/driver/nvidia/version").exists():
        return [Check("torch", "ok", f"{text}; no NVIDIA driver")]
    text += f"; there is a driver, {driver or 'of unknown version'}, but torch cannot use its GPUs"
    way_out = CARDS_OF_BUILDS if build else "`make install TORCH=cu130` installs a build with CUDA"
    return [Check("torch", "error", text, way_out)]


def supports(architectures: Iterable[str], capability: tuple[int, int]) -> bool:
    """Whether a build of torch has code for a GPU.

    Args:
        architectures: as torch.cuda.get_arch_list() has them: sm_80 runs on 8.x from 8.0 on, compute_90 (PTX) on
            everything from 9.0 on.
        capability: of the GPU.
    """
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        number = "".join(filter(str.isdigit, digits))
        major, minor = int(number[:-1]), int(number[-1])
        if kind == "compute" and (major, minor) <= capability:
            return True
        if kind == "sm" and major == capability[0] and minor <= capability[1]:
            return True
    return False
