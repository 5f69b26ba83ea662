"""The `data` stage of a profile that fetches its set."""

import shutil

from click.testing import CliRunner
from toy import toy_params

from harness.cli import cli


def run(params):
    return CliRunner().invoke(cli, ["data", "source", "--params", str(params.params)])


def test_a_missing_root_is_fetched_and_one_that_is_there_is_left_alone(prepared, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", prepared.data.root)
    params = toy_params(
        tmp_path,
        data={
            "dataset": "small",
            "root": str(tmp_path / "raw"),
            "sources": [{"path": archive}],
            "workers": 1,
        },
    )
    result = run(params)
    assert result.exit_code == 0, result.output
    assert "small in" in result.output
    names = sorted(path.relative_to(params.data.root) for path in params.data.root.rglob("*.jpg"))
    assert len(names) == 40

    (params.data.root / names[3]).write_bytes(b"mine")  # not this stage's to repair
    (tmp_path / "set.zip").unlink()
    assert run(params).exit_code == 0
    assert (params.data.root / names[3]).read_bytes() == b"mine"


def test_sources_that_give_nothing_are_one_error(tmp_path):
    params = toy_params(
        tmp_path,
        data={
            "dataset": "small",
            "root": str(tmp_path / "raw"),
            "sources": [{"path": str(tmp_path / "no.zip")}],
        },
    )
    result = run(params)
    assert "no.zip" in str(result.exception)
    assert "under data.sources of the params file" in str(result.exception)
    assert "--" not in str(result.exception)  # this command has no such options
    assert type(result.exception).__name__ == "HarnessError"
    assert not params.data.root.exists()
    assert not (params.out / "source" / "source.json").exists()
