"""What the shell offers, in the protocol of the scripts that `_HARNESS_COMPLETE=bash_source harness` prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import PROJECT

SCRIPTS = Path(sys.executable).parent


def completed(line, shell="bash", cwd=PROJECT):
    """Ask for what can stand in place of the last word of a line; (type, value) of each offer."""
    *_, last = words = line.split(" ")
    done = subprocess.run(
        [SCRIPTS / "harness"],
        cwd=cwd,
        env=os.environ
        | {
            "_HARNESS_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": last if shell == "fish" else str(len(words) - 1),
            "PYTHONPROFILEIMPORTTIME": "1",
        },
        capture_output=True,
        text=True,
    )
    packages = {part.rpartition("|")[2].strip() for part in done.stderr.splitlines()}
    assert "click" in packages
    assert not packages & {"torch", "pandas", "numpy", "pydantic", "transformers"}
    assert "Traceback" not in done.stderr
    if shell == "zsh":  # type, value and help, a line each
        lines = done.stdout.split("\n")
        return list(zip(lines[0::3], lines[1::3], strict=False))
    return [tuple(line.split(",", 1)) for line in done.stdout.split()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("harness eva", ["evaluate"]),
        ("harness train --run mafn-k13", ["mafn-k13-s0", "mafn-k1357-s0"]),
        ("harness train rmsin", ["rmsin-full-s0", "rmsin-full-s1"]),
        ("harness evaluate --run lavt-full-s", ["lavt-full-s0", "lavt-full-s1"]),
        ("harness sweep mafn-full-s0 mafn-n", ["mafn-noise-s0"]),
        ("harness compare mafn rm", ["rmsin", "rmsin-full", "rmsin-full-s0", "rmsin-full-s1"]),
        ("harness statistics --params profiles/r", ["profiles/rrsisd/params.yaml"]),
        (
            "harness train --params profiles/rrsisd/params.yaml --run lavt",
            [f"lavt-full-s{seed}" for seed in (2401, 2402, 2403)],
        ),
        ("harness train --run nobody", []),
    ],
)
def test_names_are_offered(line, offered):
    assert completed(line) == [("plain", name) for name in offered]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell):
    assert [value for _, value in completed("harness train --run mafn-noise", shell)] == ["mafn-noise-s0"]


def test_what_is_no_name_is_left_to_the_shell():
    assert completed("harness compare out/a") == [("file", "out/a")]
    assert completed("harness statistics --params other/p") == [("file", "other/p")]


@pytest.mark.parametrize("content", [None, "runs: [", "- 1", "runs: 3", "\udcff"])
def test_a_profile_that_cannot_be_read_offers_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "params.yaml").write_bytes(content.encode(errors="surrogateescape"))
    assert completed("harness train --run m", cwd=tmp_path) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_printed_script_completes_in_bash():
    script = (
        'eval "$(_HARNESS_COMPLETE=bash_source harness)"\n'
        "COMP_WORDS=(harness train --run mafn-k13) COMP_CWORD=3\n"
        '_harness_completion harness\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = os.environ | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["mafn-k13-s0", "mafn-k1357-s0"]
