import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import harness.training.display
from harness.provenance import Phases
from harness.training.display import TrainingDisplay

PROJECT = Path(__file__).parents[2]


class Clock:
    """Seconds that a test moves; for phases and display alike."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    monotonic = __call__


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(harness.training.display, "time", clock)
    return clock


def make_display(clock, *, phases=None, **changes):
    settings = {"steps": 400, "epochs": 4, "batch_size": 8, "device": torch.device("cpu")} | changes
    return TrainingDisplay("lavt-full-s0", phases=phases or Phases(clock=clock), **settings)


def take_steps(display, clock, number, seconds=1.0, waiting=0.0, loss=0.5):
    for _ in range(number):
        with display.phases("steps"):
            with display.phases("data wait"):
                clock.now += waiting
            clock.now += seconds - waiting
            display.step(loss, 1e-3, 2.0)


def validate(display, clock, seconds, oIoU, mIoU=40.0):
    with display.phases("validation"):
        clock.now += seconds
    display.measure(oIoU, mIoU)


def test_a_log_gets_a_line_at_the_start_now_and_then_and_at_the_end(clock, capsys):
    with make_display(clock, epochs=2, steps=40) as display:
        take_steps(display, clock, 40)
    first, *between, last = capsys.readouterr().err.splitlines()
    assert first == "lavt-full-s0  40 steps of 8 in 2 epochs, cpu"
    assert between == [
        "lavt-full-s0  15/40  epoch 1/2  loss 0.500  8 images/s  0:25 left",
        "lavt-full-s0  30/40  epoch 2/2  loss 0.500  8 images/s  0:10 left",
    ]
    assert last == "lavt-full-s0  40/40  epoch 2/2  loss 0.500  8 images/s  took 0:40"


def test_a_validation_is_told_with_the_best_so_far(clock, capsys):
    with make_display(clock) as display:
        for oIoU in (42.06, 41.0, 42.06, 50.5):
            take_steps(display, clock, 100, seconds=0.01)
            validate(display, clock, 1, oIoU, mIoU=40.125)
    told = [line for line in capsys.readouterr().err.splitlines() if " val " in line]
    assert told == [
        "lavt-full-s0  100/400  epoch 1/4  val oIoU 42.06  mIoU 40.12  the best so far",
        "lavt-full-s0  200/400  epoch 2/4  val oIoU 41.00  mIoU 40.12  best oIoU 42.06 in epoch 1",
        "lavt-full-s0  300/400  epoch 3/4  val oIoU 42.06  mIoU 40.12  best oIoU 42.06 in epoch 1",
        "lavt-full-s0  400/400  epoch 4/4  val oIoU 50.50  mIoU 40.12  the best so far",
    ]


def test_a_long_validation_is_followed_in_a_log(clock, capsys):
    def predicted(share):
        for _ in range(4):
            clock.now += 10
            yield list(range(share)), None

    with make_display(clock, processes=2) as display:
        take_steps(display, clock, 100, seconds=0.01)
        rows = [rows for rows, _ in display.validating(predicted(16), total=120)]
    assert rows == [list(range(16))] * 4
    told = [line for line in capsys.readouterr().err.splitlines() if "validation" in line]
    assert told[0].startswith("lavt-full-s0  100/400  epoch 1/4  validation 64/120  ")
    assert "validation 120/120" in told[1], "of two processes, the last batch of one is smaller"


@pytest.mark.parametrize(("seconds", "lines"), [(4, 0), (12, 1)])
def test_only_a_slow_checkpoint_is_told(clock, capsys, seconds, lines):
    with make_display(clock) as display:
        take_steps(display, clock, 1, seconds=0.01)
        with display.phases("checkpoints"):
            clock.now += seconds
        take_steps(display, clock, 2, seconds=0.01)
    told = capsys.readouterr().err
    assert told.count("lavt-full-s0  2/400  epoch 1/4  the checkpoint took 0:12\n") == lines
    assert told.count("checkpoint") == lines


def test_the_time_left_counts_the_steps_of_this_process(clock):
    """After a resumption at step 300 that took 1,000 s before the first step, and whose first step takes a minute."""
    phases = Phases(clock=clock)
    phases.load_state_dict({"steps": 5000.0, "data wait": 500.0})
    clock.now += 1000
    with make_display(clock, phases=phases, start=300, shown=False) as display:
        assert display.seconds_left is None
        take_steps(display, clock, 1, seconds=60)
        assert display.seconds_left == pytest.approx(99 * 60), "nothing else is known"
        take_steps(display, clock, 39, seconds=2)
        assert display.seconds_left == pytest.approx(60 * 2)
        assert display.epoch == 4
        assert display.images_per_second == pytest.approx(40 * 8 / (60 + 39 * 2))


def test_the_time_left_includes_the_validations_to_come(clock):
    """Every second epoch of five, and the last: three of them."""
    with make_display(clock, steps=500, epochs=5, validate_every=2, shown=False) as display:
        take_steps(display, clock, 200)
        assert display.seconds_left == pytest.approx(300)
        validate(display, clock, 30, 40)
        assert display.seconds_left == pytest.approx(300 + 2 * 30)
        take_steps(display, clock, 200)
        with display.phases("validation"):
            left = []
            for _ in display.validating([(range(10), None)] * 3, total=30):
                left.append(display.seconds_left)
                clock.now += 10
            assert left == pytest.approx([100 + 2 * 30, 100 + 30 + 20, 100 + 30 + 10])
        display.measure(41, 40)
        assert display.seconds_left == pytest.approx(100 + 30)
        take_steps(display, clock, 100)
        validate(display, clock, 30, 42)
        assert display.seconds_left == 0


def test_validations_before_a_resumption_count_for_those_to_come(clock):
    phases = Phases(clock=clock)
    phases.load_state_dict({"steps": 100.0, "validation": 60.0})
    history = [
        {"epoch": 1, "val_oIoU": 40.0, "val_mIoU": 30.0},
        {"epoch": 2, "val_oIoU": None, "val_mIoU": None},
    ]
    changes = {"start": 200, "validate_every": 3, "history": history, "shown": False}
    with make_display(clock, phases=phases, **changes) as display:
        take_steps(display, clock, 100)
        assert display.seconds_left == pytest.approx(100 + 60)


def test_checkpoints_cost_time_and_no_speed(clock):
    with make_display(clock, shown=False) as display:
        for _ in range(10):
            take_steps(display, clock, 10)
            with display.phases("checkpoints"):
                clock.now += 5
        assert display.images_per_second == 8
        assert display.seconds_left == pytest.approx(300 * 1.5, rel=0.01)


def test_what_ends_early_says_after_how_many_steps(clock, capsys):
    with suppress(KeyError), make_display(clock) as display:
        take_steps(display, clock, 3)
        raise KeyError
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "lavt-full-s0  3/400  epoch 1/4  loss 0.500  8 images/s  stopped after 0:03"


def test_other_processes_show_nothing(clock, capsys):
    with make_display(clock, shown=False) as display:
        take_steps(display, clock, 50)
        display.note("something")
        validate(display, clock, 20, 40)
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_written_stops_no_training(clock, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with make_display(clock) as display:
            take_steps(display, clock, 50)
        assert display.done == 50
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # what is buffered goes there


LIVE = """
import os, sys, threading, time, warnings
sys.path.insert(0, {project!r})
from types import SimpleNamespace
from harness.provenance import Phases
from harness.training.display import TrainingDisplay

