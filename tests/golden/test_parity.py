"""The networks compute what the released ones compute: recorded outputs of the public code, in float64.

The fixtures hold outputs at Swin-B, 480 pixels, two images, eval mode. Weights and image follow a formula, so both
sides make the same tensors from their official names alone. `<name>_state_dict.json`: every official floating-point
tensor and its shape; `<name>_seed0.npz`: the sentence and samples of the outputs along the network.
"""

import argparse
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.models import create_model
from harness.training.checkpoint import load_checkpoint
from harness.weights import convert_file, load_official

HERE = Path(__file__).parent
# With these untrained weights float32 is off by up to 3e-3, in the released code, too.
TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-2}

NETWORKS = {
    "lavt": ("lavt", {}),
    "rmsin": ("rmsin", {}),
    "mafn": ("mafn", {}),
    "mafn_k1357": ("mafn", {"kernels": (1, 3, 5, 7)}),
}


def uniform(key: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """SplitMix64 of the elements' row-major indices, offset by the name's checksum, in [-1, 1)."""
    u64 = np.uint64
    with np.errstate(over="ignore"):
        z = np.arange(1, np.prod(shape, dtype=int) + 1, dtype=u64) * u64(0x9E3779B97F4A7C15)
        z += u64((zlib.crc32(key.encode()) << 32) + seed)
        z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
        z ^= z >> u64(31)
    return (2 * (z >> u64(11)).astype(np.float64) * 2.0**-53 - 1).reshape(shape)


def golden_tensor(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    u = uniform(key, shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "running_var":
        u = 1 + 0.5 * u
    elif leaf == "running_mean":
        u = 0.1 * u
    elif len(shape) <= 1:
        u = 1 + 0.1 * u if leaf == "weight" else 0.1 * u
    else:
        u = u * np.sqrt(3 / np.prod(shape[1:]))
    return torch.from_numpy(u)


def golden_state_dict(name: str) -> dict[str, torch.Tensor]:
    shapes = json.loads((HERE / f"{name}_state_dict.json").read_text())
    return {key: golden_tensor(key, tuple(shape)) for key, shape in shapes.items()}


def relative_error(ours: torch.Tensor, golden: np.ndarray) -> float:
    """L2 of the difference over L2 of the recorded array around its mean, so that no constant hides anything."""
    return float(np.linalg.norm(ours.numpy() - golden) / np.linalg.norm(golden - golden.mean()))


@pytest.mark.big
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=["float64", "float32"])
def test_released_outputs(
    name: str,
    dtype: torch.dtype,
    tmp_path: Path,
    record_parity: Callable[[str, str, dict[str, float], float], None],
) -> None:
    model_name, options = NETWORKS[name]
    golden = np.load(HERE / f"{name}_seed0.npz")
    model = create_model(model_name, preset="swin-b", image_size=480, **options).to(dtype).eval()
    if dtype == torch.float64:
        load_official(model, golden_state_dict(name))
    else:  # by way of files, as a user does it
        state = {key: tensor.to(dtype) for key, tensor in golden_state_dict(name).items()}
        torch.save({"model": state, "epoch": 39, "args": argparse.Namespace(lr=3e-5)}, tmp_path / "in.pth")
        del state
        converted = convert_file(model_name, tmp_path / "in.pth", tmp_path / "out.safetensors")
        assert tuple(converted.options.get("kernels", (1, 3, 5))) == options.get("kernels", (1, 3, 5))
        load_checkpoint(model, tmp_path / "out.safetensors")
        for file in tmp_path.iterdir():
            file.unlink()
    image = 2 * torch.from_numpy(uniform("image", (2, 3, 480, 480))).to(dtype)
    input_ids, attention_mask = (torch.from_numpy(golden[key]) for key in ("input_ids", "attention_mask"))

    with torch.inference_mode():
        words = model.text_encoder(input_ids, attention_mask=attention_mask).last_hidden_state
        features = model.backbone(image, words, attention_mask)
        decoded = model.classifier(features)
        logits = F.interpolate(decoded, size=(480, 480), mode="bilinear", align_corners=True)

    errors = {"text": relative_error(words[..., ::96], golden["text"])}
    for stage, feature in enumerate(features, 1):
        _, channels, height, width = feature.shape
        sample = feature[:, :: channels // 16, :: height // 15, :: width // 15]
        errors[f"feature{stage}"] = relative_error(sample, golden[f"feature{stage}"])
    errors["decoder_logits"] = relative_error(decoded[..., ::4, ::4], golden["decoder_logits"])
    errors["logits"] = relative_error(logits[..., ::16, ::16], golden["logits"])
    print(name, {key: f"{error:.1e}" for key, error in errors.items()})
    assert max(errors.values()) <= TOLERANCES[dtype], errors
    foreground = (logits[:, 1] > logits[:, 0]).sum(dim=(1, 2))
    if dtype == torch.float64:
        assert foreground.tolist() == golden["foreground"].tolist()
    record_parity(name, str(dtype).removeprefix("torch."), errors, TOLERANCES[dtype])
