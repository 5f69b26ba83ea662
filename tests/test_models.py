"""Properties that every network and every ablation has, at small sizes and in float64 where numbers count."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.models import create_model
from harness.testing import check_model, random_inputs, scatter_weights

VOCABULARY = 60
SIDE = 64  # grids 16, 8, 4 and 2: the last two are smaller than the window of 6

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("lavt", "mafn", "rmsin")},
    "mafn-default": ("mafn", {"correlation_fusion": False, "adaptive_noise": False, "msrc": False}),
    "mafn-fusion": ("mafn", {"adaptive_noise": False, "msrc": False}),
    "mafn-noise": ("mafn", {"msrc": False}),
    "mafn-k1": ("mafn", {"kernels": (1,)}),
    "mafn-k13": ("mafn", {"kernels": (1, 3)}),
    "mafn-k1357": ("mafn", {"kernels": (1, 3, 5, 7)}),
    "mafn-n3": ("mafn", {"rotated_kernels": 3, "expansion": 2}),
    "mafn-paper": ("mafn", {"fidelity": "paper"}),
    "mafn-paper-default": (
        "mafn",
        {"fidelity": "paper", "correlation_fusion": False, "adaptive_noise": False, "msrc": False},
    ),
}
# Networks without a cross-scale interaction take any multiple of 32.
ANY_SIZE = ("lavt", "mafn-paper", "mafn-paper-default")

# Parameters whose gradient is zero in training mode whatever the data, and why.
ZERO_GRADIENTS = {
    "a key's bias shifts all logits of a softmax alike": r"\.fusion\.key\.bias$|\.self\.key\.bias$",
    "an instance norm takes the bias out": r"\.fusion\.(query|value|language)\.bias$",
    "added to every word alike, it passes the pixel-word attention as a constant": (
        r"^text_encoder\.encoder\.layer\.0\.output\.LayerNorm\.bias$"
    ),
    "a batch norm takes the convolution's bias out": (
        r"cross_scale\.(squeeze|expand)\.bias$"
        r"|cross_scale\.gates\.\d\.\w+\.0\.bias$"
        r"|cross_scale\.block\.attention\d\.(stride\d\.0|output|attention\.(local_value|output))\.bias$"
        r"|\.(intra\.parts\.\d|feed_forward)\.(conv1|conv3)\.bias$"
    ),
    "a pointwise convolution carries the norm's bias into a batch norm": (
        r"\.(intra\.parts\.\d|feed_forward)\.bn1\.bias$|cross_scale\.bn\.bias$"
    ),
    "every way from the stage's norm through the cross-scale interaction meets a batch norm": (
        r"^backbone\.norms\.\d\.bias$"
    ),
}


def build(variant: str, **options: Any) -> nn.Module:
    """A variant in float64 with weights far from their start."""
    name, own = VARIANTS[variant]
    sizes = {"image_size": SIDE, "vocab_size": VOCABULARY}
    return scatter_weights(create_model(name, **(sizes | own | options)).double())


@cache
def evaluated(variant: str) -> nn.Module:
    """The variant in evaluation mode, built once for all tests that only run it."""
    return build(variant).eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_at_the_preset(variant: str) -> None:
    name, options = VARIANTS[variant]
    torch.manual_seed(0)
    model = create_model(name, vocab_size=VOCABULARY, **options)
    image, input_ids, attention_mask = random_inputs(2, 96, VOCABULARY)
    for mode in (True, False):
        logits = model.train(mode)(image.float(), input_ids, attention_mask)
        assert logits.shape == (2, 2, 96, 96)
        assert logits.isfinite().all()
        assert logits.std() > 0


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=() if name in ("lavt", "mafn", "rmsin") else pytest.mark.big)
        for name in VARIANTS
    ],
)
def test_conformance(variant: str) -> None:
    name, options = VARIANTS[variant]
    # Without cross-scale interaction the norms' biases meet zero padding, which no norm takes out.
    zero = [p for p in ZERO_GRADIENTS.values() if not (variant in ANY_SIZE and "norms" in p)]
    check_model(name, image_size=SIDE, vocab_size=VOCABULARY, zero_gradients=zero, **options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rectangular_images_of_another_size(variant: str) -> None:
    model = build(variant, image_size=(128, 32)).eval()
    with torch.inference_mode():
        logits = model(*random_inputs(1, (128, 32), VOCABULARY))
    assert logits.shape == (1, 2, 128, 32)
    assert logits.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_image_that_the_network_was_not_built_for(variant: str) -> None:
    model = evaluated(variant)
    inputs = random_inputs(1, (96, 32), VOCABULARY)
    if variant in ANY_SIZE:
        assert model(*inputs).shape == (1, 2, 96, 32)
        with pytest.raises(ValueError, match="100 x 32 pixels; sides must be multiples of 32"):
            model(*random_inputs(1, (100, 32), VOCABULARY))
    else:
        with pytest.raises(ValueError, match=r"96 x 32 pixels, but .* built for 64 x 64"):
            model(*inputs)


def test_default_ablation_is_the_rmsin_graph() -> None:
    rmsin, ablation = evaluated("rmsin"), evaluated("mafn-default")
    assert list(rmsin.state_dict()) == list(ablation.state_dict())
    inputs = random_inputs(1, SIDE, VOCABULARY)
    with torch.inference_mode():
        assert torch.equal(rmsin(*inputs), ablation(*inputs))


def test_drop_path_grows_linearly_over_all_blocks() -> None:
    model = create_model("lavt", vocab_size=VOCABULARY, drop_path=0.7)
    rates = [block.drop_path.rate for stage in model.backbone.layers for block in stage.blocks]
    last = len(rates) - 1
    assert last >= 4
    assert rates == pytest.approx([0.7 * block / last for block in range(last + 1)])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mafm", {}, "Did you mean 'mafn'"),
        ("lavt", {"kernels": (1,)}, "model 'lavt' has no option 'kernels'.*vocab_size"),
        ("mafn", {"adaptive_nose": True}, "Did you mean 'adaptive_noise'"),
        ("mafn", {"preset": "swin-l"}, "unknown preset 'swin-l'; known are swin-b, mini"),
        ("mafn", {}, "'mini' needs vocab_size"),
        ("mafn", {"vocab_size": 60, "image_size": 100}, r"multiple of 32, got \(100, 100\)"),
        ("mafn", {"vocab_size": 60, "kernels": (1, 4)}, r"odd sizes.*\(1, 4\)"),
        ("mafn", {"vocab_size": 60, "kernels": ()}, "one or more"),
        ("rmsin", {"vocab_size": 60, "fidelity": "paper"}, "unknown fidelity 'paper'; known is 'released'"),
        (
            "mafn",
            {"vocab_size": 60, "fidelity": "letter"},
            "unknown fidelity 'letter'; known are 'released', 'p",
        ),
        ("mafn", {"vocab_size": 60, "expansion": 0}, "at least 1, got 1 and 0"),
        ("lavt", {"vocab_size": 60, "drop_path": 1.5}, "drop_path must lie in"),
        ("lavt", {"vocab_size": 0}, "vocab_size must be positive, got 0"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        create_model(name, **options)
