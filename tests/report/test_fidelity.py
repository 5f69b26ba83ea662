"""Every switch of fidelity.yaml is one of the real code, and the page says which reading its numbers used."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel
from report_inputs import ROOT

from harness.config import Params, Report, load_params
from harness.errors import HarnessError
from harness.models import create_model, list_models
from harness.registry import MODELS
from harness.report.fidelity import (
    FILE,
    GROUPS,
    Function,
    Option,
    RecipeField,
    Setting,
    departures,
    read_switches,
    used_here,
    value_text,
)
from harness.report.parity import read_parity
from harness.training.recipe import find_recipe

SWITCHES = read_switches()
SELECTORS = [(switch.key, selector) for switch in SWITCHES for selector in switch.select]


def selected(kind):
    chosen = {
        selector.name: (key, selector) for key, selector in SELECTORS if isinstance(selector, kind)
    }.values()
    return pytest.mark.parametrize(
        "selector", [one for _, one in chosen], ids=[f"{key}, {one.name}" for key, one in chosen]
    )


def test_the_same_option_has_one_default():
    named = [(one.name, one.default) for _, one in SELECTORS if isinstance(one, Option | Setting)]
    assert len({name for name, _ in named}) == len({(name, value_text(default)) for name, default in named})


def switch(key):
    return next(one for one in SWITCHES if one.key == key)


# the file against the code --------------------------------------------------------------------------------------------


@selected(Option)
def test_options_are_parameters_of_the_factory_with_that_default(selector):
    model, _, parameter = selector.option.partition(".")
    found = inspect.signature(MODELS.load(model)).parameters[parameter]
    default = list(found.default) if isinstance(found.default, tuple) else found.default
    assert default == selector.default
    assert selector.other != selector.default
    create_model(model, vocab_size=60, **{parameter: selector.other})


def field_of(path):
    """The pydantic field at a path of the params file; a * stands for the values of a mapping."""
    owner, field = Params, None
    for part in path.split("."):
        if part != "*":
            field = owner.model_fields[part]
        candidates = [field.annotation, *get_args(field.annotation)]
        owner = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return field


@selected(Setting)
def test_settings_are_fields_of_the_params_file_with_that_default(selector):
    field = field_of(selector.setting)
    if "default" not in selector.model_fields_set:
        assert field.is_required()
        return
    default = field.get_default(call_default_factory=True)
    default = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
    assert (list(default) if isinstance(default, tuple) else default) == selector.default
    assert selector.other != selector.default
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    *outer, last = selector.setting.split(".")
    section = content
    for part in outer:
        section = section.setdefault(part, {})
    section[last] = selector.other
    Params.model_validate(content)


@selected(RecipeField)
def test_recipes_have_the_values_of_the_file(selector):
    assert {name.split()[1] for name in selector.values} == {"lavt", "rmsin", "mafn"}
    for name, value in selector.values.items():
        found = getattr(find_recipe(*name.split()), selector.recipe)
        assert (list(found) if isinstance(found, tuple) else found) == value, name


@selected(Function)
def test_functions_have_the_parameter_with_that_default(selector):
    module, _, name = selector.function.rpartition(".")
    assert inspect.signature(getattr(importlib.import_module(module), name)).parameters[
        selector.parameter
    ].default == (selector.default)


@pytest.mark.parametrize("one", [one for one in SWITCHES if one.effect], ids=lambda one: one.key)
def test_an_effect_is_quoted_from_its_source(one):
    assert one.effect.quote in (ROOT / one.effect.source).read_text(encoding="utf-8")


def test_models_are_registered_and_every_group_has_switches():
    assert {model for one in SWITCHES for model in one.models} <= set(list_models())
    assert {one.group for one in SWITCHES} == set(GROUPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["switches"][0].pop("paper"), r"switches\.0\.paper: Field required"),
        (lambda c: c["switches"][0].update(group="taste"), r"switches\.0\.group"),
        (lambda c: c["switches"][1].update(key=c["switches"][0]["key"]), "occurs twice"),
        (lambda c: c["switches"][0].update(effect={"text": "large"}), r"effect\.source: Field required"),
        (lambda c: c.update(schema_version=2), "schema_version"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "fidelity.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(HarnessError, match=message):
        read_switches(path)


# what this report used ------------------------------------------------------------------------------------------------


def test_the_published_profile_departs_nowhere():
    params = load_params(ROOT / "profiles" / "rrsisd" / "params.yaml")
    rows = [used_here(one, params) for one in SWITCHES]
    assert [row.switch.key for row in rows if row.departs] == []
    assert "by the recipe “released”" in departures(rows, params.training.recipe)
    assert f"all {len(SWITCHES)} switches stand at their defaults" in departures(rows, "released")
    assert used_here(switch("loss-group"), params).used == ("8 (LAVT, MAFN), 2 (RMSIN)",)
    kernels = used_here(switch("kernels"), params).used[0]
    assert "[1] (mafn-k1)" in kernels  # an ablation is listed and does not depart


def test_the_embedded_profile_names_its_departures(params):
    rows = {one.key: used_here(one, params) for one in SWITCHES}
    departing = {key for key, row in rows.items() if row.departs}
    assert {"loss", "learning-rate", "epochs", "pretrained", "image-size", "black-boxes"} <= departing
    assert not {"decoder-input", "schedule", "protocol"} & departing
    assert rows["learning-rate"].used == (
        "setting training.learning_rate: 0.0012",
        "learning_rate in effect: 0.0012",
    )
    assert rows["pretrained"].used == ("false, from scratch",)
    assert rows["seeds"].used == ("0, 1",)


def test_the_papers_reading_and_its_recipe_are_told(params):
    variants = dict(params.variants)
    full = variants["mafn-full"]
    variants["mafn-full"] = full.model_copy(update={"options": {"fidelity": "paper"}})
    training = params.training.model_copy(update={"recipe": "paper"})
    changed = params.model_copy(update={"variants": variants, "training": training})
    row = used_here(switch("decoder-input"), changed)
    assert row.departs
    assert row.used[0].startswith("paper (mafn-full), released (")
    group = used_here(switch("loss-group"), changed)
    assert group.departs
    assert "4 (MAFN)" in group.used[0]
    assert "cannot be told" in group.used[0]  # LAVT has no recipe of that name


def test_values_read_as_in_the_params_file():
    assert value_text(None, "the recipe's") == "the recipe's"
    assert value_text(3e-5) == "3e-5"
    assert value_text([1, 3]) == "[1, 3]"
    assert value_text((True, None)) == "[true, not set]"


def test_the_page_shows_every_switch_and_what_was_used(page):
    section = page[page.index('<section id="fidelity"') :].partition("</section>")[0]
    used = dict(re.findall(r'data-used="([\w-]+)">(.*?)</td>', section))
    assert used.keys() == {one.key for one in SWITCHES}
    assert used["image-size"] == "<strong>departs</strong>: 48"
    assert used["decoder-input"] == "released"
    assert section.count("not measured</td>") == sum(one.effect is None for one in SWITCHES)


# parity ---------------------------------------------------------------------------------------------------------------

RECORD = """
import pytest

