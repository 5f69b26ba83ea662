"""examples/tiny-fcn, a package of somebody else's: listed, checked, trained, compared, with no change to ours.

pip puts it into a folder of its own, which stands on PYTHONPATH, so that nothing is left behind in the environment.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from toy import PROJECT

EXAMPLE = PROJECT / "examples/tiny-fcn"
PROFILE = "examples/tiny-fcn/profile"
SOURCES = "examples/tiny-fcn/tinyfcn"
BIN = Path(sys.executable).parent


def run(*command, cwd, site=None, ok=True):
    """Run a command in a copy of the project, with that copy's code and the packages of `site`; return its output."""
    path = os.pathsep.join(map(str, [cwd, *([site] if site else [])]))
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ
        | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": path,
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "80",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout if ok else done.stderr


def commit(project):
    run("git", "add", "--all", cwd=project)
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    run("git", *who, "commit", "--quiet", "--message", "as it is", cwd=project)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A commit of the project as it stands here, with what git ignores left out."""
    project = tmp_path_factory.mktemp("project")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=PROJECT)
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file() and not name.endswith("dvc.lock"):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, project / name)
    run("git", "init", "--quiet", cwd=project)
    commit(project)
    return project


@pytest.fixture(scope="module")
def site(project, tmp_path_factory):
    """The folder into which pip installed the example."""
    site = tmp_path_factory.mktemp("site") / "packages"
    source = project / "examples/tiny-fcn"  # pip builds in a copy of its own
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--no-deps", "--target", site, source, cwd=project)
    return site


def test_its_pipeline_is_ours_and_watches_its_source():
    ours, theirs = ((PROJECT / path).read_text() for path in ("dvc.yaml", f"{PROFILE}/dvc.yaml"))
    assert theirs.count(SOURCES) == 5  # data, prepare, train, evaluate, features
    without = theirs.replace(f"        - {SOURCES}\n", "").replace(f", {SOURCES}", "")
    assert without == ours, f"docs/add_a_model.md says how {PROFILE}/dvc.yaml is made from dvc.yaml"


@pytest.mark.big
def test_without_it_nothing_knows_it(project):
    error = run("harness", "data", "verify", ".", "--reader", "tiles", cwd=project, ok=False)
    assert "unknown data set 'tiles'" in error


@pytest.mark.big
def test_its_own_tests_pass(project, site):
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "4 passed" in run(*pytest_, "examples/tiny-fcn/tests", cwd=project, site=site)


@pytest.mark.big
def test_listed_trained_compared_and_reported_with_no_change_to_ours(project, site):
    params = yaml.safe_load((project / PROFILE / "params.yaml").read_text())
    params["training"]["epochs"] = 5
    params["report"]["gallery"] = 5
    (project / PROFILE / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    commit(project)  # a smaller profile; from here on nothing is changed by hand
    profile = ("--params", f"{PROFILE}/params.yaml")

    listed = run("harness", "models", "--preset", "mini", *profile, cwd=project, site=site)
    row = next(line.split() for line in listed.splitlines() if line.startswith(" tinyfcn-full "))
    assert row[1] == "384,962"
    assert row[3:] == ["package", "tiny-fcn"]

    draw = (sys.executable, "-m", "tinyfcn.draw", "data/drawn-tiles", "--refs", "500", "--size", "64")
    run(*draw, cwd=project, site=site)
    expected = ("--reader", "tiles", "--expect", "none")
    run("harness", "data", "verify", "data/drawn-tiles", *expected, cwd=project, site=site)
    run("dvc", "repro", f"{PROFILE}/dvc.yaml", cwd=project, site=site)

    runs = project / "out/tiny-fcn/runs"
    measured = json.loads((runs / "tinyfcn-full-s0/metrics.json").read_text())["test"]["resized"]
    trivial = [
        100 * pq.read_table(path)["iou"].to_pandas().mean()
        for path in runs.glob("trivial-*/test.resized.parquet")
    ]
    assert len(trivial) == 3
    assert measured["mIoU"] > 1.2 * max(trivial)
    provenance = json.loads((runs / "tinyfcn-full-s0/provenance.json").read_text())
    assert provenance["versions"]["tiny-fcn"] == "1.0"
    assert json.loads((runs / "tinyfcn-full-s0/efficiency.json").read_text())["flops"] > 1e6

    compared = run("harness", "compare", "tinyfcn", "lavt", *profile, cwd=project, site=site)
    assert re.search(r"A +tinyfcn-full, seed 0\n +B +lavt-full, seed 0\n", compared)
    assert re.search(rf"^ +mIoU +{measured['mIoU']:.2f} +\d", compared, re.M)

    page = (project / "out/tiny-fcn/report/tables.html").read_text()
    cells = r'<th scope="row">TinyFCN</th><td class="name">4-stage CNN</td><td class="name">word convolutions</td>'
    assert re.search(cells, page)
    assert 'data-measured="table1/tinyfcn-full/test/mIoU">' in page
    assert re.search(r'<th scope="row">TinyFCN</th><td [^>]*>Not published</td>', page)

    changed = run("git", "status", "--porcelain", "--untracked-files=all", cwd=project).splitlines()
    assert changed == [f"?? {PROFILE}/dvc.lock"]

    # A change in its source is one in a dependency: what it takes part in runs again, the rest does not.
    source = project / SOURCES / "model.py"
    source.write_text(source.read_text() + "\n")
    plan = run("dvc", "repro", "--dry", f"{PROFILE}/dvc.yaml", cwd=project, site=site)
    assert re.search(r"Running stage '.*:train@tinyfcn-full-s0'", plan)
