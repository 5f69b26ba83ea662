"""The table of the recipes, line by line, and the bullets on data beside it.

Losses are in test_losses.py, decay, frozen layers and schedule in test_optimizer.py.
"""

from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
import torch
from toy import PROJECT

from harness.config import Training, load_params
from harness.data.dataset import ExpressionDataset, black_box_corners, open_dataset, paint_black_boxes
from harness.data.resize import resize_image
from harness.data.text import load_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.models import create_model
from harness.training.losses import segmentation_loss
from harness.training.optimizer import make_optimizer
from harness.training.recipe import find_recipe

COLUMNS = {
    "LAVT released": ("released", "lavt"),
    "RMSIN released": ("released", "rmsin"),
    "MAFN paper": ("paper", "mafn"),
    "MAFN released": ("released", "mafn"),
}


def line(*fields: str) -> list[tuple]:
    """The fields of each column's recipe."""
    recipes = [find_recipe(*column) for column in COLUMNS.values()]
    return [tuple(getattr(recipe, field) for field in fields) for recipe in recipes]


def test_line_loss():
    both = (0.9, 0.1, (0.9, 1.1))
    # The letter states no loss: as released.
    assert line("cross_entropy", "dice", "class_weights") == [(1.0, 0.0, (0.9, 1.1)), both, both, both]


def test_line_train_augmentation():
    assert line("black_boxes") == [(False,), (True,), (True,), (True,)]


def test_line_batch():
    """Samples a step, and those of one GPU, over which the loss is taken."""
    assert line("batch_size", "loss_group") == [(8 * 4, 8), (2 * 4, 2), (8, 8 // 2), (8 * 2, 8)]


def test_line_learning_rate_weight_decay_epochs():
    rest = (3e-5, 1e-2, 40)
    assert line("learning_rate", "weight_decay", "epochs") == [(5e-5, 1e-2, 40), rest, rest, rest]


def test_line_seed():
    assert line("seed") == [(None,), (2401,), (2401,), (2401,)]


def test_common_is_mafns_for_every_model():
    assert len({find_recipe("common", model) for model in ("lavt", "rmsin", "mafn", "another")}) == 1
    assert find_recipe("common", "lavt") == find_recipe("released", "mafn")


def test_paper_is_released_but_for_the_batch():
    """What the letter leaves out takes the released script's value."""
    paper, released = (asdict(find_recipe(name, "mafn")) for name in ("paper", "released"))
    assert {field for field in paper if paper[field] != released[field]} == {"batch_size", "loss_group"}


def test_params_yaml_takes_the_names_of_the_recipes_and_no_others():
    names = get_args(Training.model_fields["recipe"].annotation)
    assert set(names) == {"released", "common", "paper"}
    assert all(find_recipe(name, "mafn").epochs == 40 for name in names)


def test_the_rrsisd_profile_trains_as_released_with_three_seeds_from_the_scripts():
    params = load_params(PROJECT / "profiles/rrsisd/params.yaml")
    assert params.training.recipe == "released"
    assert (params.training.epochs, params.training.batch_size, params.training.learning_rate) == (None,) * 3
    black_boxes = params.training.black_boxes
    assert (black_boxes.share, black_boxes.count, black_boxes.size) == (0.2, (20, 60), 32)
    for variant in params.variants:
        seeds = [run.seed for run in params.runs.values() if run.variant == variant]
        assert seeds == [2401, 2402, 2403]
    assert find_recipe("released", "mafn").seed == seeds[0]


def test_a_recipe_that_there_is_not_is_refused_with_the_way_out():
    with pytest.raises(HarnessError, match=r"'relased' is no recipe\. Did you mean 'released'\?") as caught:
        find_recipe("relased", "mafn")
    assert "released, common, paper" in str(caught.value)
    with pytest.raises(HarnessError, match=r"'lavt' has no 'paper' recipe; mafn has one.*released or common"):
        find_recipe("paper", "lavt")
    with pytest.raises(HarnessError, match=r"unknown model 'mafm'\. Did you mean 'mafn'\?"):
        find_recipe("released", "mafm")


MYNET = '''
import torch

class MyNet(torch.nn.Module):
    """No Swin, no BERT, no no_weight_decay()."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(50, 3)
        self.pixels = torch.nn.Conv2d(3, 2, 1)

    def forward(self, image, input_ids, attention_mask):
        return self.pixels(image + self.words(input_ids).mean(1)[:, :, None, None])

def mynet(preset, image_size, vocab_size=50):
    return MyNet()
'''


def test_a_model_of_another_package_trains_with_common(tmp_path, monkeypatch):
    metadata = tmp_path / "mypackage-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[rrsis_harness.models]\nmynet = mynet_of_a_package:mynet\n")
    (tmp_path / "mynet_of_a_package.py").write_text(MYNET)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HarnessError, match=r"'mynet' has no 'released' recipe.*training\.recipe: common"):
        find_recipe("released", "mynet")

    recipe = find_recipe("common", "mynet")
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = create_model("mynet", image_size=16)
    image = torch.randn(8, 3, 16, 16, generator=generator)
    words = torch.randint(0, 50, (8, 5), generator=generator)
    mask = (image[:, 0] > 1).byte()
    optimizer = make_optimizer(model, recipe, 0.05, pretrained=False)
    losses = []
    for _ in range(20):
        loss = segmentation_loss(model(image, words, torch.ones_like(words)), mask, recipe)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_bullet_black_boxes_a_fifth_of_the_training_refs_chosen_once(prepared):
    params = prepared.model_copy(update={"training": Training()})
    plain, boxed = open_dataset(params, "train"), open_dataset(params, "train", black_boxes=True, seed=2401)
    chosen = []
    for epoch in range(3):
        boxed.set_epoch(epoch)
        rows = [row for row in range(len(plain)) if not torch.equal(boxed[row]["image"], plain[row]["image"])]
        chosen.append({boxed.table["ref_id"][row].as_py() for row in rows})
        assert len(chosen[-1]) == len(rows) == round(0.2 * len(plain))
    assert chosen[0] == chosen[1] == chosen[2]


def test_bullet_black_boxes_are_painted_at_native_size_before_resizing(prepared):
    boxes = Training().black_boxes
    dataset = ExpressionDataset(
        prepared.split_file("train"),
        load_tokenizer(tokenizer_file(prepared)),
        image_size=32,  # of images of 64
        max_tokens=20,
        black_boxes=boxes.model_copy(update={"size": 5}),
        seed=2401,
    )
    for row in np.flatnonzero(dataset.boxed).tolist():
        native = dataset.native_image(row)
        assert native.size == (64, 64)
        rng = np.random.default_rng([2401, 1, 0, row])
        painted = paint_black_boxes(native, boxes.model_copy(update={"size": 5}), rng)
        assert torch.equal(dataset[row]["image"], resize_image(painted, 32))


def test_bullet_black_boxes_are_20_to_60_squares_of_32_pixels():
    boxes = Training().black_boxes
    assert (boxes.share, boxes.count, boxes.size) == (0.2, (20, 60), 32)

    drawn = [black_box_corners(800, 700, boxes, np.random.default_rng(seed)) for seed in range(300)]
    counts = [len(corners) for corners in drawn]
    assert (min(counts), max(counts)) == (20, 60)
    corners = np.concatenate(drawn)
    assert corners.min() == 0
    assert corners.max(axis=0).tolist() == [799, 699]
