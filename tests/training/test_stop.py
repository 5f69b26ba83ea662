import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

LISTENING = """
    import sys, time
    from harness.training.stop import StopRequests
    with StopRequests() as stop, stop.listening():
        print("listening", flush=True)
        deadline = time.monotonic() + 30
        while not stop and time.monotonic() < deadline:
            time.sleep(0.05)
        print(stop.reason, flush=True)
        while "stay" in sys.argv and time.monotonic() < deadline:
            time.sleep(0.05)
"""


def listening(*arguments, **options):
    """A process that waits for a request and prints what it was."""
    process = subprocess.Popen(
        [*arguments, sys.executable, "-c", textwrap.dedent(LISTENING)]
        if not options.pop("stay", False)
        else [*arguments, sys.executable, "-c", textwrap.dedent(LISTENING), "stay"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout.readline() == "listening\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_request(number):
    process = listening()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == (f"{number.name}\n", 0)
    assert "a second signal stops at once" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(number):
    process = listening(stay=True)
    process.send_signal(number)
    assert process.stdout.readline() == f"{number.name}\n"
    process.send_signal(number)
    assert process.wait(timeout=10) == -number


def test_a_copy_that_torchrun_passes_on_is_the_same_request():
    process = listening(stay=True, env=os.environ | {"TORCHELASTIC_RUN_ID": "a"})
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "SIGTERM\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.wait()


def adopted(shell):
    """Start the listening process as a grandchild of this one; return its parent and a function that reads its end."""
    read, write = os.pipe()
    start = f"subprocess.Popen({shell!r}, stdout={write}, pass_fds=[{write}])"
    child = f"import subprocess, time; {start}; time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", child], pass_fds=[write])
    os.close(write)
    stream = os.fdopen(read)
    assert stream.readline() == "listening\n"
    return parent, stream


@pytest.mark.parametrize("through_a_shell", [False, True])
def test_the_death_of_the_parent_is_a_request(through_a_shell):
    command = [sys.executable, "-c", textwrap.dedent(LISTENING)]
    if through_a_shell:  # which stays, as it has another command to run
        command = ["sh", "-c", '"$0" "$@"; true', *command]
    parent, stream = adopted(command)
    parent.kill()
    parent.wait()
    with stream:
        assert stream.readline() == "the end of its parent process\n"


@pytest.mark.big
def test_under_nohup_the_parent_may_end():
    parent, stream = adopted(["nohup", sys.executable, "-c", textwrap.dedent(LISTENING)])
    listener = psutil.Process(parent.pid).children()[0]
    parent.kill()
    parent.wait()
    time.sleep(2.5)  # two looks at the parent
    assert listener.is_running()
    listener.kill()
    stream.close()
