import pytest
from toy import toy_params

from harness.errors import HarnessError
from harness.training.plan import make_plan, resolve_recipe


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
