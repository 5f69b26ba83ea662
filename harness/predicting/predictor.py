"""A trained network as a function: an image and a sentence in, the mask of the object meant out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from harness.data.dataset import normalize
from harness.data.resize import resize_image
from harness.data.text import encode
from harness.errors import HarnessError
from harness.predicting.pictures import read_picture, to_rgb
from harness.scoring import object_pixels
from harness.weights import network_tokenizer, open_network

ImageLike = Image.Image | np.ndarray | Path | str


@dataclass(frozen=True, eq=False)
class Words:
    """A sentence as a network takes it."""

    input_ids: Tensor  # int64 (L,)
    attention_mask: Tensor  # int64 (L,)
    read: str  # what is left of the sentence when it is cut to L tokens
    truncated: bool  # whether words are missing from it


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network finds in an image of H x W pixels for a sentence. Pixels are those of the image, not resized."""

    sentence: str
    read: str  # the part of the sentence that the network was given
    truncated: bool  # whether words are missing from it
    mask: np.ndarray  # bool (H, W): where the object is
    probability: np.ndarray  # float32 (H, W): the softmax's share of the class "object", 0 to 1
    area: int  # pixels of the mask
    share: float  # of the image that the mask covers, 0 to 1
    box: (
        tuple[int, int, int, int] | None
    )  # around the mask as COCO has it: x, y, width, height; None: nothing found
    confidence: (
        float | None
    )  # mean probability over the mask's pixels, above 0.5; not calibrated; None: nothing found


class Predictor:
    """A network with its tokenizer.

    Args:
        weights: a file of `harness train` or `harness weights convert` (.safetensors), or a released checkpoint (.pth).
        model: its registered name; None: what the file holds.
        device: "cpu", "cuda", "cuda:1" and so on; "auto" is a GPU where there is one.
        tokenizer: for a file that has none: a name on the hub, a folder, or a tokenizer; None: bert-base-uncased.

    Raises:
        HarnessError: the weights cannot be used, the device is not there, or the tokenizer cannot be had or is another
            network's.
    """

    def __init__(
        self,
        weights: Path | str,
        model: str | None = None,
        device: str = "cpu",
        tokenizer: Tokenizer | str | None = None,
    ) -> None:
        self.device = _device(device)
        self.opened = open_network(weights, model)
        self.network = self.opened.network.to(self.device)
        self.tokenizer = network_tokenizer(self.opened, weights, tokenizer)

    @property
    def image_size(self) -> int:
        """Side S of the network's input, pixels."""
        return self.opened.image_size

    def __call__(self, image: ImageLike, sentence: str) -> Prediction:
        """Segment the object that a sentence means.

        Args:
            image: a Pillow image, a uint8 array (H, W, 3) or (H, W), or a file; of any size. The network sees it
                resized to S x S, as in training; the mask is at its own size.
            sentence: in English.

        Raises:
            HarnessError: the image cannot be read or has more than 8 bits a channel; the sentence has no word.
        """
        return next(self.predict([(image, sentence)]))

    def predict(self, pairs: Iterable[tuple[ImageLike, str]], batch_size: int = 8) -> Iterator[Prediction]:
        """Segment many, `batch_size` at a time, which may have different sizes.

        Args:
            pairs: images and sentences, as in a single call.
            batch_size: pairs that the network sees at a time.

        Yields:
            A prediction for each pair, in order. Masks are made one by one, as they are asked for.

        Raises:
            HarnessError: as in a single call.
        """
        remaining = iter(pairs)
        while batch := list(islice(remaining, batch_size)):
            images = [open_image(image) for image, _ in batch]
            words = [self.read(sentence) for _, sentence in batch]
            logits = self._logits(images, words)
            for image, (_, sentence), read, sample in zip(images, batch, words, logits, strict=True):
                yield self._prediction(sample, image.height, image.width, sentence, read)

    def read(self, sentence: str) -> Words:
        """A sentence as the network takes it, cut to its number of tokens as in training.

        Raises:
            HarnessError: it has no word.
        """
        try:
            encoding = self.tokenizer.encode(sentence)
        except (TypeError, UnicodeEncodeError):
            raise HarnessError(f"the sentence {sentence!r:.60} is no text") from None
        ends = [
            end
            for special, (_, end) in zip(encoding.special_tokens_mask, encoding.offsets, strict=True)
            if not special
        ]
        if not ends:
            raise HarnessError(f"the sentence {sentence!r:.60} has no word")
        ids, attended = encode(self.tokenizer, sentence, self.opened.max_tokens)
        before = encoding.special_tokens_mask[: self.opened.max_tokens].count(0)
        return Words(
            torch.from_numpy(ids),
            torch.from_numpy(attended),
            sentence[: ends[before - 1]] if before < len(ends) else sentence,
            before < len(ends),
        )

    def _logits(self, images: list[Image.Image], words: list[Words]) -> Tensor:
        """Logits of a batch, (B, 2, S, S)."""
        pixels = torch.stack([resize_image(image, self.image_size) for image in images]).to(self.device)
        with torch.inference_mode():
            logits: Tensor = self.network(
                normalize(pixels),
                torch.stack([one.input_ids for one in words]).to(self.device),
                torch.stack([one.attention_mask for one in words]).to(self.device),
            )
        if not bool(logits.isfinite().all()):
            raise HarnessError("the network computes values that are not finite; its weights are damaged")
        return logits

    def _prediction(self, logits: Tensor, height: int, width: int, sentence: str, words: Words) -> Prediction:
        """From the logits (2, S, S) of a pair; at the image's size as the protocol `native` has it."""
        with torch.inference_mode():
            resized = F.interpolate(logits[None], size=(height, width), mode="bilinear", align_corners=False)
            mask = object_pixels(resized)[0].cpu().numpy()
            # The softmax of two classes.
            probability = torch.sigmoid(resized[0, 1].sub_(resized[0, 0])).cpu().numpy()
        area = int(mask.sum())
        box, confidence = None, None
        if area:
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            x, y = int(columns[0]), int(rows[0])
            box = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
            confidence = float(probability.mean(where=mask, dtype=np.float64))
        return Prediction(
            sentence=sentence,
            read=words.read,
            truncated=words.truncated,
            mask=mask,
            probability=probability,
            area=area,
            share=area / mask.size,
            box=box,
            confidence=confidence,
        )


def open_image(image: ImageLike) -> Image.Image:
    """An image as RGB.

    Raises:
        HarnessError: it cannot be read, or has more than 8 bits a channel.
    """
    if isinstance(image, Path | str):
        return read_picture(image).image
    if isinstance(image, np.ndarray):
        if (
            image.dtype != np.uint8
            or image.ndim not in (2, 3)
            or image.shape[2:] not in ((), (3,))
            or not image.size
        ):
            raise HarnessError(
                f"an image as an array is uint8 of shape (H, W, 3) or (H, W), not {image.dtype} of {image.shape}"
            )
        image = Image.fromarray(image)
    return to_rgb(image, "the image")


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise HarnessError(f"there is no device {name!r}; take auto, cpu or cuda") from None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise HarnessError(f"device {name}: PyTorch finds {count} GPUs here; take cpu, or auto")
    return device
