"""Shared results: what one clone trained and pushed, another pulls and renders, and trains nothing."""

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from project_copy import BIN, ENVIRONMENT, project_copy, run, toy_settings, write_settings

pytestmark = pytest.mark.big
BUCKET = "shared"
RUNS = ("lavt-full-s0", "mafn-full-s0")
ALL_BUT_WEIGHTS = (  # as docs/sharing.md has it
    "dvc pull data prepare trivial statistics features && "
    "dvc ls . out/embedded/runs --recursive --dvc-only | grep -E 'history.csv|provenance.json' | "
    "sed 's,^,out/embedded/runs/,' | xargs dvc pull"
)


@dataclass(frozen=True)
class Clone:
    """A clone of the project, where `harness` is a script that writes down its arguments and only renders."""

    folder: Path
    env: Mapping[str, str]

    def calls(self) -> list[str]:
        """What `harness` was asked for so far."""
        log = self.folder.parent / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def run(self, *command: str) -> str:
        """The output of a command that has to succeed."""
        return run(*command, cwd=self.folder, env=self.env)

    def fails(self, *command: str, **changes: str) -> str:
        """The messages of a command that has to fail."""
        result = subprocess.run(
            command, cwd=self.folder, env={**self.env, **changes}, capture_output=True, text=True
        )
        assert result.returncode != 0, result.stdout + result.stderr
        return result.stderr

    def bytes_of(self, folder: str) -> dict[str, str]:
        """The hash of every file under a folder, by its path in there."""
        return hashes(self.folder / folder)