phases, reason, device = Phases(), [], SimpleNamespace(type="cpu")  # torch takes seconds to import
held, let_go = threading.Event(), threading.Event()

def hold(lock):
    with lock:
        held.set(); let_go.wait()

with TrainingDisplay("lavt-full-s0", steps=40, epochs=2, batch_size=8, phases=phases, device=device,
                     stop_reason=lambda: reason[0] if reason else None) as display:
    for step in range(1, 41):
        with phases("steps"):
            time.sleep(0.02)
            display.step(0.5, 1e-3, 2.0)
        if step == 10:
            warnings.warn("a warning")
            print("a print")
            display.note("a note")
        if step == 20:
            for _ in display.validating([([0], None)] * 4, total=4):
                time.sleep(0.15)
            display.measure(42.0, 41.0)
        if step == 30:
            {extra}
"""


def run_on_terminal(extra="pass"):
    """Run `LIVE` with standard error on a terminal of 100 columns; return its output and what was shown."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE.format(project=str(PROJECT), extra=extra)],
        stderr=there,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(there)
    shown = b""
    try:
        while block := os.read(here, 4096):
            shown += block
    except OSError:  # the other end is closed
        pass
    printed = process.communicate(timeout=60)[0]
    return process.returncode, printed, shown.decode()


def plain(shown):
    """The lines that were shown at any time, without colours and movements."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in re.split(r"[\r\n]+", shown)]


def screen(shown):
    """What stands on the terminal in the end: movements and erasures applied."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", shown):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token.endswith("A"):
            row -= int(token[2:-1] or 1)
        elif token == "\x1b[2K":
            lines[row] = ""
        elif not token.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_has_a_live_display_of_80_columns_and_lines_above_it():
    status, printed, shown = run_on_terminal()
    assert (status, printed) == (0, "a print\n"), "standard output is a pipe, so it stays one"
    lines = plain(shown)
    live = [line for line in lines if "━" in line]
    assert any(re.fullmatch(r"lavt-full-s0  [━╸╺]+  \d+/40  epoch 1/2  0:0\d left", line) for line in live)
    assert any(re.search(r"  20/40  validation [123]/4  ", line) for line in live)
    for row in (
        r"loss 0\.5000 +learning rate 1\.00e-03 +gradient norm 2",
        "no validation yet",
        r"val oIoU 42\.00 +val mIoU 41\.00 +best oIoU 42\.00, epoch 1",
        r"[\d.]+ images/s +data wait \d+% +peak memory [\d.]+ MB",
    ):
        assert any(re.fullmatch(row, line) for line in lines), row
    assert max(len(line) for line in lines if "UserWarning" not in line) <= 80
    rest = [line for line in screen(shown) if "warn" not in line]
    assert rest[:3] == [
        "lavt-full-s0  40 steps of 8 in 2 epochs, cpu",
        "lavt-full-s0  a note",
        "lavt-full-s0  20/40  epoch 1/2  val oIoU 42.00  mIoU 41.00  the best so far",
    ]
    assert re.fullmatch(r"lavt-full-s0  40/40  epoch 2/2  loss 0\.500  \d+ images/s  took 0:0\d", rest[3]), (
        "the live lines are gone"
    )
    assert len(rest) == 4
    assert sum("UserWarning: a warning" in line for line in screen(shown)) == 1