@pytest.mark.parametrize("name", ["lavt", "mafn"])
def test_outputs(name, record_parity):
    record_parity(name, "float64", {"text": 1e-15, "logits": 2.3e-11}, 1e-8)
    assert name != "FAILS"
"""


def record(folder: Path, test: str, *arguments: str) -> Path:
    """Run pytest with the golden tests' own conftest on another test."""
    (folder / "conftest.py").write_text(
        (ROOT / "tests" / "golden" / "conftest.py").read_text(encoding="utf-8")
    )
    (folder / "test_outputs.py").write_text(test)
    path = folder / "parity.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    subprocess.run(
        [*command, str(folder), "--parity-report", str(path), *arguments], capture_output=True, check=False
    )
    return path


def with_parity(params, path):
    return params.model_copy(update={"report": params.report.model_copy(update={"parity": path})})


def test_what_the_golden_tests_record_is_what_the_report_shows(tmp_path, params, render_section):
    path = record(tmp_path, RECORD)
    found, problem = read_parity(path)
    assert problem is None
    assert found.networks["mafn"]["float64"].largest == 2.3e-11
    assert found.networks["mafn"]["float64"].worst == "logits"
    assert found.versions["torch"]
    shown = re.findall(
        r'data-parity="([^"]*)">([^<]*)<', render_section(with_parity(params, path), "fidelity")
    )
    assert shown == [("lavt/float64", "2.3e-11"), ("mafn/float64", "2.3e-11")]


def test_nothing_is_recorded_of_a_failed_comparison(tmp_path):
    assert not record(tmp_path, RECORD.replace("FAILS", "mafn")).exists()


def test_a_missing_or_damaged_record_is_stated(params, tmp_path, render_section):
    page = render_section(with_parity(params, tmp_path / "nowhere.json"), "fidelity")
    assert "Parity with the released networks was not recorded" in page
    assert "data-parity" not in page
    damaged = tmp_path / "parity.json"
    damaged.write_text("{")
    assert "cannot be read as JSON" in read_parity(damaged)[1]
    damaged.write_text(json.dumps({"schema_version": 9, "setting": "", "versions": {}, "networks": {}}))
    assert "schema_version" in read_parity(damaged)[1]


COMMITTED = ROOT / Report.model_fields["parity"].default


def test_the_committed_record_is_of_these_networks_and_limits():
    source = (ROOT / "tests" / "golden" / "test_parity.py").read_text(encoding="utf-8")
    limits = dict(re.findall(r"torch\.(float\d+): ([\de-]+)", source))
    found, problem = read_parity(COMMITTED)
    assert problem is None
    assert found.networks.keys() == set(re.findall(r'^    "(\w+)": \("\w+", \{', source, re.MULTILINE))
    for precisions in found.networks.values():
        assert {name: one.limit for name, one in precisions.items()} == {
            name: float(limit) for name, limit in limits.items()
        }
        assert all(one.largest <= one.limit for one in precisions.values())
