"""Pre-trained Swin transformers' names, in ours: timm's files and the original release's.

Both hold a classifier on top, which is left out. They differ in where the patch merging stands: the original files
have it at the end of a stage, as we do, timm at the start of the next. Its 2x2 order is the same in all three.
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from baselines.official import require_fit

ORIGINAL_MERGING = "layers.0.downsample.reduction.weight"
TIMM_MERGING = "layers.1.downsample.reduction.weight"
# The classifier, the norm before it, and what is computed at construction.
UNUSED = re.compile(r"^(head\.|norm\.)|\.(relative_position_index|attn_mask)$")
SWIN = re.compile(
    r"^backbone\.(patch_embed\.|layers\.\d+\.(blocks\.\d+\.(?!token_attention\.)|downsample\.))"
)


def swin_names(model: nn.Module) -> list[str]:
    """Return the names of `model`'s tensors that a pre-trained Swin fills."""
    return [name for name in model.state_dict() if SWIN.match(name)]


def convert_swin(pretrained: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Give a pre-trained Swin's tensors the names of `model`'s.

    Args:
        pretrained: A state dict of timm's `SwinTransformer` or of the original release.
        model: A network of the LAVT family with a Swin of the same sizes.

    Raises:
        ValueError: Tensors that the network does not know, lacks, or has in another shape; all are listed.
    """
    # A file with both is the original's; one with neither is of another network and fails below.
    from_timm = ORIGINAL_MERGING not in pretrained and TIMM_MERGING in pretrained
    state = model.state_dict()
    wanted = {name: state[name].shape for name in swin_names(model)}
    tensors: dict[str, Tensor] = {}
    unknown, misshapen = [], []
    for key, tensor in pretrained.items():
        if UNUSED.search(key):
            continue
        name = f"backbone.{key}"
        if from_timm:
            name = re.sub(
                r"layers\.(\d+)\.downsample\.", lambda m: f"layers.{int(m[1]) - 1}.downsample.", name
            )
        if name not in wanted:
            unknown.append(key)
        elif tensor.shape != wanted[name]:
            misshapen.append(f"{key} {tuple(tensor.shape)}, not {tuple(wanted[name])}")
        tensors[name] = tensor
    require_fit("network's Swin", unknown, [name for name in wanted if name not in tensors], misshapen)
    return tensors
