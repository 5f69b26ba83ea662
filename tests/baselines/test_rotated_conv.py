"""The rotated convolution against a resampling of its kernels, one sample and one kernel at a time."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.rotated_conv import MAX_ANGLE, RotatedConv, rotation_matrix, rotation_terms


def resample(kernel: Tensor, angle: float) -> Tensor:
    """Sample a kernel (..., 3, 3) bilinearly at its own grid turned by `angle`, borders repeated."""
    coordinate = torch.tensor([-1.0, 0.0, 1.0], dtype=kernel.dtype)
    y, x = torch.meshgrid(coordinate, coordinate, indexing="ij")
    turned = torch.stack(
        [x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)], dim=-1
    )
    planes = kernel.reshape(1, -1, 3, 3)
    sampled = F.grid_sample(planes, turned[None], mode="bilinear", padding_mode="border", align_corners=True)
    return sampled.view_as(kernel)


def listed_matrix(t: float) -> Tensor:
    """The matrix entry by entry, as the specification of the released code lists it."""
    x, y = math.cos(t), math.sin(t)
    a, b, c = x - y, x * y, x + y
    if t >= 0:
        rows = [
            {0: a, 1: 1 - a},
            {1: x - b, 2: b, 4: 1 - c + b, 5: y - b},
            {2: a, 5: 1 - a},
            {0: b, 1: y - b, 3: x - b, 4: 1 - c + b},
            {4: 1},
            {4: 1 - c + b, 5: x - b, 7: y - b, 8: b},
            {3: 1 - a, 6: a},
            {3: y - b, 4: 1 - c + b, 6: b, 7: x - b},
            {7: 1 - a, 8: a},
        ]
    else:
        rows = [
            {0: c, 3: 1 - c},
            {0: -b, 1: x + b, 3: b - y, 4: 1 - a - b},
            {1: 1 - c, 2: c},
            {3: x + b, 4: 1 - a - b, 6: -b, 7: b - y},
            {4: 1},
            {1: b - y, 2: -b, 4: 1 - a - b, 5: x + b},
            {6: c, 7: 1 - c},
            {4: 1 - a - b, 5: b - y, 7: x + b, 8: -b},
            {5: 1 - c, 8: c},
        ]
    return torch.tensor([[row.get(j, 0.0) for j in range(9)] for row in rows], dtype=torch.double)


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 12.0, 40.0, -1e-3, -25.0, -40.0])
def test_rotation_matrix(degrees: float) -> None:
    theta = torch.tensor(math.radians(degrees), dtype=torch.double)
    matrix = rotation_matrix(theta, rotation_terms().double())
    torch.testing.assert_close(matrix, listed_matrix(float(theta)), rtol=0, atol=1e-14)
    kernel = torch.randn(5, 3, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    turned = torch.einsum("ij,pj->pi", matrix, kernel.flatten(1)).view_as(kernel)
    torch.testing.assert_close(turned, resample(kernel, float(theta)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernels", [1, 3])
@torch.no_grad()
def test_signs_mixed_within_a_batch_and_several_kernels(kernels: int) -> None:
    torch.manual_seed(0)
    conv = RotatedConv(4, kernels).double().eval()
    for parameter in conv.parameters():
        parameter.normal_()
    # Another channel leads in each sample, and neighbouring channels turn to opposite sides.
    nn.init.dirac_(conv.routing.depthwise.weight, groups=4)
    nn.init.ones_(conv.routing.norm.weight)
    nn.init.zeros_(conv.routing.norm.bias)
    for i in range(kernels):
        conv.routing.angle.weight[i] = torch.tensor([(-1.0) ** (i + c) * (1 + c) for c in range(4)])
    x = torch.randn(6, 4, 5, 7, dtype=torch.double)
    x[torch.arange(6), torch.arange(6) % 4] += 5
    weight, angle = conv.routing(x)
    assert weight.shape == angle.shape == (6, kernels)
    for signs in (angle > 0).T:
        assert set(signs.tolist()) == {True, False}
    expected = []
    for sample in range(6):
        kernel = sum(
            weight[sample, i] * resample(conv.weight[i], float(angle[sample, i])) for i in range(kernels)
        )
        expected.append(F.conv2d(x[sample : sample + 1], kernel, padding=1))
    torch.testing.assert_close(conv(x), torch.cat(expected), rtol=0, atol=1e-11)


@torch.no_grad()
def test_routing() -> None:
    torch.manual_seed(0)
    routing = RotatedConv(4, 2).double().eval().routing
    for parameter in routing.parameters():
        parameter.normal_()
    x = torch.randn(3, 4, 5, 6, dtype=torch.double)
    z = F.conv2d(x, routing.depthwise.weight, padding=1, groups=4)
    z = (z - z.mean(1, keepdim=True)) / (z.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    z = z * routing.norm.weight[:, None, None] + routing.norm.bias[:, None, None]
    z = z.clamp(min=0).mean((2, 3))
    logits = z @ routing.angle.weight.T
    weight, angle = routing(x)
    torch.testing.assert_close(angle, logits / (1 + logits.abs()) * (math.pi * 40 / 180))
    torch.testing.assert_close(weight, torch.sigmoid(z @ routing.weight.weight.T + routing.weight.bias))
    assert math.degrees(MAX_ANGLE) == pytest.approx(40)


@torch.no_grad()
def test_weight_and_angle_have_dropouts_of_their_own() -> None:
    torch.manual_seed(0)
    routing = RotatedConv(64, 1).routing
    # The same layer for both: each logit then tells how much of z its dropout let through.
    for layer in (routing.weight, routing.angle):
        nn.init.constant_(layer.weight, 0.02)
    nn.init.zeros_(routing.weight.bias)
    x = torch.randn(1, 64, 6, 6)

    def logits() -> tuple[float, float]:
        weight, angle = routing(x)
        softsign = angle / MAX_ANGLE
        return float(torch.logit(weight)), float(softsign / (1 - softsign.abs()))

    weight, angle = logits()
    routing.eval()
    undropped_weight, undropped_angle = logits()
    assert undropped_weight == pytest.approx(undropped_angle, rel=1e-4)
    assert weight != pytest.approx(undropped_weight, rel=1e-3)
    assert angle != pytest.approx(undropped_angle, rel=1e-3)
    assert weight != pytest.approx(angle, rel=1e-3)
