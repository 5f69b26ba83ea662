import pytest
import torch

from baselines.rotated_conv import RotatedConv
from mafn.refinement import MultiScaleRefinement


@pytest.mark.parametrize("kernels", [(1,), (1, 3), (1, 3, 5), (1, 3, 5, 7)])
@torch.no_grad()
def test_scales_alternate_with_one_shared_rotated_convolution(kernels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    block = MultiScaleRefinement(6, kernels=kernels, rotated_kernels=1).double().eval()
    rotated = [module for module in block.modules() if isinstance(module, RotatedConv)]
    assert len(rotated) == (len(kernels) > 1), "after the last scale a rotated convolution feeds nothing"
    y = torch.randn(2, 6, 5, 4, dtype=torch.double)
    p, total = block.expand(y), 0
    for index, size in enumerate(kernels):
        conv = block.scales[index].conv
        assert conv.weight.shape == (6, 1, size, size)
        output = torch.relu(block.scales[index].bn(conv(p)))
        total = total + output
        if index + 1 < len(kernels):
            p = rotated[0](p) + output
    torch.testing.assert_close(block(y), y + block.bn(block.project(total)), rtol=0, atol=1e-12)


def test_memory_layout_survives() -> None:
    # Depthwise convolutions on channels-first memory are several times slower on a CPU.
    block = MultiScaleRefinement(6, kernels=(1, 3, 5), rotated_kernels=1)
    seen = []
    for scale in block.scales:
        scale.register_forward_hook(
            lambda module, inputs, output: seen.append(
                inputs[0].is_contiguous(memory_format=torch.channels_last)
            )
        )
    out = block(torch.randn(2, 6, 5, 4).to(memory_format=torch.channels_last))
    assert seen == [True, True, True]
    assert out.is_contiguous(memory_format=torch.channels_last)
