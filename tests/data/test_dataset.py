import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
import torch
import torchvision.transforms.functional as reference
from PIL import Image
from pycocotools import mask as coco_mask

from harness.config import BlackBoxes
from harness.data.dataset import ExpressionDataset, normalize, open_dataset, paint_black_boxes
from harness.data.prepare import SCHEMA, SCHEMA_KEY, SCHEMA_VERSION
from harness.data.text import load_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.evaluation import Identity, evaluate


def boxed_dataset(params, seed=0, share=0.2):
    return ExpressionDataset(
        params.split_file("train"),
        load_tokenizer(tokenizer_file(params)),
        image_size=64,
        max_tokens=20,
        black_boxes=BlackBoxes(size=4, share=share),
        seed=seed,
    )


def photograph(width, height):
    """Smooth colours and noise, as in a picture from the air."""
    rng = np.random.default_rng(width * height)
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 80, width))[..., None]
    return Image.fromarray((ramp + rng.integers(0, 56, (height, width, 3))).astype(np.uint8))


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def hand_made(folder, params, samples, image_size):
    """A prepared split of (image file, mask) pairs."""
    rows = []
    for number, (image, mask) in enumerate(samples):
        rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        row = dict.fromkeys(("image_id", "ref_id", "ann_id", "sent_id", "cluster_id", "category_id"), number)
        row |= {"split": "val", "category": "ship", "sentence": "the ship", "file_name": f"{number:05}.jpg"}
        row |= {"image": image, "mask_counts": rle["counts"].decode()}
        rows.append(row | {"height": mask.shape[0], "width": mask.shape[1]})
    metadata = {SCHEMA_KEY: json.dumps({"version": SCHEMA_VERSION, "dataset": "hand-made"})}
    schema = SCHEMA.with_metadata(metadata)
    path = folder / "val.arrow"
    with pa.ipc.new_file(str(path), schema) as writer:
        writer.write(pa.RecordBatch.from_pylist(rows, schema))
    return ExpressionDataset(
        path, load_tokenizer(tokenizer_file(params)), image_size=image_size, max_tokens=20
    )


def assert_as_released(dataset, row):
    """PIL bilinear (masks nearest), to tensor, ImageNet's mean and deviation, written out plainly."""
    stored = {name: dataset.table[name][row].as_py() for name in ("image", "height", "width", "mask_counts")}
    size = dataset.image_size
    image = Image.open(io.BytesIO(stored["image"])).convert("RGB")
    resized = reference.resize(image, [size, size], reference.InterpolationMode.BILINEAR)
    expected = reference.normalize(
        reference.to_tensor(resized), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
    )
    rle = {"size": [stored["height"], stored["width"]], "counts": stored["mask_counts"].encode()}
    mask = Image.fromarray(coco_mask.decode(rle))
    sample = dataset[row]
    torch.testing.assert_close(normalize(sample["image"][None])[0], expected, atol=1e-6, rtol=0)
    assert sample["mask"].dtype == torch.uint8
    expected_mask = np.array(mask.resize((size, size), Image.Resampling.NEAREST))
    assert np.array_equal(sample["mask"].numpy(), expected_mask)


@pytest.mark.parametrize("size", [32, 64, 96, 101])
def test_the_transform_is_the_released_one(prepared, size):
    dataset = ExpressionDataset(
        prepared.split_file("val"), load_tokenizer(tokenizer_file(prepared)), image_size=size, max_tokens=20
    )
    for row in range(len(dataset)):
        assert_as_released(dataset, row)