@dataclass(frozen=True)
class Server:
    """An S3 server on loopback with one bucket."""

    url: str

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".gitignore"
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    moto = pytest.importorskip(
        "moto.server", reason="the S3 server is moto: pip install 'rrsis-harness[dev]'"
    )
    pytest.importorskip("dvc_s3", reason="pip install 'rrsis-harness[s3]'")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    found = Server(f"http://{host}:{port}")
    found.client().create_bucket(Bucket=BUCKET)
    yield found
    running.stop()


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """Dummy credentials, and nothing of the user's own: git, AWS, DVC's index of what is on a remote."""
    home = tmp_path_factory.mktemp("home")
    return ENVIRONMENT | {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{
            f"GIT_{who}_{what}": "test@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory, server, environment) -> Path:
    """The clone that trained, pushed to a folder and to S3, and committed dvc.lock."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    folder.mkdir()
    project_copy(folder)
    write_settings(folder, toy_settings(RUNS))

    def here(*command: str) -> str:
        return run(*command, cwd=folder, env=environment)

    here("git", "init", "--quiet")
    here("dvc", "init", "--quiet")
    here("git", "add", ".")
    here("git", "commit", "--quiet", "-m", "the project")
    here("dvc", "repro")
    here("dvc", "remote", "add", "--default", "s3", f"s3://{BUCKET}/rrsis")
    here("dvc", "remote", "modify", "--local", "s3", "endpointurl", server.url)
    here("dvc", "remote", "add", "folder", str(folder.parent / "remote"))
    here("git", "add", "dvc.lock", ".dvc/config")
    here("git", "commit", "--quiet", "-m", "trained")
    assert here("git", "status", "--porcelain") == ""
    assert "pushed" in here("dvc", "push", "dvc.yaml")
    assert "pushed" in here("dvc", "push", "--remote", "folder", "dvc.yaml")
    return folder


@pytest.fixture
def clone(tmp_path, trained, server, environment) -> Clone:
    script = tmp_path / "bin/harness"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n'
        f'case "$1" in report|compare|sweep) exec {BIN}/harness "$@" ;; esac\n'
        'echo "harness $1 may not run here" >&2; exit 1\n'
    )
    script.chmod(0o755)
    found = Clone(tmp_path / "project", environment | {"PATH": f"{script.parent}:{environment['PATH']}"})
    run("git", "clone", "--quiet", str(trained), str(found.folder), cwd=tmp_path, env=environment)
    found.run("dvc", "remote", "modify", "--local", "s3", "endpointurl", server.url)
    return found


@pytest.mark.parametrize("remote", ["s3", "folder"])
def test_another_clone_pulls_the_same_files_and_has_nothing_to_do(trained, clone, remote):
    clone.run("dvc", "pull", "--remote", remote, "dvc.yaml")
    assert "Data and pipelines are up to date." in clone.run("dvc", "repro")
    assert clone.calls() == []
    for part in ("out/embedded/runs", "out/embedded/data", "out/embedded/statistics", "reports/html"):
        assert clone.bytes_of(part) == hashes(trained / part)
    assert not (clone.folder / "out/embedded/raw").exists()
    assert clone.run("git", "status", "--porcelain") == ""


def test_another_clone_renders_the_same_report_without_training(trained, clone):
    clone.run("dvc", "pull", "dvc.yaml")
    clone.run("dvc", "repro", "--single-item", "--force", "report")
    assert clone.calls() == ["report build --params params.yaml"]
    assert clone.bytes_of("reports/html") == hashes(trained / "reports/html")
    # Of a setting of the report the report alone is made again.
    settings = yaml.safe_load((clone.folder / "params.yaml").read_text())
    settings["report"]["gallery"] = 2
    write_settings(clone.folder, settings)
    clone.run("dvc", "repro")
    assert clone.calls() == ["report build --params params.yaml"] * 2
    assert "Nothing to train" in clone.run("harness", "sweep", "--dry")


def test_parts_can_be_pulled_alone(trained, clone):
    clone.run("dvc", "pull", "report")
    assert clone.bytes_of("reports/html") == hashes(trained / "reports/html")
    assert all(name.endswith(".gitkeep") for name in clone.bytes_of("out"))
    clone.run("dvc", "pull", "evaluate")
    assert "mIoU" in clone.run("harness", "compare", "mafn", "lavt")
    clone.run("bash", "-o", "pipefail", "-c", ALL_BUT_WEIGHTS)
    assert not list(clone.folder.rglob("*.safetensors"))
    clone.run("harness", "report", "build")
    assert clone.bytes_of("reports/html") == hashes(trained / "reports/html")
    # The weights are missing, and who would train them is told first.
    told = clone.run("harness", "sweep", "--dry")
    assert all(run in told for run in RUNS)
    assert "`dvc pull`" in told


def test_what_cannot_be_pulled_is_told_and_can_be_put_right(trained, clone, server, environment):
    assert "Unable to locate credentials" in clone.fails("dvc", "pull", "dvc.yaml", AWS_ACCESS_KEY_ID="")
    clone.run("dvc", "remote", "modify", "--local", "s3", "url", "s3://no-such-bucket/rrsis")
    assert "NoSuchBucket" in clone.fails("dvc", "pull", "dvc.yaml")
    clone.run("dvc", "remote", "modify", "--local", "--unset", "s3", "url")

    outs = yaml.safe_load((trained / "dvc.lock").read_text())["stages"]["train@mafn-full-s0"]["outs"]
    digest = next(out["md5"] for out in outs if out["path"].endswith("model.safetensors"))
    server.client().delete_object(Bucket=BUCKET, Key=f"rrsis/files/md5/{digest[:2]}/{digest[2:]}")
    missing = "out/embedded/runs/mafn-full-s0/weights/model.safetensors"
    assert missing in clone.fails("dvc", "pull", "dvc.yaml")
    assert "harness train --run mafn-full-s0" in clone.run("dvc", "repro", "--dry")
    run("dvc", "push", "dvc.yaml", cwd=trained, env=environment)
    clone.run("dvc", "pull", "dvc.yaml")
    assert (clone.folder / missing).read_bytes() == (trained / missing).read_bytes()
    assert "Data and pipelines are up to date." in clone.run("dvc", "repro")
    assert clone.calls() == []
