"""A prepared split as a torch Dataset: the released transform, seeded per sample and epoch."""

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from harness.config import BlackBoxes, Params
from harness.data import Rle
from harness.data.inspection import decode_image, decode_mask
from harness.data.prepare import open_split
from harness.data.resize import resize_image, resize_mask
from harness.data.text import encode, load_tokenizer, tokenizer_file
from harness.errors import HarnessError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
KEPT = 256 * 2**20  # bytes: what training without loader processes keeps of its decoded images


class Sample(TypedDict):
    """One expression."""

    index: int  # row of the split
    image: Tensor  # uint8 (3, S, S); `normalize` makes it the network's input
    mask: Tensor  # uint8 (S, S), 1 = the referred object
    input_ids: Tensor  # int64 (L,)
    attention_mask: Tensor  # int64 (L,)


class ExpressionDataset(Dataset[Sample]):
    """The expressions of one prepared split, images resized to `image_size` (PIL bilinear; masks nearest).

    Args:
        path: the Arrow file that `harness prepare` wrote.
        tokenizer: of the network.
        image_size: side S of the network's input, in pixels.
        max_tokens: length L of a sentence in tokens.
        black_boxes: paint black squares on a share of the images (training only); None for none.
        seed: of the black boxes; the affected images are chosen once, the squares anew every epoch.
        keep: bytes of decoded images and masks to keep for the epochs to come, in this process; what is beyond is
            decoded anew.
    """

    def __init__(
        self,
        path: Path,
        tokenizer: Tokenizer,
        *,
        image_size: int,
        max_tokens: int,
        black_boxes: BlackBoxes | None = None,
        seed: int = 0,
        keep: int = 0,
    ) -> None:
        self.path = path
        self.table = open_split(path)
        if not len(self.table):
            raise HarnessError(f"{path} holds no expression; write it again with `harness prepare`")
        self.image_size = image_size
        self.black_boxes = black_boxes
        self.seed = seed
        self.epoch = 0
        self.keep = keep
        self.kept: dict[int, tuple[Image.Image | Tensor, Tensor]] = {}
        self.sentences: list[str] = self.table["sentence"].to_pylist()
        encoded = [encode(tokenizer, sentence, max_tokens) for sentence in self.sentences]
        self.input_ids = torch.from_numpy(np.stack([ids for ids, _ in encoded]))
        self.attention_mask = torch.from_numpy(np.stack([mask for _, mask in encoded]))
        chosen = np.zeros(len(self), dtype=bool)
        if black_boxes is not None:
            order = np.random.default_rng([seed, 0]).permutation(len(self))
            chosen[order[: round(black_boxes.share * len(self))]] = True
        self.boxed = chosen

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        image, mask = self.kept.get(index) or self._read(index)
        return {
            "index": index,
            "image": self._boxed(image, index) if isinstance(image, Image.Image) else image,
            "mask": mask,
            "input_ids": self.input_ids[index],
            "attention_mask": self.attention_mask[index],
        }

    def set_epoch(self, epoch: int) -> None:
        """Draw the black boxes of another epoch."""
        self.epoch = epoch

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("table", "kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.table = open_split(self.path)  # mapped anew: a worker process is not sent the images
        self.keep, self.kept = 0, {}  # it ends with the epoch

    def _read(self, index: int) -> tuple[Image.Image | Tensor, Tensor]:
        """What is the same in every epoch: the input, or the image that black boxes come onto, and the mask."""
        image, mask = self.native_image(index), torch.from_numpy(self.resized_mask(index))
        if self.boxed[index]:
            read: Image.Image | Tensor = image
            size = 4 * image.width * image.height  # PIL keeps RGB in four bytes a pixel
        else:
            read = resize_image(image, self.image_size)
            size = read.numel()
        size += mask.numel()
        if size <= self.keep:
            self.keep -= size
            self.kept[index] = read, mask
        return read, mask

    def _boxed(self, image: Image.Image, index: int) -> Tensor:
        """The input of an image, with black boxes if it is one of those that have them."""
        if self.black_boxes is not None and self.boxed[index]:
            rng = np.random.default_rng([self.seed, 1, self.epoch, index])
            image = paint_black_boxes(image, self.black_boxes, rng)
        return resize_image(image, self.image_size)

    def native_image(self, index: int) -> Image.Image:
        """The RGB image at its own size."""
        try:
            image = decode_image(self.table["image"][index].as_py())
            return image if image.mode == "RGB" else image.convert("RGB")
        except ValueError as error:
            name = self.table["file_name"][index].as_py()
            raise HarnessError(
                f"{name} in {self.path} cannot be decoded ({error}); put a sound copy under data.root and force the "
                "`data` stage, or leave it out with data.drop: [unreadable_image]"
            ) from None

    def native_mask(self, index: int) -> np.ndarray:
        """The mask at its own size, uint8 (H, W), 1 = the referred object."""
        row = {name: self.table[name][index].as_py() for name in ("height", "width", "mask_counts", "ref_id")}
        try:
            return decode_mask(Rle(row["height"], row["width"], row["mask_counts"]))
        except ValueError as error:
            raise HarnessError(
                f"the mask of ref_id {row['ref_id']} in {self.path} is damaged: {error}"
            ) from None

    def resized_image(self, index: int) -> Tensor:
        """The network's input before `normalize`: black boxes, if any, then PIL bilinear, uint8 (3, S, S)."""
        return self._boxed(self.native_image(index), index)

    def resized_mask(self, index: int) -> np.ndarray:
        """The mask at the network's input size, nearest neighbour, uint8 (S, S)."""
        return resize_mask(self.native_mask(index), self.image_size)


def open_dataset(
    params: Params, split: str, *, black_boxes: bool = False, seed: int = 0, keep: int = 0
) -> ExpressionDataset:
    """A prepared split with the sizes of params.yaml."""
    return ExpressionDataset(
        params.split_file(split),
        load_tokenizer(tokenizer_file(params)),
        image_size=params.image_size,
        max_tokens=params.text.max_tokens,
        black_boxes=params.training.black_boxes if black_boxes else None,
        seed=seed,
        keep=keep,
    )


def paint_black_boxes(image: Image.Image, boxes: BlackBoxes, rng: np.random.Generator) -> Image.Image:
    """A copy of the native-size image with black squares at uniformly drawn places, cut at the border."""
    painted = np.array(image)
    for top, left in black_box_corners(image.height, image.width, boxes, rng).tolist():
        painted[top : top + boxes.size, left : left + boxes.size] = 0
    return Image.fromarray(painted)


def black_box_corners(height: int, width: int, boxes: BlackBoxes, rng: np.random.Generator) -> np.ndarray:
    """Top and left of each square, int64 (n, 2)."""
    count = int(rng.integers(*boxes.count, endpoint=True))
    return rng.integers(np.tile([height, width], (count, 1)))


def normalize(image: Tensor) -> Tensor:
    """Pixels of type uint8, (B, 3, S, S), to a float32 input with ImageNet's mean and deviation, on their device."""
    mean = torch.tensor(IMAGENET_MEAN, device=image.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=image.device).view(3, 1, 1)
    return (image.float() / 255 - mean) / std
