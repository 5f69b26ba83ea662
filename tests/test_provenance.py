import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import harness.provenance
from harness.provenance import Phases, Session, provenance

PROJECT = Path(__file__).parents[1]


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_nested_phase_interrupts_the_one_around_it():
    clock = Clock()
    phases = Phases(clock=clock)
    clock.now += 1
    with phases("steps"):
        clock.now += 2
        with phases("validation"):
            assert phases.current == "validation"
            clock.now += 4
        clock.now += 8
        assert phases.seconds("steps") == 10, "the running phase counts"
    clock.now += 16
    assert phases.state_dict() == {"setup": 17, "steps": 10, "validation": 4}
    assert phases.seconds("steps", "validation", "never") == 14


def test_waiting_for_items_is_a_phase_of_its_own():
    clock = Clock()
    phases = Phases(clock=clock)

    def loaded():
        for number in range(3):
            clock.now += 1
            yield number

    with phases("steps"):
        for _ in phases.waiting(loaded(), "data wait"):
            assert phases.current == "steps"
            clock.now += 10
    assert phases.state_dict() == {"setup": 0, "steps": 30, "data wait": 3}


def test_an_error_ends_its_phase():
    phases = Phases(clock=Clock())
    with pytest.raises(KeyError), phases("steps"), phases("checkpoints"):
        raise KeyError
    assert phases.current == "setup"


def test_durations_add_up_over_resumptions():
    clock = Clock()
    first = Phases(clock=clock)
    with first("steps"):
        clock.now += 2
        saved = json.loads(json.dumps(first.state_dict()))
    second = Phases(clock=clock)
    clock.now += 1
    with second("validation"):
        clock.now += 8
    with second("steps"):
        second.load_state_dict(saved)
        clock.now += 4
    assert second.state_dict() == {"setup": 1, "steps": 6, "validation": 8}
    assert list(second.state_dict()) == ["setup", "steps", "validation"]


def test_a_session_that_was_killed_is_known_until_its_last_checkpoint():
    killed = Session.begin(0, processes=2, hosts=["one", "one"]).until(200)
    saved = json.loads(json.dumps([killed.as_dict()]))
    sessions = [*map(Session.from_dict, saved), Session.begin(200).until(402, "finished")]
    record = json.loads(json.dumps(provenance(sessions=sessions)))
    assert [(s["from_step"], s["to_step"], s["ending"]) for s in record["sessions"]] == [
        (0, 200, "interrupted"),
        (200, 402, "finished"),
    ]
    assert record["sessions"][0]["hosts"] == ["one"]
    assert record["hosts"] == [socket.gethostname()], "those of the last session"
    assert (record["sessions"][0]["processes"], record["processes"]) == (2, 1)


def test_the_record_names_code_machine_and_versions():
    record = json.loads(json.dumps(provenance(seeds={"run": 3}, data={"train.arrow": "12"}, phases=Phases())))
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert record["commit"] == (head.stdout.strip() or None)
    assert record["versions"]["torch"] == __import__("torch").__version__.split("+")[0]
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["versions"]["dvclive"]
    assert record["device"]
    assert record["cores"] == os.cpu_count()
    assert record["hardware"]["memory_gb"] > 0.1
    assert (record["seeds"], record["data"], list(record["phases"])) == (
        {"run": 3},
        {"train.arrow": "12"},
        ["setup"],
    )


def test_a_package_that_is_missing_is_recorded_as_missing(monkeypatch):
    monkeypatch.setattr(harness.provenance, "PACKAGES", ("numpy", "no-such-package"))
    versions = provenance()["versions"]
    assert versions["no-such-package"] is None
    assert versions["numpy"]


@pytest.mark.parametrize("variable", ["GIT_DIR", "PATH"], ids=["no repository", "no git"])
def test_without_a_repository_there_is_no_commit(monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path))
    record = provenance()
    assert (record["commit"], record["dirty"]) == (None, None)


@pytest.mark.parametrize(
    ("program", "expected"),
    [("/somewhere/bin/harness", "harness"), ("/somewhere/harness/__main__.py", "python -m harness")],
)
def test_the_command_can_be_given_again(monkeypatch, program, expected):
    monkeypatch.setattr(sys, "argv", [program, "train", "--run", "a b"])
    assert re.fullmatch(expected + " train --run 'a b'", provenance()["command"])
