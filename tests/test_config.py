import pytest
import yaml
from toy import PROJECT, toy_params

from harness.config import load_params
from harness.errors import HarnessError


@pytest.mark.parametrize("path", ["params.yaml", "profiles/rrsisd/params.yaml"])
def test_the_committed_profiles_are_valid(path):
    params = load_params(PROJECT / path)
    assert str(params.params) == path
    assert {"lavt-full", "rmsin-full", "mafn-full"} <= set(params.variants)
    rows = [
        variant
        for table in ("table1", "table2", "table3")
        for variant in getattr(params.tables, table).rows.values()
    ]
    assert set(rows) <= {run.variant for run in params.runs.values()}, "a row of a table is never trained"


def test_the_profile_of_seeds_trains_the_embedded_networks_five_times():
    """Seed noise measured on other networks would say nothing of these."""
    embedded, seeds = (load_params(PROJECT / path) for path in ("params.yaml", "profiles/seeds/params.yaml"))
    for section in ("data", "text", "image_size", "preset", "training", "evaluation"):
        assert getattr(seeds, section) == getattr(embedded, section)
    assert seeds.tables.table1 == embedded.tables.table1
    for variant in embedded.tables.table1.rows.values():
        assert seeds.variants[variant] == embedded.variants[variant]
        assert [run.seed for run in seeds.runs.values() if run.variant == variant] == [0, 1, 2, 3, 4]


def test_the_paper_profile_has_every_variant_three_times():
    params = load_params(PROJECT / "profiles/rrsisd/params.yaml")
    assert len(params.runs) == 27
    assert {run.seed for run in params.runs.values()} == {2401, 2402, 2403}


