import shutil

import pytest
import torch
import yaml
from toy import PROJECT, toy_params

from harness.training.fingerprint import HARNESS, differences, fingerprint

RUN = "mafn-full-s0"


@pytest.fixture
def profile(prepared, tmp_path):
    params = toy_params(tmp_path)
    shutil.copytree(prepared.out / "data", params.out / "data")
    return params


def changed(params, **training):
    return params.model_copy(update={"training": params.training.model_copy(update=training)})


def of(params, run=RUN):
    return fingerprint(params, run, {"learning_rate": 0.1})


def test_it_is_the_same_for_the_same(profile):
    assert of(profile) == of(profile)
    assert differences(of(profile), of(profile)) == []


@pytest.mark.parametrize(
    "free",
    [{"workers": 4}, {"checkpoint_every": 7}, {"timeout": 5.0}, {"tensorboard": True}, {"micro_batch": 2}],
)
def test_what_changes_no_result_is_not_part_of_it(profile, free):
    assert of(changed(profile, **free)) == of(profile)


def test_settings_of_the_run_are(profile):
    assert differences(of(profile), of(changed(profile, clip_norm=1.0))) == [
        "training.clip_norm was null, is 1.0"
    ]
    assert any("variants" in line for line in differences(of(profile), of(profile, "mafn-k1-s0")))


def test_data_is(profile):
    before = of(profile)
    path = profile.split_file("val")
    path.write_bytes(path.read_bytes() + b" ")
    assert differences(before, of(profile)) == ["data/val.arrow"]


def test_code_and_torch_are(profile, monkeypatch):
    found = of(profile)
    assert {"code/mafn/model.py", "code/baselines/swin.py", "code/harness/training/loop.py"} <= found.keys()
    assert not any("commands" in key or "report" in key for key in found)
    assert found["torch"] == torch.__version__
    assert differences(found, found | {"code/mafn/model.py": "0"}) == ["code/mafn/model.py"]
    assert differences(found, found | {"code/mafn/new.py": "0"}) == ["code/mafn/new.py (new)"]


def test_dvc_watches_the_same_code():
    """Else a changed file would set a checkpoint aside without DVC training again, or the other way round."""
    pipeline = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    deps = [dep for dep in pipeline["stages"]["train"]["do"]["deps"] if not dep.startswith("$")]
    assert deps == ["baselines", "mafn", *(f"harness/{part}" for part in HARNESS)]


def test_another_packages_network_counts(profile, monkeypatch, tmp_path):
    """The files of the package that registers the model."""
    from harness.training import fingerprint as module

    (tmp_path / "strangers_net").mkdir()
    (tmp_path / "strangers_net/__init__.py").write_text("")
    (tmp_path / "strangers_net/net.py").write_text("net = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = type("Entry", (), {"value": "strangers_net.net:net"})()
    monkeypatch.setattr(type(module.MODELS), "entry", lambda self, name: entry)
    found = of(profile)
    assert "code/strangers_net/net.py" in found
    assert "code/mafn/model.py" not in found