@pytest.mark.parametrize("image_size", [480, 97])
def test_the_transform_is_the_released_one_for_every_size_and_kind_of_image(prepared, tmp_path, image_size):
    square, odd = photograph(800, 800), photograph(333, 801)
    images = [
        encoded(square, "JPEG", quality=90),
        encoded(odd, "JPEG"),
        encoded(odd.convert("L"), "JPEG"),
        encoded(odd.convert("CMYK"), "JPEG"),
        encoded(square.convert("L"), "PNG"),
        encoded(odd.quantize(64), "PNG"),
        encoded(odd.quantize(64), "PNG", transparency=3),
        encoded(odd.convert("RGBA"), "PNG"),
        encoded(odd.convert("LA"), "PNG"),
        encoded(odd, "PNG", transparency=(10, 10, 10)),
        encoded(odd.convert("1"), "TIFF"),
        encoded(Image.fromarray(np.arange(90 * 70, dtype=np.uint16).reshape(90, 70)), "PNG"),
        encoded(photograph(512, 512), "TIFF"),
        encoded(photograph(image_size, image_size), "TIFF", compression="tiff_lzw"),
        encoded(photograph(1, 1), "PNG"),
    ]
    rng = np.random.default_rng(0)
    sizes = [(800, 800), (801, 333), (90, 120), (image_size, image_size), (1, 1)]
    samples = [(image, rng.random(sizes[n % len(sizes)]) < 0.4) for n, image in enumerate(images)]
    dataset = hand_made(tmp_path, prepared, samples, image_size)
    for row in range(len(dataset)):
        assert_as_released(dataset, row)


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
        prepared.split_file("test"), load_tokenizer(tokenizer_file(prepared)), image_size=32, max_tokens=20
    )
    assert dataset.native_mask(0).shape == (64, 64)
    assert dataset.native_image(0).size == (64, 64)
    assert dataset[0]["image"].shape == (3, 32, 32)


def test_an_image_and_a_mask_of_different_sizes_keep_them(prepared, tmp_path):
    mask = np.zeros((90, 120), dtype=np.uint8)
    mask[30:75, 24:96] = 1
    dataset = hand_made(tmp_path, prepared, [(encoded(photograph(100, 80), "PNG"), mask)], 64)
    assert dataset.native_image(0).size == (100, 80)
    assert np.array_equal(dataset.native_mask(0), mask)
    assert dataset[0]["mask"].shape == dataset[0]["image"].shape[1:] == (64, 64)
    assert_as_released(dataset, 0)
    logits = torch.zeros(1, 2, 64, 64)
    logits[0, 1, 32:] = 1  # the lower half of the image
    tables, _ = evaluate(
        iter([([0], logits)]), dataset, Identity("mafn", "full", 0, "x"), "val", ["resized", "native"]
    )
    native = tables["native"].iloc[0]
    assert native["mask_area"] == 45 * 72
    # Row 44 of 90 lies at (44 + 1/2) * 64 / 90 - 1/2 = 31.1 of 64, between the halves: the first with an object logit.
    assert native["intersection"] == (75 - 44) * 72
    assert native["union"] == (90 - 44) * 120 + (44 - 30) * 72
    assert tables["resized"].iloc[0]["mask_area"] == dataset.resized_mask(0).sum()


def test_a_pickled_dataset_carries_no_images_and_gives_the_same_samples(prepared):
    dataset = boxed_dataset(prepared, share=0.5)
    dataset.set_epoch(3)
    content = pickle.dumps(dataset)
    assert len(content) < prepared.split_file("train").stat().st_size / 2
    again = pickle.loads(content)
    assert len(again) == len(dataset)
    for row in range(len(dataset)):
        first, second = dataset[row], again[row]
        assert all(torch.equal(first[name], second[name]) for name in first if name != "index")


@pytest.mark.parametrize("damage", ["no image", "cut off", "no data"])
def test_an_image_that_cannot_be_decoded_is_named(prepared, tmp_path, damage):
    whole = encoded(photograph(64, 64), "PNG")
    image = {"no image": b"<html>", "cut off": whole[:-200], "no data": b""}[damage]
    dataset = hand_made(tmp_path, prepared, [(image, np.ones((64, 64)))], 64)
    with pytest.raises(
        HarnessError, match=r"00000\.jpg in .*val\.arrow cannot be decoded \(.+\); put a sound"
    ):
        dataset[0]
