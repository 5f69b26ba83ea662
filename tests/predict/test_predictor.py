"""`Predictor`: what evaluation computes, for any image."""

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from predict_inputs import RUN, SENTENCE, shift
from torch import nn

from harness.config import Params
from harness.data.dataset import open_dataset
from harness.data.text import load_tokenizer, tokenizer_file
from harness.errors import HarnessError
from harness.evaluation import predict
from harness.predicting import Predictor
from harness.scoring import native_prediction
from harness.training.checkpoint import describe_network, save_checkpoint


def test_masks_are_those_of_the_protocol_native(
    predictor: Predictor, network: nn.Module, prepared: Params
) -> None:
    test = open_dataset(prepared, "test")
    pairs = [(test.native_image(row), test.sentences[row]) for row in range(len(test))]
    found = list(predictor.predict(pairs, batch_size=3))
    batches = predict(network, test, 3, torch.device("cpu"))
    logits = torch.cat([logits for _, logits in batches])
    assert len(found) == len(test) == len(logits) > 3
    for (image, _), one, sample in zip(pairs, found, logits, strict=True):
        assert np.array_equal(one.mask, native_prediction(sample, image.height, image.width))
    assert 0 < sum(one.area for one in found) < sum(one.mask.size for one in found)


def test_what_a_prediction_says_of_its_mask(predictor: Predictor, scene: Image.Image) -> None:
    found = predictor(scene, SENTENCE)
    assert found.mask.shape == found.probability.shape == (100, 150)
    assert (found.mask.dtype, found.probability.dtype) == (bool, np.float32)
    assert np.array_equal(found.mask, found.probability > 0.5)
    assert 0 < found.area == found.mask.sum() < 15_000
    assert found.share == found.area / 15_000
    x, y, width, height = found.box
    assert found.mask[y : y + height, x : x + width].sum() == found.area
    for smaller in (np.s_[y + 1 : y + height], np.s_[y : y + height - 1]):
        assert found.mask[smaller].sum() < found.area
    for smaller in (np.s_[:, x + 1 : x + width], np.s_[:, x : x + width - 1]):
        assert found.mask[smaller].sum() < found.area
    assert found.confidence == pytest.approx(found.probability[found.mask].mean(dtype=float), abs=1e-12)
    assert (found.read, found.truncated) == (SENTENCE, False)


def test_the_probability_is_the_softmax_of_the_logits(predictor: Predictor, scene: Image.Image) -> None:
    side = predictor.image_size
    image = scene.resize((side, side))
    logits = predictor._logits([image], [predictor.read(SENTENCE)])[0]
    found = predictor(image, SENTENCE)
    np.testing.assert_allclose(found.probability, logits.softmax(0)[1].numpy(), atol=1e-6)


def test_an_image_may_be_a_file_an_array_or_pillows(
    predictor: Predictor, scene: Image.Image, image: Path
) -> None:
    expected = predictor(scene, SENTENCE)
    for same in (image, str(image), np.asarray(scene)):
        assert np.array_equal(predictor(same, SENTENCE).probability, expected.probability)
    grey = scene.convert("L")
    as_array, as_rgb = predictor(np.asarray(grey), SENTENCE), predictor(grey.convert("RGB"), SENTENCE)
    assert np.array_equal(as_array.mask, as_rgb.mask)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_image(predictor: Predictor, array: np.ndarray) -> None:
    with pytest.raises(HarnessError, match=r"uint8 of shape \(H, W, 3\)"):
        predictor(array, SENTENCE)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (900, 2)])
def test_the_smallest_and_thinnest_images(predictor: Predictor, size: tuple[int, int]) -> None:
    found = predictor(Image.new("RGB", size, "red"), SENTENCE)
    assert found.mask.shape == size[::-1]
    assert np.isfinite(found.probability).all()


def test_images_of_any_size_and_order_in_one_batch(predictor: Predictor, scene: Image.Image) -> None:
    pairs = [(scene, SENTENCE), (scene.resize((64, 64)), "a tree"), (scene.crop((0, 0, 40, 90)), SENTENCE)]
    for one, (image, sentence) in zip(predictor.predict(pairs, batch_size=2), pairs, strict=True):
        alone = predictor(image, sentence)
        assert one.sentence == sentence
        assert one.mask.shape == alone.mask.shape
        np.testing.assert_allclose(one.probability, alone.probability, atol=1e-5)


