"""The collapsed two-key attention against torch's own, called with two keys a token."""

import pytest
import torch
from torch import Tensor, nn

from mafn.adaptive_noise import AdaptiveNoise

C, HEADS = 16, 4


def build() -> AdaptiveNoise:
    torch.manual_seed(0)
    noise = AdaptiveNoise(C, HEADS).double()
    for parameter in noise.parameters():
        nn.init.normal_(parameter, std=0.7)
    return noise


def attend_per_token(noise: AdaptiveNoise, y: Tensor) -> Tensor:
    """y + MHA(y, [y + dk, y*s], [y + dv, y]): every token is a sequence of one query and two keys."""
    attention = nn.MultiheadAttention(C, HEADS, batch_first=True).double()
    state = {
        "in_proj_weight": noise.in_proj_weight,
        "in_proj_bias": noise.in_proj_bias,
        "out_proj.weight": noise.out_proj.weight,
        "out_proj.bias": noise.out_proj.bias,
    }
    tokens = y.flatten(0, -2)
    share = noise.discriminator(tokens).softmax(dim=-1)
    keys = torch.stack([tokens + noise.key_noise[0], tokens * share], dim=1)
    values = torch.stack([tokens + noise.value_noise[0], tokens], dim=1)
    out, _ = torch.func.functional_call(attention, state, (tokens[:, None], keys, values))
    return y + out.view_as(y)


# Fewer and more tokens than channels: two orders of the same product.
@pytest.mark.parametrize("shape", [(2, 3, 1, C), (2, 5, 4, C)])
def test_equals_the_generic_attention(shape: tuple[int, ...]) -> None:
    noise = build()
    y = torch.randn(shape, dtype=torch.double, requires_grad=True)
    ours, generic = noise(y), attend_per_token(noise, y)
    torch.testing.assert_close(ours, generic, rtol=0, atol=1e-10)

    probe = torch.randn(shape, dtype=torch.double)
    inputs = [y, *noise.parameters()]
    for mine, other in zip(
        torch.autograd.grad((ours * probe).sum(), inputs),
        torch.autograd.grad((generic * probe).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)


def test_gradients_of_tensors_kept_in_their_official_shape() -> None:
    noise = build()
    noise(torch.randn(2, 6, 6, C, dtype=torch.double)).square().mean().backward()
    query, key, value = noise.in_proj_bias.grad.chunk(3)
    assert query.abs().min() > 0
    assert value.abs().min() > 0
    assert (key == 0).all(), "the key bias cancels between the two keys"
    for tensor in (noise.key_noise, noise.value_noise):
        assert tensor.grad[0].abs().min() > 0
        assert (tensor.grad[1] == 0).all(), "the second row is never used"


@torch.no_grad()
def test_initialisation() -> None:
    torch.manual_seed(0)
    noise = AdaptiveNoise(128, 8)
    assert (noise.in_proj_bias == 0).all()
    assert (noise.out_proj.bias == 0).all()
    bound = (6 / (128 + 3 * 128)) ** 0.5
    assert bound * 0.99 < noise.in_proj_weight.abs().max() <= bound
    assert noise.out_proj.weight.std() == pytest.approx(0.02, rel=0.05)
    assert noise.key_noise.std() == pytest.approx(1, rel=0.2)
