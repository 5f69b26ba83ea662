"""DVC reads params.yaml by itself and knows no defaults: what it needs written out."""

import pytest
import yaml
from click.testing import CliRunner
from toy import PROJECT, toy_params

from harness.commands.data import command as data
from harness.commands.plan import command as plan
from harness.commands.sweep import command as sweep
from harness.config import Params, load_params
from harness.errors import HarnessError
from harness.pipeline_keys import require_written_out, unwritten


@pytest.fixture
def path(tmp_path):
    """A valid params.yaml that leaves out what it may, beside the pipeline."""
    toy_params(tmp_path)
    path = tmp_path / "params.yaml"
    content = yaml.safe_load(path.read_text())
    for key, field in Params.model_fields.items():
        if not field.is_required():
            content.pop(key, None)
    del content["report"]["published"]
    del content["report"]["features"]
    path.write_text(yaml.safe_dump(content))
    path.with_name("dvc.yaml").write_text((PROJECT / "dvc.yaml").read_text())
    return path


def test_keys_that_the_pipeline_names_and_the_file_leaves_out(path):
    left_out = {"text", "image_size", "evaluation", "statistics", "report.published", "report.features"}
    assert set(unwritten(path)) == left_out
    with pytest.raises(
        HarnessError, match=r"params\.yaml leaves out text, .*DVC knows no defaults: write them out"
    ):
        require_written_out(path)


@pytest.mark.parametrize(
    "arguments", [(data, "source"), (plan,), (sweep, "--dry")], ids=["data source", "plan", "sweep"]
)
def test_the_first_commands_say_so(path, arguments):
    command, *rest = arguments
    result = CliRunner().invoke(command, [*rest, "--params", str(path)])
    assert isinstance(result.exception, HarnessError)
    assert "report.published" in str(result.exception)


def test_without_a_pipeline_the_defaults_hold(path):
    path.with_name("dvc.yaml").unlink()
    assert unwritten(path) == []
    assert load_params(path).evaluation.batch_size == 16


@pytest.mark.parametrize("pipeline", ["", "stages: [", "- a", "stages: {data: {params: [data, {a: null}]}}"])
def test_another_pipeline_is_not_ours_to_judge(path, pipeline):
    path.with_name("dvc.yaml").write_text(pipeline)
    assert unwritten(path) == []


def test_the_projects_profiles_have_them_all():
    profiles = [
        PROJECT / "params.yaml",
        *PROJECT.glob("profiles/*/params.yaml"),
        *PROJECT.glob("examples/*/*/params.yaml"),
    ]
    assert len(profiles) == 4
    assert [unwritten(profile) for profile in profiles] == [[]] * 4
