"""The exact layer: an error planted in the metrics is caught and named, and nothing else moves it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_gate import PROJECT, VARIANTS, check

from harness import metrics
from harness.gate import exact


def failed(result):
    return [line for line in result.output.splitlines() if line.endswith(": changed")]


def test_nothing_changed_passes(gate):
    result = check(gate.params, gate.reference)
    assert result.exit_code == 0, result.output
    assert "Passed:" in result.output
    assert "drop" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_a_threshold_that_is_no_longer_reached_is_caught(gate, monkeypatch):
    right = metrics.features

    def above_instead_of_at_least(intersection, union, **options):
        matrix = right(intersection, union, **options)
        for column, tenths in enumerate(metrics.THRESHOLDS):
            matrix[..., column] = 10 * np.asarray(intersection) > tenths * np.asarray(union)
        return matrix

    monkeypatch.setattr(metrics, "features", above_instead_of_at_least)
    result = check(gate.params, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    assert [line.strip() for line in failed(result)][:3] == [f"{name}: metrics: changed" for name in VARIANTS]
    assert "mafn-full P@0.5: reference" in result.output
    assert "mIoU: reference" not in result.output.partition("tests: changed")[0]


def test_another_convention_for_empty_unions_is_caught(gate, monkeypatch):
    right = metrics.features
    monkeypatch.setattr(metrics, "features", lambda i, u, **_: right(i, u, empty="one"))
    result = check(gate.params, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    for metric in ("P@0.5", "P@0.9", "mIoU"):
        assert f"lavt-full {metric}: reference" in result.output
    assert "lavt-full oIoU: reference" not in result.output.partition("tests: changed")[0]


def test_miscounted_pixels_are_caught_with_their_ids(gate, monkeypatch):
    def exclusive(pred, target):
        return (pred & target).sum((-2, -1)), (pred ^ target).sum((-2, -1))

    monkeypatch.setattr(metrics, "intersection_union", exclusive)
    result = check(gate.params, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    assert "mafn-full: pixels: changed" in result.output
    assert "mafn-full-s0 union of ref_id 1002: reference 36, now 18" in result.output


def test_other_intervals_are_caught_where_the_metrics_are_the_same(gate, monkeypatch):
    monkeypatch.setattr(exact, "RESAMPLES", 1_500)
    result = check(gate.params, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    assert "metrics: changed" not in result.output
    assert "mafn-full against rmsin-full, all runs: tests: changed" in result.output
    assert "P@0.5 interval from: reference" in result.output


def test_another_wording_of_the_table_is_caught(gate, monkeypatch):
    monkeypatch.setattr("harness.comparing.sheet.verdict", lambda *_: "All is well.")
    result = check(gate.params, gate.reference, "--layer", "exact")
    assert result.exit_code == 1
    assert "mafn-full against rmsin-full, one run: table: changed" in result.output
    assert "now Result" in result.output
    assert "All is well." in result.output


def test_an_edit_of_metrics_py_is_caught(gate, tmp_path):
    """As a pull request would have it: other source, other process."""
    shutil.copytree(PROJECT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "harness/metrics.py"
    source = module.read_text(encoding="utf-8")
    assert "10 * intersection >= tenths * union" in source
    module.write_text(
        source.replace("10 * intersection >= tenths * union", "10 * intersection > tenths * union"),
        encoding="utf-8",
    )
    result = run_check(gate, "--layer", "exact", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1, result.stderr
    assert "mafn-full P@0.5: reference" in result.stdout


def test_threads_colours_and_a_narrow_terminal_change_nothing(gate):
    one = run_check(gate, "--format", "json", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    two = run_check(
        gate,
        "--format",
        "json",
        OMP_NUM_THREADS="2",
        OPENBLAS_NUM_THREADS="2",
        FORCE_COLOR="1",
        COLUMNS="40",
    )
    assert one.returncode == two.returncode == 0, one.stdout + two.stdout
    assert one.stdout == two.stdout


def test_it_imports_no_torch(gate):
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    result = run_check(gate, program=["-c", code])
    assert result.returncode == 0, result.stdout + result.stderr


def run_check(gate, *arguments, program=("-m", "harness"), **environment):
    return subprocess.run(
        [
            sys.executable,
            *program,
            "check",
            "--params",
            str(gate.params.params),
            "--reference",
            str(gate.reference),
            *arguments,
        ],
        cwd=Path(gate.params.params).parent,
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("before", "now", "same"), [(1.0, 1.0 + 1e-14, True), (1.0, 1.0 + 1e-10, False), (0, 1e-17, True)]
)
def test_tests_are_compared_to_twelve_digits(before, now, same):
    assert (list(exact._differences({"x": before}, {"x": now}, digits=12)) == []) == same
    assert list(exact._differences({"x": before}, {"x": now}, digits=None))
