import json
import shutil
import socket
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from small_profile import small_profile
from toy import PROJECT

from harness.commands.doctor import command
from harness.config import Source, load_params
from harness.doctor.check import Check, guarded
from harness.doctor.examination import examine
from harness.doctor.inputs import Purpose, answer, ask_all, check_data, check_network, check_pretrained
from harness.doctor.machine import check_disks, judge_memory
from harness.doctor.project import check_git, check_profile
from harness.doctor.software import compare_packages, supports
from harness.errors import HarnessError
from harness.planning.disk import Need


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A DVC project outside git with a small profile and its pipeline."""
    (tmp_path / ".dvc").mkdir()
    shutil.copy(PROJECT / "dvc.yaml", tmp_path)
    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    return small_profile(tmp_path)


def test_a_ready_machine_has_no_errors(project, tmp_path):
    shown = run("--params", "params.yaml", "--offline", "--json", "found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    statuses = {check["name"]: check["status"] for check in content["checks"]}
    assert shown.exit_code == 0, shown.stdout
    assert content["errors"] == 0
    named = [
        "Python",
        "packages",
        "torch",
        "profile",
        "networks",
        "disk",
        "data",
        "weights",
        "tokenizer",
        "DVC",
    ]
    assert {statuses[name] for name in named} == {"ok"}
    assert statuses["git"] == "warning"
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".dvc", "dvc.yaml", "found.json", "params.yaml", "reports",
    ]  # fmt: skip


def test_a_wrong_profile_is_an_error_and_the_machine_is_looked_at_all_the_same(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("profile: x\nbatch: 3\n")
    checks = {check.name: check for check in examine(path, offline=True)}
    assert checks["profile"].status == "error"
    assert "batch: unknown key" in checks["profile"].text
    assert {"Python", "packages", "torch", "git"} <= checks.keys()
    shown = run("--params", path, "--offline")
    assert shown.exit_code == 1
    assert "error" in shown.stdout


def test_a_missing_profile_is_an_error():
    (check,), params = check_profile(Path("nowhere.yaml"))
    assert (check.status, params) == ("error", None)
    assert "nowhere.yaml does not exist here" in check.text


def test_a_key_that_only_dvc_needs_is_named(project, tmp_path):
    path = tmp_path / "params.yaml"
    content = yaml.safe_load(path.read_text())
    del content["evaluation"]
    path.write_text(yaml.safe_dump(content))
    (check,), _ = check_profile(path)
    assert check.status == "error"
    assert "leaves out evaluation, which dvc.yaml names" in check.text


def test_a_check_that_cannot_be_made_is_a_warning_that_says_why():
    def broken() -> list[Check]:
        raise OSError("the driver is asleep")

    (check,) = guarded("GPUs", broken)
    assert (check.status, check.text) == ("warning", "could not be checked (OSError: the driver is asleep)")

    def bad_input() -> list[Check]:
        raise HarnessError("recipe: no such thing; set another")

    assert guarded("networks", bad_input) == [
        Check("networks", "error", "recipe: no such thing; set another")
    ]


def test_packages_that_are_missing_or_of_another_version():
    (check,) = compare_packages(["numpy>=999", "no-such-package>=1", "click", 'pytest>=999; extra == "dev"'])
    assert check.status == "error"
    assert "numpy is " in check.text
    assert "not >=999" in check.text
    assert "no-such-package is missing" in check.text
    assert "pytest" not in check.text
    assert compare_packages(["click>=8"])[0].status == "ok"


@pytest.mark.parametrize(
    ("architectures", "capability", "fits"),
    [
        (["sm_75", "sm_80", "sm_90"], (8, 6), True),
        (["sm_75", "sm_80", "sm_90"], (7, 0), False),
        (["sm_80", "sm_86"], (8, 0), True),
        (["sm_86"], (8, 0), False),
        (["sm_80", "compute_90"], (10, 0), True),
        (["sm_90a"], (9, 0), True),
        (["sm_100", "sm_120"], (12, 0), True),
        ([], (8, 0), False),
    ],
)
def test_a_build_of_torch_has_code_for_some_gpus(architectures, capability, fits):
    assert supports(architectures, capability) is fits


def test_memory_is_judged_against_size_and_what_is_free():
    assert judge_memory(10, free=30, size=40, of="of tensors") == (
        "ok",
        "; training the largest network needs 10 bytes of tensors",
        "",
    )
    assert judge_memory(50, free=30, size=40, of="")[0] == "error"
    status, remark, _ = judge_memory(38, free=39, size=40, of="")
    assert (status, "tight" in remark) == ("warning", True)
    status, _, way_out = judge_memory(20, free=10, size=40, of="")
    assert (status, "other processes" in way_out) == ("warning", True)
    assert judge_memory(None, free=0, size=1, of="") == ("ok", "", "")


def test_a_disk_that_is_too_small(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    (check,) = check_disks([Need("data", tmp_path / "not" / "there", free), Need("runs", tmp_path, 10e9)])
    assert check.status == "error"
    assert check_disks([Need("data", tmp_path, 1)])[0].status == "ok"
    assert check_disks([Need("data", tmp_path, None)])[0].status == "warning"


def test_data_that_is_prepared_there_incomplete_or_nowhere(prepared, tmp_path):
    assert check_data(prepared)[0][0].text.startswith("prepared in")
    drawn = small_profile(tmp_path)
    assert check_data(drawn)[0][0].text == "will be drawn: 40 images of 64 pixels"

    def with_data(**changes):
        data = drawn.data.model_copy(update={"synthetic": None, **changes})
        return check_data(drawn.model_copy(update={"data": data}))

    assert with_data(root=prepared.data.root)[0][0].text.startswith("there, in")
    (check,), _ = with_data(root=tmp_path)
    assert "lacks rrsisd/refs(unc).p" in check.text
    assert with_data()[0][0].status == "error", "no source"
    assert "will be taken from" in with_data(sources=(Source(path=tmp_path),))[0][0].text
    sources = (Source(path=tmp_path / "no"), Source(google_drive="x"), Source(url="http://127.0.0.1:8/a.zip"))
    (check,), (purpose,) = with_data(sources=sources)
    assert check.status == "warning"
    assert purpose.hosts == ("drive.google.com", "http://127.0.0.1:8")


def test_pretrained_weights_in_files_in_the_cache_and_to_be_fetched(tmp_path, monkeypatch):
    from huggingface_hub import constants

    params = load_params(PROJECT / "profiles/rrsisd/params.yaml")
    params = params.model_copy(update={"out": tmp_path / "out"})
    hub = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    swin = tmp_path / "swin.pth"

    def statuses():
        training = params.training.model_copy(
            update={"pretrained": params.training.pretrained.model_copy(update={"swin": str(swin)})}
        )
        checks, purposes = check_pretrained(params.model_copy(update={"training": training}))
        return [check.status for check in checks], [purpose.what for purpose in purposes]

    assert statuses() == (["error", "warning", "warning"], ["BERT weights", "tokenizer"])
    swin.touch()
    kept = hub / "models--bert-base-uncased"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    (kept / "snapshots" / "abc").mkdir(parents=True)
    (kept / "snapshots" / "abc" / "model.safetensors").touch()
    assert statuses() == (["ok", "ok", "warning"], ["tokenizer"])


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_a_host_that_answers_and_one_that_does_not(server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        deaf = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert answer(server) == "", "whatever it says"
        data = Purpose("data", (deaf, server), "by hand")
        checks = check_network([data], offline=False)
        assert [check.status for check in checks] == ["warning", "ok"], "one of two is enough"
        (check,) = check_network([replace(data, hosts=(deaf,))], offline=False)
        assert (check.status, check.way_out) == ("error", "by hand")
        assert "refused" in check.text.lower()
        assert check_network([data], offline=True)[0].status == "warning"
    assert check_network([], offline=False)[0].status == "ok"


def test_a_host_that_keeps_silent_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("harness.doctor.inputs.SECONDS", -0.9)
    never = threading.Event()
    said = ask_all(["silent"], lambda host: str(never.wait(30)))
    never.set()
    assert said["silent"].startswith("nothing within")


def test_git_inside_and_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert check_git()[0].status == "warning"
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a", "--allow-empty"],
    ):
        subprocess.run(["git", *arguments], check=True)
    assert check_git()[0].status == "ok"
