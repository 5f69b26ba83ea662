import json
from dataclasses import asdict

import pytest
from toy import toy_params

from harness.errors import HarnessError
from harness.training.plan import make_plan, resolve_recipe
from harness.training.publish import place_in_line


def profile(folder, **training):
    params = toy_params(folder)
    return params.model_copy(update={"training": params.training.model_copy(update=training)})


def plan(params, run="mafn-full-s0", rows=100, world=1):
    return make_plan(params, run, resolve_recipe(params, run), rows=rows, world=world)


def test_the_profile_departs_from_the_recipe_where_it_says_so(tmp_path):
    own = resolve_recipe(profile(tmp_path, recipe="released"), "lavt-full-s0")
    assert (own.batch_size, own.epochs, own.learning_rate) == (8, 1, 1.2e-3)
    released = profile(tmp_path, recipe="released", batch_size=None, epochs=None, learning_rate=None)
    assert (
        vars(resolve_recipe(released, "lavt-full-s0")).items()
        >= {"batch_size": 32, "epochs": 40, "learning_rate": 5e-5}.items()
    )


def test_steps_drop_the_last_smaller_batch(tmp_path):
    made = plan(profile(tmp_path, epochs=3), rows=31)
    assert (made.steps_an_epoch, made.steps) == (3, 9)


@pytest.mark.parametrize(
    ("world", "micro_batch", "share", "taken"),
    [
        (1, None, 16, 16),
        (2, None, 8, 8),
        (1, 8, 16, 8),
        (2, 16, 8, 8),
        (4, 3, 4, 2),
        (16, None, 1, 1),
        (1, 5, 16, 4),
    ],
)
def test_a_process_takes_what_divides_its_share(tmp_path, world, micro_batch, share, taken):
    made = plan(profile(tmp_path, batch_size=16, micro_batch=micro_batch), world=world)
    assert (made.share, made.micro_batch) == (share, taken)


def test_processes_that_do_not_divide_the_batch_are_refused(tmp_path):
    with pytest.raises(
        HarnessError, match="16 samples does not divide among 3 processes; start one of 1, 2, 4, 8, 16"
    ):
        plan(profile(tmp_path, batch_size=16), world=3)


def finished(params, name, seconds, **recipe):
    record = {
        "model": name.partition("-")[0],
        "seconds": seconds,
        "recipe": asdict(resolve_recipe(params, name)) | recipe,
    }
    path = params.run_dir(name) / "provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def test_the_time_left_is_told_from_networks_of_the_same_model_and_recipe(tmp_path):
    params = profile(tmp_path)
    kept = ("lavt-full-s0", "mafn-full-s0", "mafn-full-s1")
    params = params.model_copy(update={"runs": {name: params.runs[name] for name in kept}})
    params.split_file("train").parent.mkdir(parents=True)
    params.split_file("train").touch()
    assert place_in_line(params, "mafn-full-s0") == "network 1 of 3"
    finished(params, "lavt-full-s0", 100)
    assert place_in_line(params, "mafn-full-s0") == "network 2 of 3", "nothing is known of MAFN"
    finished(params, "mafn-full-s0", 60)
    assert place_in_line(params, "mafn-full-s1") == "network 3 of 3, about 1:00 of training left in all"
    finished(params, "mafn-full-s0", 60, epochs=7)
    assert place_in_line(params, "mafn-full-s1") == "network 3 of 3", "the epochs were others"