def test_a_blind_network_finds_nothing(blind: Path, scene: Image.Image) -> None:
    found = Predictor(blind)(scene, SENTENCE)
    assert (found.area, found.share, found.box, found.confidence) == (0, 0, None, None)


def test_the_sentence_makes_a_difference(predictor: Predictor, scene: Image.Image) -> None:
    a, b = predictor(scene, SENTENCE), predictor(scene, "a large tree")
    assert not np.array_equal(a.probability, b.probability)


def test_a_sentence_of_200_words_is_cut_as_in_training(predictor: Predictor, scene: Image.Image) -> None:
    words = f"{SENTENCE} and " * 25
    assert len(words.split()) == 200
    found = predictor(scene, words)
    assert found.truncated
    assert words.startswith(found.read)
    tokens = predictor.tokenizer.encode(words).tokens
    kept = predictor.tokenizer.encode(found.read).tokens[:-1]  # without [SEP], which the cut takes as well
    assert kept == tokens[: predictor.opened.max_tokens]
    same = predictor(scene, found.read)
    assert np.array_equal(same.probability, found.probability)


def test_words_are_missing_only_from_the_limit_on(predictor: Predictor) -> None:
    most = predictor.opened.max_tokens
    lengths = range(most - 3, most + 1)  # in words of one token; [CLS] and [SEP] come on top
    read = [predictor.read(" ".join(["a"] * length)) for length in lengths]
    assert [one.truncated for one in read] == [False, False, False, True]
    assert [len(one.read.split()) for one in read] == [most - 3, most - 2, most - 1, most - 1]
    assert all(a.attention_mask.sum() <= b.attention_mask.sum() for a, b in pairwise(read))


@pytest.mark.parametrize("sentence", ["", "   ", "\u200b\x00"])
def test_a_sentence_without_words(predictor: Predictor, scene: Image.Image, sentence: str) -> None:
    with pytest.raises(HarnessError, match="has no word"):
        predictor(scene, sentence)


def test_a_sentence_that_is_not_utf8(predictor: Predictor, scene: Image.Image) -> None:
    with pytest.raises(HarnessError, match="is no text"):
        predictor(scene, "a \udcff ship")


def test_weights_without_a_tokenizer_take_one_that_fits(
    network: nn.Module, prepared: Params, weights: Path, scene: Image.Image, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.safetensors"
    description = describe_network(prepared, RUN)
    del description["tokenizer"]
    save_checkpoint(network, bare, description)
    own = load_tokenizer(tokenizer_file(prepared))
    own.enable_truncation(2)  # as a file from elsewhere may have it
    found = Predictor(bare, tokenizer=own)(scene, SENTENCE)
    assert np.array_equal(found.probability, Predictor(weights)(scene, SENTENCE).probability)
    with pytest.raises(
        HarnessError, match=r"holds no tokenizer.*--tokenizer FOLDER; tokenizer= in Python"
    ) as error:
        Predictor(bare, tokenizer=str(tmp_path / "nothing"))
    assert "params.yaml" not in str(error.value)
    own.add_tokens(["another"])
    with pytest.raises(HarnessError, match="word pieces"):
        Predictor(bare, tokenizer=own)
    with pytest.raises(HarnessError, match="tokenizer of its own"):
        Predictor(weights, tokenizer=own)


def test_damaged_weights_do_not_pass_for_nothing_found(
    network: nn.Module, prepared: Params, scene: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "nan.safetensors"
    broken = copy.deepcopy(network)
    shift(broken, torch.nan)
    save_checkpoint(broken, path, describe_network(prepared, RUN))
    with pytest.raises(HarnessError, match="not finite"):
        Predictor(path)(scene, SENTENCE)


def test_devices(weights: Path) -> None:
    assert Predictor(weights, device="auto").device.type in ("cpu", "cuda")
    with pytest.raises(HarnessError, match="no device 'gpu'"):
        Predictor(weights, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(HarnessError, match="finds 0 GPUs"):
            Predictor(weights, device="cuda")


def test_another_model_than_asked_for(weights: Path) -> None:
    with pytest.raises(HarnessError, match="holds mafn, not rmsin"):
        Predictor(weights, model="rmsin")
