"""Wheel and sdist: what is in them, and that they work outside of a checkout; the release workflow that builds them."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from toy import PROJECT

from harness import __version__

PACKAGES = ("harness", "baselines", "mafn")
WORKFLOW = PROJECT / ".github/workflows/release.yml"


def run(*command: str | Path, cwd: Path, **changes: str) -> str:
    """The output of a command that has to succeed, without the checkout on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=cwd, env=environment | changes, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def tracked(*folders: str) -> set[str]:
    """The files that are in the repository, or that this copy of it has where it is none."""
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=PROJECT, capture_output=True, text=True
    ).stdout.splitlines()
    if listed:
        return {name for name in listed if (PROJECT / name).is_file()}
    return {
        path.relative_to(PROJECT).as_posix()
        for folder in folders
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def ignored(names: set[str]) -> list[str]:
    """Those that git would not take: data, caches, the password of a DVC remote."""
    asked = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        cwd=PROJECT,
        input="\n".join(names),
        capture_output=True,
        text=True,
    )
    return asked.stdout.splitlines()


def the_one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that `python -m build` made from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, cwd=PROJECT)
    return folder


@pytest.fixture(scope="module")
def from_checkout(tmp_path_factory) -> Path:
    """A folder with the wheel made from the checkout."""
    folder = tmp_path_factory.mktemp("direct")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, cwd=PROJECT)
    return folder


@pytest.mark.big
def test_both_wheels_are_the_same_and_hold_every_file_of_the_packages(built, from_checkout):
    contents = []
    for folder in (built, from_checkout):
        with zipfile.ZipFile(the_one(folder, "*.whl")) as wheel:
            contents.append({name: wheel.read(name) for name in wheel.namelist()})
    assert contents[0] == contents[1]
    found = {name for name in contents[0] if ".dist-info/" not in name}
    assert found == tracked(*PACKAGES) | {"harness/published.yaml"}
    assert contents[0]["harness/published.yaml"] == (PROJECT / "reports/published.yaml").read_bytes()


@pytest.mark.big
def test_the_sdist_holds_the_repository(built):
    """So that whoever packages it can run the tests, which use the docs, the profiles and the pipeline's folders."""
    with tarfile.open(the_one(built, "*.tar.gz")) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert tracked(".") <= names
    assert not ignored(names)
    assert not [name for name in names if name.startswith(".git/")]
    run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir(), cwd=built)


@pytest.mark.big
def test_the_wheel_works_outside_of_the_checkout(built, tmp_path):
    """In an environment of its own, which takes the dependencies from this one rather than load them again."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    packages = Path(
        run(
            environment / "bin/python", "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path
        ).strip()
    )
    wheel = the_one(built, "*.whl")
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin/python", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    # A path alone: the .pth files in there, such as that of an editable installation, are not followed.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    said = run(environment / "bin/python", PROJECT / "tests/installed.py", cwd=tmp_path, OMP_NUM_THREADS="1")
    assert said.count("works") == 5


def workflow() -> dict:
    return yaml.safe_load(WORKFLOW.read_text())


@pytest.mark.parametrize(
    ("tag", "accepted"), [(f"v{__version__}", True), (f"v{__version__}0", False), ("v", False)]
)
def test_a_release_is_built_only_where_the_tag_is_the_version(tag, accepted):
    (step,) = (
        step for step in workflow()["jobs"]["build"]["steps"] if step.get("name") == "the tag is the version"
    )
    result = subprocess.run(
        ["bash", "-e", "-c", step["run"]], cwd=PROJECT, env=os.environ | {"GITHUB_REF_NAME": tag}
    )
    assert (result.returncode == 0) is accepted


def test_only_the_tested_files_are_published_and_from_the_tag_alone():
    jobs = workflow()["jobs"]
    assert jobs["try"]["needs"] == "build"
    assert jobs["publish"]["needs"] == "try"
    assert "github.ref_type == 'tag' && !github.event.repository.fork" in jobs["publish"]["if"]
    assert workflow()["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["publish"]
    assert not any("run" in step for step in jobs["publish"]["steps"]), (
        "no code of ours runs beside the permission"
    )


def test_the_workflow_of_pull_requests_runs_what_the_gate_runs():
    """.ci/run, which everybody can start, is the list; `make coverage` is `make test` with figures."""
    gate = re.findall(r"^(?:make |\.ci/|\.venv/).*$", (PROJECT / ".ci/run").read_text(), re.MULTILINE)
    steps = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text())["jobs"]["gate"]["steps"]
    ran = [step["run"].replace("make coverage", "make test") for step in steps if "run" in step]
    assert "make test" in gate
    assert [command for command in ran if command in gate] == gate


def test_every_script_of_the_workflows_is_bash():
    for path in WORKFLOW.parent.glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                subprocess.run(["bash", "-n", "-c", step.get("run", "")], check=True)