def test_a_request_to_stop_is_answered_at_once():
    _, _, shown = run_on_terminal("reason.append('SIGTERM'); time.sleep(0.6)")
    assert "SIGTERM: this step ends and is saved; a second signal stops at once" in plain(shown)


@pytest.mark.big
def test_a_terminal_is_left_in_order_after_an_error_and_after_a_kill():
    status, _, shown = run_on_terminal("raise KeyError('x')")
    assert status == 1
    rest = screen(shown)
    assert not any("━" in line for line in rest)
    assert any("30/40" in line and "stopped after" in line for line in rest)
    assert rest[-1] == "KeyError: 'x'"
    status, _, shown = run_on_terminal("os.kill(os.getpid(), 9)")
    assert status == -signal.SIGKILL
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor can be seen"


def test_a_loader_process_prints_past_the_display():
    """Forked while the display's thread holds its lock, for which the display's own stream would wait forever."""
    fork = (
        "threading.Thread(target=hold, args=[display.live.console._lock], daemon=True).start()\n"
        "            held.wait(); child = os.fork()\n"
        "            if child == 0: print('from a child', file=sys.stderr, flush=True); os._exit(0)\n"
        "            for _ in range(100):\n"
        "                if os.waitpid(child, os.WNOHANG)[0]: break\n"
        "                time.sleep(0.05)\n"
        "            else: os.kill(child, 9); let_go.set(); raise SystemExit('the child hangs')\n"
        "            let_go.set()"
    )
    status, _, shown = run_on_terminal(fork)
    assert status == 0
    assert any("from a child" in line for line in plain(shown))
