"""The JSON files that the report reads."""

import json
from pathlib import Path

from sample_tables import evaluated_profile

from .formats import json_bytes, json_inputs
from .reader import Reader, reader


@reader
def statistics(folder: Path) -> Reader:
    from harness.report.inputs import read_statistics
    from harness.statistics.build import build

    made = evaluated_profile(folder, n=12, resamples=2)
    content = json.loads(json.dumps(build(made)))
    few = {key: value[:2] if isinstance(value, list) else value for key, value in content.items()}
    return Reader("statistics", "statistics.json", json_bytes(few), json_inputs(few), read_statistics)


@reader
def records(folder: Path) -> Reader:
    """The small JSON files of a run and of the data; what is wrong with them becomes a sentence."""
    from harness.report.checkpoints import _cells
    from harness.report.efficiency import _read
    from harness.report.inputs import Run, _read_provenance
    from harness.report.parity import read_parity
    from harness.report.provenance import read_source, session_rows

    machine = {"torch": "2.6", "device": "cpu", "python": "3.11"}
    provenance = {
        "run": "mafn-full-s0",
        "sessions": [machine],
        "packages": {"torch": "2.6"},
        "losses": {"val": 0.5},
    }
    source = {
        "dataset": "x",
        "expressions": {"test": 3},
        "fingerprint": {"files": 1, "bytes": 2, "sha256": "ab"},
    }
    summaries = {
        name: {"resized": {"oIoU": 50.0, "mIoU": 40.0}} for name in ("val", "test", "val-last", "test-last")
    }
    seed = {"schema_version": 1, **provenance, **source, **summaries, "parameters": 9, "peak_memory": 9}

    def read(path: Path) -> None:
        found, _ = _read_provenance(path)
        session_rows([Run("mafn-full-s0", "mafn-full", 0, path.parent, found)])
        read_source(path), read_parity(path), _cells(path), _read(Run("", "", 0, path.parent))

    return Reader("records", "efficiency.json", json_bytes(seed), json_inputs(seed), read)
