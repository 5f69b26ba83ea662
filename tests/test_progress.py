import os
import pty
import re
import subprocess
import sys

from harness.progress import Progress


def test_bytes_are_told_in_readable_units(capsys):
    with Progress("download", 3_000_000, "bytes") as progress:
        progress.started -= 2.0
        progress.advance(units=3_000_000)
    assert re.fullmatch(r"download  3\.0 MB  1\.\d MB/s  took 0:02\n", capsys.readouterr().err)


def test_what_was_there_before_counts_for_the_whole_and_not_for_the_rate(capsys):
    with Progress("download", None, "bytes") as progress:
        progress.started -= 10.0
        progress.expect(4_000_000)
        progress.skip(2_000_000)
        progress.advance(units=1_000_000)
        progress.last_line -= 60
        progress.advance(units=1)
        progress.advance(units=999_999)
    first, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"download  3\.0 MB of 4\.0 MB  \d+\.\d kB/s  0:10 left", first)
    assert re.fullmatch(r"download  4\.0 MB  \d+\.\d kB/s  took 0:10", last)


def test_the_total_may_stay_unknown(capsys):
    with Progress("download", None, "bytes") as progress:
        progress.advance(units=5000)
    assert re.fullmatch(r"download  5\.0 kB  .*/s  in 0:00\n", capsys.readouterr().err)


def test_nothing_is_said_where_there_was_no_work(capsys):
    with Progress("download", None, "bytes") as progress:
        progress.expect(5000)
        progress.skip(5000)
    assert list(Progress("repair", 0, "files").track([])) == []
    assert capsys.readouterr().err == ""


def test_a_live_bar_fits_80_columns():
    code = (
        "import time\nfrom harness.progress import Progress\n"
        "with Progress('download', None, 'bytes') as p:\n"
        "    p.expect(5_070_000_000); p.skip(4_000_000_000)\n"
        "    for _ in range(4): time.sleep(0.12); p.advance(units=1_234_567)\n"
    )
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=there, env=os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    )
    os.close(there)
    shown = b""
    try:
        while block := os.read(here, 4096):
            shown += block
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0
    bars = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown.decode())]
    bars = [bar for bar in bars if bar.startswith("download")]
    assert any(re.search(r"4\.0/5\.1 GB .*MB/s 0:\d\d:\d\d left", bar) for bar in bars)
    assert max(map(len, bars)) <= 80
