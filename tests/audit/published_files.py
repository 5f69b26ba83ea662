"""Published files to audit: the project's, changed, or small ones made up."""

from pathlib import Path

import yaml

from harness.audit import audit
from harness.published import read_published

ROOT = Path(__file__).parents[2]
FILE = ROOT / "reports" / "published.yaml"


def changed(tmp_path, change):
    """The project's file with a change, written to a folder."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def audited(tmp_path, change):
    return audit(read_published(changed(tmp_path, change)))


def cell(result, table, row, split, metric):
    wanted = (table, row, split, metric)
    return next(c for c in result.cells if (c.table, c.row, c.split, c.metric) == wanted)