def broken(tmp_path, **changes):
    content = yaml.safe_load((PROJECT / "params.yaml").read_text()) | changes
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(HarnessError) as caught:
        load_params(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_an_unknown_key_is_refused_with_the_closest_one(tmp_path):
    assert "training.epoch: unknown key. Did you mean 'epochs'?" in broken(tmp_path, training={"epoch": 3})
    assert "trainings: unknown key. Did you mean 'training'?" in broken(tmp_path, trainings={})


def test_a_wrong_value_is_named(tmp_path):
    message = broken(tmp_path, training={"epochs": 0})
    assert "training.epochs" in message
    assert "(given: 0)" in message
    assert "image_size" in broken(tmp_path, image_size="large")


def test_names_of_runs_variants_and_rows_must_agree(tmp_path):
    assert "Did you mean 'mafn-full'" in broken(
        tmp_path, runs={"mafn-ful-s0": {"variant": "mafn-ful", "seed": 0}}
    )
    assert "'mafn-full-s1'" in broken(tmp_path, runs={"mafn-full-s0": {"variant": "mafn-full", "seed": 1}})
    assert "<model>-<variant>" in broken(tmp_path, variants={"mafn": {"model": "mafn"}})
    table = {"splits": ["val"], "rows": {"default": "rmsin-fulll"}}
    content = yaml.safe_load((PROJECT / "params.yaml").read_text())["tables"]
    assert "tables.table2" in broken(tmp_path, tables=content | {"table2": table})


@pytest.mark.parametrize("content", ["", "- a list", "a: [unclosed", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(HarnessError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(HarnessError, match="--params"):
        load_params(tmp_path / "none.yaml")


def test_a_run_may_be_called_by_its_short_name(tmp_path):
    params = toy_params(tmp_path)
    assert params.run_name("mafn-s0") == "mafn-full-s0"
    assert params.run_name("mafn-k1-s0") == "mafn-k1-s0"
    with pytest.raises(HarnessError, match="of mafn-full it has mafn-full-s0, mafn-full-s1"):
        params.run_name("mafn-full-s9")
    with pytest.raises(HarnessError, match="Did you mean 'mafn-full-s0'"):
        params.run_name("mafm-full-s0")


def test_a_pretrained_start_is_a_switch_or_names_its_sources(tmp_path):
    def training(value):
        return toy_params(tmp_path, training={"pretrained": value}).training.pretrained

    assert training(False) is None
    assert training(True).bert == "bert-base-uncased"
    assert training({"swin": "weights/swin.pth"}).swin == "weights/swin.pth"
    assert training({"swin": "weights/swin.pth"}).bert == "bert-base-uncased"
    with pytest.raises(HarnessError, match=r"training\.pretrained\.swim: unknown key\. Did you mean 'swin'"):
        training({"swim": "weights/swin.pth"})


def test_a_source_is_exactly_one_place(tmp_path):
    data = yaml.safe_load((PROJECT / "params.yaml").read_text())["data"]
    for wrong in ({}, {"huggingface": "owner/set", "url": "http://a"}, {"hugingface": "owner/set"}):
        assert "data.sources.0" in broken(tmp_path, data=data | {"sources": [wrong]})
    good = load_params(PROJECT / "profiles/rrsisd/params.yaml").data.sources
    assert [source.model_fields_set for source in good] == [{"huggingface"}, {"google_drive"}]


def test_only_kinds_of_defect_can_be_dropped(tmp_path):
    data = yaml.safe_load((PROJECT / "params.yaml").read_text())["data"]
    assert "data.drop.0" in (message := broken(tmp_path, data=data | {"drop": ["empty_masks"]}))
    assert "'empty_masks'" in message


def test_lists_and_mappings_are_named_as_in_yaml(tmp_path):
    data = yaml.safe_load((PROJECT / "params.yaml").read_text())["data"]
    assert "data.drop: expected a list" in broken(tmp_path, data=data | {"drop": "empty_mask"})
    assert "data.sources.0: expected a mapping" in broken(tmp_path, data=data | {"sources": ["http://a"]})


def test_a_set_is_drawn_or_fetched(tmp_path):
    data = yaml.safe_load((PROJECT / "params.yaml").read_text())["data"]
    assert "either drawn (synthetic) or fetched" in broken(
        tmp_path, data=data | {"sources": [{"url": "http://a"}]}
    )


def test_the_home_folder_has_a_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    params = toy_params(tmp_path, data={"dataset": "mine", "root": "~/set", "sources": [{"path": "~/x.zip"}]})
    assert str(params.data.root) == "/home/somebody/set"
    assert str(params.data.sources[0].path) == "/home/somebody/x.zip"


@pytest.mark.parametrize("model", ["tiny_fcn", "tiny-fcn", "Tiny.FCN"])
def test_a_variant_is_named_after_its_model_whatever_another_package_calls_that(tmp_path, model):
    empty = {f"table{number}": {"splits": ["val"], "rows": {}} for number in (1, 2, 3)}
    params = toy_params(tmp_path, variants={"tiny_fcn-full": {"model": model}}, runs={}, tables=empty)
    assert params.variants["tiny_fcn-full"].model == model
    assert "lower case, here tiny_fcn-..." in broken(tmp_path, variants={"TinyFCN-full": {"model": model}})


def test_encoders_of_a_row_that_there_is_not(tmp_path):
    tables = yaml.safe_load((PROJECT / "params.yaml").read_text())["tables"]
    tables["table1"]["encoders"] = {"MAFM": {"visual": "CNN", "text": "words"}}
    assert "encoders: 'MAFM' is no row. Did you mean 'MAFN'?" in broken(tmp_path, tables=tables)


BOMB = "zero: &z0 [lol, lol]\n" + "".join(
    f"level{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("*z11", "its aliases stand for more than"),
        ("&a [*a]", "an anchor contains itself"),
        ("[" * 2000, "more than 50 brackets are open"),
        ("\n   " + "- " * 2000, "nested too deeply"),
        ("2024-13-45", "month must be in 1..12"),
        ('"\\ud800"', "surrogates not allowed"),
        ("!!int x", "cannot be what its form says"),
        ("0x" + "f" * 5000, "a int that cannot be printed"),
        ("!!binary /w==", "sha256"),
        ("x" * 2**20, "more than 524,288 bytes"),
    ],
    ids=[
        "bomb",
        "itself",
        "brackets",
        "deep",
        "date",
        "half a character",
        "number",
        "digits",
        "bytes",
        "long",
    ],
)
def test_values_that_are_a_trap_are_refused(tmp_path, value, words):
    content = (PROJECT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(
        (BOMB if "z11" in value else "") + content.replace("\ndata:\n", f"\ndata:\n  sha256: {value}\n", 1)
    )
    with pytest.raises(HarnessError, match=r"params\.yaml") as caught:
        load_params(path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_options_of_a_variant_are_what_json_can_say(tmp_path):
    options = {"model": "mafn", "options": {"kernels": b"\xff"}}
    assert "variants.mafn-full.options.kernels" in broken(tmp_path, variants={"mafn-full": options})
