import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.pwam import PixelWordAttention, instance_norm


def test_instance_norm_is_torchs() -> None:
    x = 1e-3 * torch.randn(3, 7, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    # Values of the size of sqrt(eps): a wrong eps would show.
    expected = F.instance_norm(x.transpose(1, 2), eps=1e-5).transpose(1, 2)
    torch.testing.assert_close(instance_norm(x), expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_against_the_published_order_of_operations() -> None:
    """1x1 convolutions on channels-first tensors, the attended value projected at every position."""
    torch.manual_seed(0)
    pwam = PixelWordAttention(6, 10).double()
    x = torch.randn(2, 3, 5, 6, dtype=torch.double)
    words = torch.randn(2, 4, 10, dtype=torch.double)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])

    def conv(layer: torch.nn.Linear, tensor: Tensor) -> Tensor:
        return F.conv1d(tensor, layer.weight[..., None], layer.bias)

    pixels, language = x.flatten(1, 2).transpose(1, 2), words.transpose(1, 2)
    q = F.instance_norm(conv(pwam.query, pixels))
    k = conv(pwam.key, language) * mask[:, None]
    v = conv(pwam.value, language) * mask[:, None]
    logits = torch.einsum("bcn,bcl->bnl", q, k) * 6**-0.5 + (1e4 * mask[:, None] - 1e4)
    attended = torch.einsum("bnl,bcl->bcn", logits.softmax(-1), v)
    attended = F.instance_norm(conv(pwam.language, attended))
    expected = F.gelu(conv(pwam.output, F.gelu(conv(pwam.visual, pixels)) * attended))
    expected = expected.transpose(1, 2).reshape(2, 3, 5, 6)
    torch.testing.assert_close(pwam(x, words, mask), expected, rtol=0, atol=1e-10)
