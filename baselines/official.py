"""The released checkpoints' names, in ours.

LAVT, RMSIN and MAFN share one naming scheme, so one list of rules serves the three. Nothing passes silently:
a tensor that is neither mapped nor known to be dead is an error.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Applied one after the other to each official name.
RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Backbone: norms before the decoder, pixel-word attention, gates.
        (r"^backbone\.norm(\d)\.", r"backbone.norms.\1."),
        (r"\.fusion\.vis_project\.0\.", r".fusion.visual."),
        (r"\.fusion\.image_lang_att\.f_(key|query|value)\.0\.", r".fusion.\1."),
        (r"\.fusion\.image_lang_att\.W\.0\.", r".fusion.language."),
        (r"\.fusion\.project_mm\.0\.", r".fusion.output."),
        (r"\.res_gate\.0\.", r".update.language_gate.fc1."),
        (r"\.res_gate\.2\.", r".update.language_gate.fc2."),
        (r"\.visual_gate\.0\.", r".update.visual_gate.fc1."),
        (r"\.visual_gate\.2\.", r".update.visual_gate.fc2."),
        # Visual branch: two blocks, the second one's parts end in _2.
        (r"\.visual_residual\.repblock\.brb_(\w+?)_2\.", r".update.visual_branch.second.\1."),
        (r"\.visual_residual\.repblock\.brb_(\w+?)\.", r".update.visual_branch.first.\1."),
        (r"\.(first|second)\.1x1\.conv\.", r".\1.pointwise.0."),
        (r"\.(first|second)\.1x1\.bn\.", r".\1.pointwise.1."),
        (r"\.(first|second)\.3x3\.conv1\.", r".\1.spatial.0."),
        (r"\.(first|second)\.3x3\.bn1\.", r".\1.spatial.1."),
        (r"\.(first|second)\.3x3\.conv2\.", r".\1.spatial.2."),
        (r"\.(first|second)\.3x3\.bn2\.", r".\1.spatial.3."),
        # Adaptive noise.
        (r"\.cross_attn_0_to_1\.", r".token_attention."),
        (r"\.relation_judger\.0\.", r".token_attention.discriminator."),
        (r"\.k_noise\.weight$", r".token_attention.key_noise"),
        (r"\.v_noise\.weight$", r".token_attention.value_noise"),
        # Correlation-aware fusion.
        (r"\.corr\.Conv\.", r".update.fusion.smooth."),
        (r"\.corr\.mlpLayer\.", r".update.fusion.windows."),
        (r"\.corr\.channel_intensification_block\.", r".update.fusion.intensification."),
        (r"\.windows\.WinGmlpLayer_1\.", r".windows.branches.0."),
        (r"\.windows\.WinGmlpLayer_2\.", r".windows.branches.1."),
        (r"\.windows\.WinGmlpLayer_3\.", r".windows.branches.2."),
        (r"\.SpatialGatingUnit\.Dense_0\.", r".positions."),
        (r"\.SpatialGatingUnit\.LayerNorm\.", r".gate_norm."),
        (r"\.(windows|branches\.\d|intensification)\.LayerNorm\.", r".\1.norm."),
        (r"\.windows\.reweight\.", r".windows.weights."),
        (r"\.channel_attention\.Conv_0\.", r".squeeze."),
        (r"\.channel_attention\.Conv_1\.", r".excite."),
        # Cross-scale interaction.
        (r"^backbone\.cim\.", r"backbone.cross_scale."),
        (r"\.cross_scale\.down_channel\.", r".cross_scale.squeeze."),
        (r"\.cross_scale\.up_channel\.", r".cross_scale.expand."),
        (r"\.block\.0\.csa(\d)\.m\.conv\.", r".block.attention\1.output."),
        (r"\.block\.0\.csa(\d)\.m\.bn1\.", r".block.attention\1.bn_in."),
        (r"\.block\.0\.csa(\d)\.m\.bn4\.", r".block.attention\1.bn_out."),
        (r"\.block\.0\.csa(\d)\.m\.DWConv1\.", r".block.attention\1.stride2."),
        (r"\.block\.0\.csa(\d)\.m\.DWConv2\.", r".block.attention\1.stride3."),
        (r"\.block\.0\.csa(\d)\.m\.attention\.", r".block.attention\1.attention."),
        (r"\.attention\.qkv\.c\.", r".attention.qkv."),
        (r"\.attention\.qkv\.bn\.", r".attention.qkv_bn."),
        (r"\.attention\.parallel_conv\.1\.", r".attention.local_value."),
        (r"\.attention\.to_out\.", r".attention.output."),
        (r"\.attention\.proj\.", r".attention.positions."),
        (r"\.block\.0\.intra_ff\.m\.ff1\.m\.", r".block.intra.parts.0."),
        (r"\.block\.0\.intra_ff\.m\.ff2\.m\.", r".block.intra.parts.1."),
        (r"\.block\.0\.intra_ff\.m\.ff3\.m\.", r".block.intra.parts.2."),
        (r"\.block\.0\.intra_ff\.m\.ff4\.m\.", r".block.intra.parts.3."),
        (r"\.block\.0\.ff\.m\.", r".block.feed_forward."),
        (r"\.cross_scale\.fusion\.(\d)\.local_embedding\.", r".cross_scale.gates.\1.local_embedding.0."),
        (r"\.cross_scale\.fusion\.(\d)\.bn1\.", r".cross_scale.gates.\1.local_embedding.1."),
        (r"\.cross_scale\.fusion\.(\d)\.global_embedding\.", r".cross_scale.gates.\1.global_embedding.0."),
        (r"\.cross_scale\.fusion\.(\d)\.bn2\.", r".cross_scale.gates.\1.global_embedding.1."),
        (r"\.cross_scale\.fusion\.(\d)\.global_act\.", r".cross_scale.gates.\1.global_weight.0."),
        (r"\.cross_scale\.fusion\.(\d)\.bn3\.", r".cross_scale.gates.\1.global_weight.1."),
        # Decoder: official levels count down from 4.
        (r"^classifier\.conv1_1\.", r"classifier.head."),
        (r"^classifier\.conv1_(\d)\.", r"classifier.level\1.join.conv."),
        (r"^classifier\.bn1_(\d)\.", r"classifier.level\1.join.bn."),
        (r"^classifier\.conv2_(\d)\.", r"classifier.level\1.refine.conv."),
        (r"^classifier\.bn2_(\d)\.", r"classifier.level\1.refine.bn."),
        (r"^classifier\.mscb(\d)\.", r"classifier.level\1.refine."),
        (r"\.refine\.pconv1\.0\.", r".refine.expand.conv."),
        (r"\.refine\.pconv1\.1\.", r".refine.expand.bn."),
        (r"\.refine\.msdc\.conv2_3\.", r".refine.rotated_conv."),
        (r"\.refine\.msdc\.dwconvs\.(\d)\.0\.", r".refine.scales.\1.conv."),
        (r"\.refine\.msdc\.dwconvs\.(\d)\.1\.", r".refine.scales.\1.bn."),
        (r"\.refine\.pconv2\.0\.", r".refine.project."),
        (r"\.refine\.pconv2\.1\.", r".refine.bn."),
        (r"\.rounting_func\.dwc\.", r".routing.depthwise."),
        (r"\.rounting_func\.norm\.norm\.", r".routing.norm."),
        (r"\.rounting_func\.fc_alpha\.", r".routing.weight."),
        (r"\.rounting_func\.fc_theta\.", r".routing.angle."),
        (r"^classifier\.level4\.", r"classifier.levels.0."),
        (r"^classifier\.level3\.", r"classifier.levels.1."),
        (r"^classifier\.level2\.", r"classifier.levels.2."),
    )
)

# The last stage's updated map feeds nothing: its gates, visual branch and correlation-aware fusion are dead.
DEAD_STAGE = re.compile(r"^backbone\.layers\.3\.(res_gate|visual_gate|visual_residual|corr)\.")
# So is the rotated convolution of a refinement with a single scale.
ROTATED_CONV = re.compile(r"^classifier\.mscb\d\.msdc\.conv2_3\.")
INTEGER_BUFFERS = ("num_batches_tracked", "relative_position_index", "attn_mask", "position_ids")


class Released(NamedTuple):
    """Size of a released network at Swin-B, as published: dead branches included."""

    parameters: int
    gflop: float  # of one 480 x 480 image, forward


RELEASED = {
    "lavt": Released(227_739_514, 398),
    "rmsin": Released(240_037_163, 408),
    "mafn": Released(350_056_899, 796),
}


class Conversion(NamedTuple):
    """Official tensors under our names, and the official names of those that our networks do without."""

    tensors: dict[str, Tensor]
    dropped: list[str]


def rename(official: str) -> str:
    """Return our name of an official tensor; a name that no rule knows comes back as it is."""
    for pattern, replacement in RULES:
        official = pattern.sub(replacement, official)
    return official


def is_dead(official: str, model: nn.Module) -> bool:
    """Say whether the released network has this tensor without ever using it, and ours leaves it out."""
    if ROTATED_CONV.match(official):
        scales = {name for name, _ in model.named_modules() if ".refine.scales." in name}
        return bool(scales) and not any(name.endswith(".refine.scales.1") for name in scales)
    return bool(DEAD_STAGE.match(official))


def convert(official: Mapping[str, Tensor], model: nn.Module) -> Conversion:
    """Give official tensors the names and shapes of `model`'s.

    Args:
        official: An official state dict; its integer buffers are ignored.
        model: The network that the tensors are meant for.

    Raises:
        ValueError: Tensors that the network does not know, lacks, or has in another shape; all are listed.
    """
    wanted = {
        name: tensor for name, tensor in model.state_dict().items() if not name.endswith(INTEGER_BUFFERS)
    }
    tensors: dict[str, Tensor] = {}
    dropped: list[str] = []
    unknown: list[str] = []
    misshapen: list[str] = []
    for key, tensor in official.items():
        if key.endswith(INTEGER_BUFFERS):
            continue
        name = rename(key)
        if name not in wanted:
            (dropped if is_dead(key, model) else unknown).append(key)
            continue
        if tensor.ndim == 3 and tensor.shape[-1] == 1 and wanted[name].ndim == 2:
            tensor = tensor.squeeze(-1)  # a 1x1 convolution over a sequence is our linear layer
        if tensor.shape != wanted[name].shape:
            misshapen.append(f"{key} {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
        tensors[name] = tensor
    require_fit("network", unknown, [name for name in wanted if name not in tensors], misshapen)
    return Conversion(tensors, dropped)


def require_fit(what: str, unknown: list[str], missing: list[str], misshapen: list[str]) -> None:
    """Raise ValueError that lists the tensors which do not fit `what`, if there are any."""
    problems = [
        f"{title}: {', '.join(names)}"
        for title, names in (("unknown", unknown), ("missing", missing), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise ValueError(f"these tensors do not fit the {what}; " + "; ".join(problems))


@torch.no_grad()
def load(model: nn.Module, official: Mapping[str, Tensor]) -> list[str]:
    """Fill `model` in place from an official state dict and return the names of the dropped tensors.

    Raises:
        ValueError: As in `convert`; the model is then unchanged.
    """
    tensors, dropped = convert(official, model)
    model.load_state_dict(tensors, strict=False)
    return dropped
