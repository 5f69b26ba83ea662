"""The whole network: text encoder, language-aware backbone and decoder."""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from baselines.backbone import LanguageAwareSwin
from baselines.config import NetworkConfig
from baselines.decoder import TopDownDecoder
from baselines.layers import Recomputable
from baselines.text import text_encoder

# Swin's own norms and bias tables. The norms of later additions (batch norms, those inside MAFN's fusion)
# are decayed by the released recipe, which goes by names.
UNDECAYED = re.compile(
    r"backbone\.(patch_embed\.norm\.|norms\.|layers\.\d+\.(blocks\.\d+\.norm[12]\.|downsample\.norm\.)"
    r"|.*\.relative_position_bias_table$)"
)


class ReferringSegmenter(nn.Module):
    """Segments what a sentence refers to.

    The attributes `backbone`, `text_encoder` and `classifier` are the three parts that recipes tell apart.

    Args:
        config: All sizes, kept as `config`.
        backbone: Image and words to four maps.
        classifier: Four maps to logits at a quarter of the image's size.
        any_size: The network takes any multiple of 32, not only `config.image_size`.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        backbone: LanguageAwareSwin,
        classifier: TopDownDecoder,
        any_size: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.any_size = any_size
        self.backbone = backbone
        self.text_encoder = text_encoder(config.text)
        self.classifier = classifier

    def forward(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits at the image's size.

        Args:
            image: (B, 3, H, W), floats normalised with ImageNet's mean and standard deviation.
            input_ids: Word pieces (B, L).
            attention_mask: (B, L), 1 for word pieces and 0 for padding.

        Returns:
            (B, 2, H, W); class 1 is the referred object.

        Raises:
            ValueError: The image has a size that this network cannot take.
        """
        logits = self.classifier(self.stage_maps(image, input_ids, attention_mask))
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=True)

    def stage_maps(self, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return what the decoder is given: four maps (B, C_i, H_i, W_i), from the finest to the coarsest.

        Args and errors: as `forward`.
        """
        self.check_size(tuple(image.shape[-2:]))
        words = self.text_encoder(input_ids, attention_mask=attention_mask).last_hidden_state
        return tuple(self.backbone(image, words, attention_mask))

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise ValueError for an image's (height, width) that the network cannot take."""
        stride = self.config.patch_size * 8
        if self.any_size:
            if any(side % stride for side in size):
                raise ValueError(
                    f"the image is {size[0]} x {size[1]} pixels; sides must be multiples of {stride}"
                )
        elif size != self.config.image_size:
            expected = " x ".join(map(str, self.config.image_size))
            raise ValueError(
                f"the image is {size[0]} x {size[1]} pixels, but the cross-scale attention of this network is "
                f"built for {expected}; build the network with image_size={size}"
            )

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute Swin blocks, pixel-word attentions and decoder levels in the backward pass.

        Their inner activations are then not kept: less memory, more time, the same gradients.
        """
        for module in self.modules():
            if isinstance(module, Recomputable):
                module.recompute = enable

    def no_weight_decay(self) -> frozenset[str]:
        """Return the names of the backbone's parameters that the released recipe does not decay."""
        return frozenset(name for name, _ in self.named_parameters() if UNDECAYED.match(name))
