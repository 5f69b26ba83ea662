import json
import os

import pytest
from click.testing import CliRunner
from small_profile import finish, small_profile
from toy import PROJECT, toy_params

from harness.commands.plan import command
from harness.config import load_params
from harness.errors import HarnessError
from harness.planning.cards import CARDS, find_card
from harness.planning.disk import SAMPLE, data_bytes
from harness.planning.expressions import count_expressions
from harness.planning.plan import plan_profile


@pytest.fixture
def profile(tmp_path):
    return small_profile(tmp_path)


def test_steps_and_images_follow_from_recipe_and_expressions(profile):
    plan = plan_profile(profile)
    work = plan.works["lavt-full"]
    assert plan.expressions == {"train": 28, "val": 4, "test": 8}
    assert (work.plan.steps, work.images) == (3, 24), "one epoch of 28 in batches of 8"
    assert work.evaluated == 4 + 2 * 4 + 3 * 8
    assert plan.seconds is None


def test_hours_follow_from_operations_peak_and_utilisation(profile):
    card = find_card("A100")
    plan = plan_profile(profile, gpus=2, card=card, utilisation=0.5)
    work = plan.works["lavt-full"]
    operations = work.counts.flops * (3 * 24 + work.evaluated)
    assert work.seconds == pytest.approx(operations / (0.5 * 19.5e12))
    assert plan.seconds == pytest.approx(3 * work.seconds)
    assert plan.wall == pytest.approx(2 * work.seconds), "three runs on two GPUs"


def test_finished_runs_are_left_out(profile):
    finish(profile, "lavt-full-s1")
    plan = plan_profile(profile, card=CARDS["a100"])
    assert plan.finished == ("lavt-full-s1",)
    assert plan.pending == ["lavt-full-s0", "lavt-full-s2"]
    assert plan.seconds == pytest.approx(2 * plan.works["lavt-full"].seconds)


def test_a_run_from_before_the_data_was_prepared_anew_is_pending(profile):
    finish(profile, "lavt-full-s1")
    record = profile.run_dir("lavt-full-s1") / "provenance.json"
    os.utime(record, (1, 1))
    prepared = profile.split_file("train")
    prepared.parent.mkdir(parents=True)
    prepared.touch()
    assert plan_profile(profile).finished == ()


def test_expressions_of_the_prepared_splits(prepared):
    counts, source = count_expressions(prepared)
    assert counts == {"train": 28, "val": 4, "test": 8}
    assert source.startswith("prepared")


def test_expressions_of_the_published_set_and_of_none():
    params = load_params(PROJECT / "profiles/rrsisd/params.yaml")
    params = params.model_copy(update={"out": PROJECT / "nowhere"})
    assert count_expressions(params)[0] == {"train": 12181, "val": 1740, "test": 3481}
    data = params.data.model_copy(update={"dataset": "mine"})
    with pytest.raises(HarnessError, match="nobody knows the size of mine before it is read"):
        count_expressions(params.model_copy(update={"data": data}))


def test_disk_is_what_a_sample_makes_of_it(prepared, tmp_path):
    there = data_bytes(prepared)
    drawn = data_bytes(small_profile(tmp_path))
    assert drawn == pytest.approx(there, rel=0.35), f"{SAMPLE} images stand for 40"


def test_unknown_cards_and_precisions():
    with pytest.raises(HarnessError, match="Did you mean 'rtx4090'"):
        find_card("rtx409")
    with pytest.raises(
        HarnessError, match=r"V100 SXM2 32 GB has no bfloat16; set training\.precision to fp16"
    ):
        find_card("v100").peak("bf16")
    assert find_card("RTX 4090") is CARDS["rtx4090"]
    assert find_card("v100").peak("tf32") == find_card("v100").peak("fp32")


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_prints_80_columns_and_writes_json(profile, tmp_path):
    written = tmp_path / "plan.json"
    shown = run("--params", profile.params, "--gpus", 2, "--gpu", "h100", "--json", written)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "to train      3 runs, 9 steps, 72 images" in shown.stdout
    assert "an assumption, not a measurement" in " ".join(shown.stdout.split())
    content = json.loads(written.read_text())
    assert content["pending"] == 3
    assert content["gpu_seconds"] > content["wall_seconds"] > 0
    assert not profile.out.exists(), "a plan makes nothing"


def test_small_numbers_and_what_is_counted_are_shown(profile):
    plan = plan_profile(profile)
    shown = run("--params", profile.params).stdout
    gflop = plan.works["lavt-full"].counts.flops / 1e9
    assert gflop < 1
    assert f" {gflop:.2g} " in shown
    assert "of tensors at most\n              a process without a GPU takes up to 1.5 GB more" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_without_a_card_there_are_no_hours(profile):
    shown = run("--params", profile.params)
    assert "No hours: name a card" in shown.stdout
    assert " time " not in shown.stdout.replace("\n", " ")


def test_steps_are_timed_here(profile, monkeypatch, tmp_path):
    monkeypatch.setattr("harness.planning.measuring.SECONDS", 0.1)
    written = tmp_path / "plan.json"
    shown = run("--params", profile.params, "--measure", "--json", written)
    assert shown.exit_code == 0, shown.output
    content = json.loads(written.read_text())
    measured = content["variants"]["lavt-full"]["measured"]
    evaluated = content["variants"]["lavt-full"]["evaluated"]
    assert measured["step"] > 0
    assert content["gpu_seconds"] == pytest.approx(3 * (3 * measured["step"] + evaluated * measured["image"]))


def test_what_is_trained_is_not_timed_again(profile):
    for name in profile.runs:
        finish(profile, name)
    shown = run("--params", profile.params, "--measure")
    assert "3 runs, 3 finished" in shown.stdout
    assert "Nothing to train." in shown.stdout
    assert " time " not in shown.stdout


def test_options_that_do_not_go_together(profile):
    assert "--gpu is for a card that is not here" in run("--measure", "--gpu", "a100").stderr
    assert "name it with --gpu" in run("--utilisation", 0.4).stderr


@pytest.mark.big
def test_the_papers_profile_needs_neither_data_nor_gpu(tmp_path):
    written = tmp_path / "plan.json"
    shown = run(
        "--params", PROJECT / "profiles/rrsisd/params.yaml", "--gpus", 2, "--gpu", "a100", "--json", written
    )
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 80
    content = json.loads(written.read_text())
    mafn = content["variants"]["mafn-full"]
    assert (mafn["steps"], mafn["images"]) == (12181 // 16 * 40, 12181 // 16 * 16 * 40)
    assert mafn["parameters"] == 295_934_759
    assert mafn["flops"] == pytest.approx(622.5e9, rel=0.01)
    # 23.1 GB were measured on an H100 without the gradients of other micro-batches.
    assert mafn["memory"] - 4 * mafn["trained_parameters"] == pytest.approx(23.12e9, rel=0.05)


@pytest.mark.big
def test_toy_profiles_with_many_networks_are_counted_in_other_processes(tmp_path):
    plan = plan_profile(toy_params(tmp_path))
    assert len(plan.works) == 8
    memory = {name: work.counts.memory for name, work in plan.works.items()}
    assert memory["mafn-k1"] < memory["mafn-k13"] < memory["mafn-full"] < memory["mafn-k1357"]
