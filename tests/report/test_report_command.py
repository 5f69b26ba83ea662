"""`harness report build`, `open` and `serve` as processes."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest
import yaml

HARNESS = [sys.executable, "-c", "from harness.cli import main; main()", "report"]


@pytest.fixture
def profile(params, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    return path


def report(*arguments, **environment):
    return subprocess.run(
        [*HARNESS, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_one_file_is_written_where_it_is_asked_for(profile, params, tmp_path):
    target = tmp_path / "mail" / "report.html"
    done = report("build", "--params", profile, "--single-file", target, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pandas" in imported
    assert "torch" not in imported
    assert done.stdout.startswith(f"{target}: 1 page, ")
    assert target.is_file()
    assert not params.report.html.exists()


@pytest.mark.parametrize("command", ["open", "serve"])
def test_a_report_that_is_not_there_names_the_command(profile, command):
    done = report(command, "--params", profile)
    assert done.returncode == 2
    assert f"`harness report build --params {profile}` writes it" in done.stderr
    assert "Traceback" not in done.stderr


def test_open_hands_the_first_page_to_the_browser(profile, params, tmp_path):
    params.report.html.mkdir(parents=True)
    (params.report.html / "index.html").write_text("<p>here")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    assert report("open", "--params", profile, BROWSER=f"{browser} %s").returncode == 0
    assert (tmp_path / "opened").read_text().strip() == (params.report.html / "index.html").resolve().as_uri()


def test_serve_serves_until_it_is_interrupted(profile, params):
    params.report.html.mkdir(parents=True)
    (params.report.html / "index.html").write_text("<p>here")
    serving = subprocess.Popen(
        [*HARNESS, "serve", "--params", str(profile), "--port", "0"],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = serving.stdout.readline().split()[0]
        assert urllib.request.urlopen(address, timeout=30).read() == b"<p>here"
        other = report("serve", "--params", profile, "--port", address.rstrip("/").rpartition(":")[2])
        assert other.returncode == 2
        assert "--port 0 takes a free one" in other.stderr
    finally:
        serving.send_signal(signal.SIGINT)
        _, errors = serving.communicate(timeout=30)
    assert serving.returncode == 0
    assert "Traceback" not in errors
