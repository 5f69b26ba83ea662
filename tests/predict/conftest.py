"""A toy network that finds something, and images to find it in."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from predict_inputs import RUN, Result, shift
from torch import nn

from harness.cli import main
from harness.config import Params
from harness.data.dataset import normalize, open_dataset
from harness.predicting import Predictor
from harness.training.checkpoint import build_network, describe_network, save_checkpoint


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command line in this process: Result of `harness predict ...`."""

    def call(*arguments) -> Result:
        monkeypatch.setattr("sys.argv", ["harness", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def network(prepared: Params) -> nn.Module:
    """Untrained, with the threshold in the middle of what it gives for an image, so that masks are half full."""
    torch.manual_seed(0)
    network = build_network(prepared, prepared.runs[RUN]).eval()
    test = open_dataset(prepared, "test")
    with torch.inference_mode():
        logits = network(normalize(test.resized_image(0))[None], test.input_ids[:1], test.attention_mask[:1])
    shift(network, float((logits[0, 0] - logits[0, 1]).median()))
    return network


@pytest.fixture(scope="session")
def weights(network: nn.Module, prepared: Params, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_checkpoint(network, path, describe_network(prepared, RUN))
    return path


@pytest.fixture(scope="session")
def blind(network: nn.Module, prepared: Params, tmp_path_factory) -> Path:
    """Weights that find nothing anywhere."""
    path = tmp_path_factory.mktemp("weights") / "blind.safetensors"
    other = copy.deepcopy(network)
    shift(other, -1000)
    save_checkpoint(other, path, describe_network(prepared, RUN))
    return path


@pytest.fixture(scope="session")
def predictor(weights: Path) -> Predictor:
    return Predictor(weights)


@pytest.fixture
def scene(tmp_path: Path) -> Image.Image:
    """An image of 150 x 100 pixels, of smooth noise."""
    noise = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((150, 100), Image.Resampling.BICUBIC)


@pytest.fixture
def image(scene: Image.Image, tmp_path: Path) -> Path:
    path = tmp_path / "images" / "scene.png"
    path.parent.mkdir()
    scene.save(path)
    return path
