"""`make install TORCH=...`: which build of torch is installed, from where, and when anew."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from toy import PROJECT

INDEX = "https://download.pytorch.org/whl"
BACKEND = """
import pathlib, zipfile

def _wheel(folder, config=None, metadata=None):
    name = "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("toy-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\n"
                       "Provides-Extra: dev\\n"
                       "Requires-Dist: torch>=9; extra == 'dev'\\n")
        wheel.writestr("toy-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("toy-1.dist-info/RECORD", "")
    return name

build_wheel = build_editable = _wheel
"""


def make(*arguments: str, folder: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("TORCH", "MAKEFLAGS", "MAKELEVEL")
    }
    environment["PIP_CONFIG_FILE"] = os.devnull  # a machine may have constraints of its own
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env=environment, timeout=300
    )


def pip_lines(output: str) -> list[str]:
    return [line.split(" -m pip install ")[1] for line in output.splitlines() if " -m pip install " in line]


def test_a_build_comes_from_its_own_index_without_dependencies_and_the_rest_from_pip(tmp_path):
    shown = make("-n", "install", "TORCH=cu130", f"VENV={tmp_path / 'venv'}")
    assert shown.returncode == 0, shown.stderr
    torch, rest = pip_lines(shown.stdout)
    pins = [
        line for line in Path(PROJECT / "constraints.txt").read_text().split() if line.startswith("torch")
    ]
    assert [word for word in torch.split() if word.startswith("torch")] == pins
    assert len(pins) == 2
    assert f"--index-url {INDEX}/cu130 " in torch
    assert "--no-deps" in torch
    assert "--constraint constraints.txt --editable" in rest
    assert "index" not in rest


def test_without_torch_pip_alone_decides(tmp_path):
    shown = make("-n", "install", f"VENV={tmp_path / 'venv'}")
    (line,) = pip_lines(shown.stdout)
    assert "index" not in line
    assert "--editable" in line


@pytest.mark.parametrize("value", ["cu13", "cuda", "cpu cu130"])
def test_an_unknown_build_is_refused_before_anything_is_done(tmp_path, value):
    asked = make("install", f"TORCH={value}", f"VENV={tmp_path / 'venv'}")
    assert asked.returncode == 2
    assert f"TORCH={value} is no build of torch; one of pypi cpu cu126" in asked.stderr
    assert not list(tmp_path.iterdir())


def test_a_build_stays_until_another_is_named(tmp_path):
    (tmp_path / ".installed").write_text("cpu\n")
    newer = max((PROJECT / name).stat().st_mtime for name in ("pyproject.toml", "constraints.txt")) + 10
    os.utime(tmp_path / ".installed", (newer, newer))
    venv = f"VENV={tmp_path}"
    assert make("-q", "install", venv).returncode == 0
    assert make("-q", "install", "TORCH=cpu", venv).returncode == 0
    assert make("-q", "install", "TORCH=cu126", venv).returncode == 1
    torch, _ = pip_lines(make("-n", "install", "TORCH=pypi", venv).stdout)
    assert "--force-reinstall" in torch
    assert "index" not in torch


@pytest.mark.big
def test_builds_from_a_folder_replace_each_other(tmp_path):
    project, index = tmp_path / "project", tmp_path / "index"
    (project / "backend").mkdir(parents=True)
    shutil.copy(PROJECT / "Makefile", project)
    (project / "backend" / "toy_backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "toy_backend"\nbackend-path = ["backend"]\n'
    )
    (project / "constraints.txt").write_text("torch==9.9\ntorchvision==8.8\n")
    for build in ("cpu", "cu130"):
        for name, version in (("torch", "9.9"), ("torchvision", "8.8")):
            _wheel(index / build / name, name, f"{version}+{build}")

    def installed() -> str:
        listed = subprocess.run(
            [project / ".venv/bin/python", "-m", "pip", "list", "--format", "freeze"],
            capture_output=True,
            text=True,
            check=True,
        )
        return listed.stdout

    where = f"TORCH_INDEX={index.as_uri()}"
    for build in ("cpu", "cu130"):
        made = make("install", f"TORCH={build}", where, folder=project)
        assert made.returncode == 0, made.stderr
        assert f"torch==9.9+{build}\ntorchvision==8.8+{build}\n" in installed()
    made = make("install", where, folder=project)
    assert (made.returncode, made.stdout) == (0, "make: Nothing to be done for 'install'.\n")
    (project / "constraints.txt").touch()
    assert make("install", where, folder=project).returncode == 0
    assert "torch==9.9+cu130" in installed()


def _wheel(folder: Path, name: str, version: str) -> None:
    folder.mkdir(parents=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    file = next(folder.iterdir()).name
    (folder / "index.html").write_text(f'<a href="{file.replace("+", "%2B")}">{file}</a>')
