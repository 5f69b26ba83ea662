import io

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as reference
from PIL import Image
from pycocotools import mask as coco_mask

from harness.config import BlackBoxes
from harness.data.dataset import ExpressionDataset, normalize, open_dataset, paint_black_boxes
from harness.data.prepare import open_split
from harness.data.text import tokenizer_file


def boxed_dataset(params, seed=0, share=0.2):
    return ExpressionDataset(
        params.split_file("train"),
        tokenizer_file(params),
        image_size=64,
        max_tokens=20,
        black_boxes=BlackBoxes(size=4, share=share),
        seed=seed,
    )


@pytest.mark.parametrize("size", [32, 64, 96])
def test_the_transform_is_the_released_one(prepared, size):
    """PIL bilinear (masks nearest), to tensor, ImageNet's mean and deviation, written out plainly."""
    dataset = ExpressionDataset(
        prepared.split_file("val"), tokenizer_file(prepared), image_size=size, max_tokens=20
    )
    for row, stored in enumerate(open_split(prepared.split_file("val")).to_pylist()):
        image = Image.open(io.BytesIO(stored["image"])).convert("RGB")
        mask = Image.fromarray(coco_mask.decode({"size": [64, 64], "counts": stored["mask_counts"].encode()}))
        resized = reference.resize(image, [size, size], Image.Resampling.BILINEAR)
        expected = reference.normalize(
            reference.to_tensor(resized), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
        )
        sample = dataset[row]
        torch.testing.assert_close(normalize(sample["image"][None])[0], expected, atol=1e-6, rtol=0)
        expected_mask = np.array(mask.resize((size, size), Image.Resampling.NEAREST))
        assert np.array_equal(sample["mask"].numpy(), expected_mask)


def test_a_fifth_of_the_train_images_gets_black_boxes_anew_every_epoch(prepared):
    plain = open_dataset(prepared, "train")
    boxed = boxed_dataset(prepared)
    assert boxed.boxed.sum() == round(0.2 * len(boxed))
    first = [boxed[row]["image"] for row in range(len(boxed))]
    for row, image in enumerate(first):
        assert torch.equal(image, plain[row]["image"]) != boxed.boxed[row]
        assert torch.equal(boxed[row]["mask"], plain[row]["mask"])
    again = boxed_dataset(prepared)
    assert all(torch.equal(again[row]["image"], image) for row, image in enumerate(first))
    boxed.set_epoch(1)
    row = int(np.flatnonzero(boxed.boxed)[0])
    assert not torch.equal(boxed[row]["image"], first[row])
    assert not np.array_equal(boxed_dataset(prepared, seed=1).boxed, boxed.boxed)


def test_black_boxes_are_squares_of_the_stated_number_and_size():
    white = Image.new("RGB", (800, 800), "white")
    for seed in range(5):
        painted = np.array(
            paint_black_boxes(white, BlackBoxes(count=(20, 60), size=32), np.random.default_rng(seed))
        )
        black = (painted == 0).all(-1)
        assert 20 * 32**2 * 0.5 < black.sum() <= 60 * 32**2
        assert set(np.unique(painted)) == {0, 255}
    one = np.array(paint_black_boxes(white, BlackBoxes(count=(1, 1), size=32), np.random.default_rng(0)))
    ys, xs = np.nonzero((one == 0).all(-1))
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1, len(ys)) == (32, 32, 32 * 32)
    assert (np.array(white) == 255).all(), "the image that was passed in is unchanged"


def test_native_sizes_are_kept(prepared):
    dataset = ExpressionDataset(
        prepared.split_file("test"), tokenizer_file(prepared), image_size=32, max_tokens=20
    )
    assert dataset.native_mask(0).shape == (64, 64)
    assert dataset.native_image(0).size == (64, 64)
    assert dataset[0]["image"].shape == (3, 32, 32)
