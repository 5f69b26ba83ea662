"""What can be wrong with a data set, and what `prepare` does about each kind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data import Expression, Finding
from harness.data.duplicates import Clusters
from harness.data.inspection import ImageFacts, Inspection, MaskFacts


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding.

    Args:
        meaning: what it says of an expression, an image or the set.
        treatment: what `prepare` does with such an expression, by default what the released code would do.
        harmless: a fact about the set; the others are errors where the data set's manifest does not know them.
        stops: the released code would fail on it, and so does `prepare`.
    """

    meaning: str
    treatment: str
    harmless: bool = False
    stops: bool = False


STOPS = "prepare stops"
KINDS: dict[str, Kind] = {
    "missing_image": Kind("the image or mask file does not exist", STOPS, stops=True),
    "unreadable_image": Kind("the image or mask file cannot be decoded to its end", STOPS, stops=True),
    "image_size": Kind("the image has another size than the tables or the manifest say", "resized like the others"),
    "mask_size": Kind("mask and image differ in size", "each resized from its own size; native masks keep theirs"),
    "bad_rle": Kind("the run-length encoding of the mask is damaged", STOPS, stops=True),
    "empty_mask": Kind("the mask has no pixel", "kept; its IoU is 0, as the released metric has it"),
    "full_mask": Kind("the mask covers the whole image", "kept", harmless=True),
    "missing_annotation": Kind("the ref points to no annotation or image record", STOPS, stops=True),
    "duplicate_id": Kind("an id, or a sentence of a ref, occurs twice", STOPS, stops=True),
    "unknown_category": Kind("the category is not listed", STOPS, stops=True),
    "split_count": Kind("a split has another number of expressions than the manifest says", "taken as it is"),
    "long_sentence": Kind("the sentence has more tokens than a network reads", "cut", harmless=True),
    "duplicate_image": Kind("another image file has the same bytes", "kept; one cluster", harmless=True),
    "near_duplicate_image": Kind("another image looks nearly the same", "kept; one cluster", harmless=True),
    "cross_split_duplicate": Kind("a cluster has images in several splits", "kept in each", harmless=True),
}  # fmt: skip
"""Every kind, in the order in which they are listed. A cluster is resampled as one in every interval and test."""


def find_defects(
    root: Path,
    expressions: Sequence[Expression],
    inspection: Inspection,
    tokens: Sequence[int],
    *,
    max_tokens: int,
    image_size: tuple[int, int] | None = None,
) -> list[tuple[int, Finding]]:
    """What is wrong with single expressions, each with the expression's position.

    Args:
        root: the data root, to name files.
        expressions: of the set.
        inspection: of the same expressions.
        tokens: of each sentence, [CLS] and [SEP] included.
        max_tokens: that a network reads.
        image_size: height and width that every image should have; None: what the set's tables state, if they do.
    """
    found: list[tuple[int, Finding]] = []
    sentences: set[tuple[int, str]] = set()
    for row, (expression, mask) in enumerate(zip(expressions, inspection.masks, strict=True)):
        problems = list(_problems(expression, inspection.images[expression.image], mask, image_size))
        if tokens[row] > max_tokens:
            long = f"{tokens[row]} tokens, {max_tokens} are read: {expression.sentence!r}"
            problems.append(("long_sentence", expression.image, long))
        if (key := (expression.ref_id, expression.sentence)) in sentences:
            twice = f"ref {expression.ref_id} has the sentence {expression.sentence!r} twice; results pair on both"
            problems.append(("duplicate_id", expression.image, twice))
        sentences.add(key)
        found += [
            (row, Finding(kind, expression.split, relative(path, root), expression.ref_id, message))
            for kind, path, message in problems
        ]
    return found


def _problems(
    expression: Expression, image: ImageFacts, mask: MaskFacts, image_size: tuple[int, int] | None
) -> Iterator[tuple[str, Path, str]]:
    """Kind, file and message of whatever is wrong with one expression's image and mask."""
    name, ref = expression.image.name, expression.ref_id
    if image.missing:
        yield "missing_image", expression.image, f"{name} does not exist"
    elif image.size is None:
        yield "unreadable_image", expression.image, f"{name} cannot be decoded: {image.problem}"
    elif image.size != (wanted := image_size or expression.stated_size or image.size):
        yield "image_size", expression.image, f"{name} is {_sides(image.size)}, not {_sides(wanted)}"
    if isinstance(expression.mask, Path) and mask.rle is None:
        kind = "missing_image" if mask.missing else "unreadable_image"
        yield kind, expression.mask, f"mask {expression.mask.name}: {mask.problem}"
    elif mask.rle is None:
        yield "bad_rle", expression.image, f"the mask of ref {ref} is damaged: {mask.problem}"
    else:
        size = (mask.rle.height, mask.rle.width)
        if image.size not in (None, size):
            sizes = f"the mask of ref {ref} is {_sides(size)}, its image {_sides(image.size or size)}"
            yield "mask_size", expression.image, sizes
        if mask.area == 0:
            yield "empty_mask", expression.image, f"the mask of ref {ref} has no pixel"
        if mask.area == size[0] * size[1]:
            yield "full_mask", expression.image, f"the mask of ref {ref} covers the whole image"


def find_duplicates(
    root: Path, expressions: Sequence[Expression], inspection: Inspection, clusters: Clusters
) -> Iterator[Finding]:
    """Images that occur more than once, and clusters of them that reach over splits.

    Args:
        root: the data root, to name files.
        expressions: of the set.
        inspection: of the same expressions.
        clusters: of `decoded_images(inspection)`, in its order.
    """
    images = decoded_images(inspection)
    users: dict[Path, list[Expression]] = {}
    for expression in expressions:
        users.setdefault(expression.image, []).append(expression)
    for position, path in enumerate(images):
        if (other := int(clusters.nearest[position])) < 0:
            continue
        same = inspection.images[path].sha256 == inspection.images[images[other]].sha256
        kind = "duplicate_image" if same else "near_duplicate_image"
        how = "has the bytes of" if same else f"differs in {clusters.bits[position]} of 255 bits from"
        user = users[path][0]
        yield Finding(
            kind, user.split, relative(path, root), user.ref_id, f"{path.name} {how} {images[other].name}"
        )
    members: dict[int, list[Path]] = {}
    for position, path in enumerate(images):
        members.setdefault(int(clusters.label[position]), []).append(path)
    for paths in members.values():
        names: dict[str, list[str]] = {}
        for path in paths:
            for split in sorted({user.split for user in users[path]}):
                names.setdefault(split, []).append(path.name)
        if len(names) > 1:
            listed = "; ".join(f"{split}: {_some(files)}" for split, files in sorted(names.items()))
            yield Finding(
                "cross_split_duplicate", ", ".join(sorted(names)), relative(paths[0], root),
                users[paths[0]][0].ref_id, f"the same picture in several splits ({listed})",
            )  # fmt: skip


def decoded_images(inspection: Inspection) -> list[Path]:
    """The images that have a perceptual hash."""
    return [path for path, facts in inspection.images.items() if facts.hash is not None]


def cluster_ids(expressions: Sequence[Expression], inspection: Inspection, clusters: Clusters) -> np.ndarray:
    """The cluster of each expression's image: the smallest image_id in it, int64.

    An image that cannot be decoded is a cluster of its own.
    """
    images = decoded_images(inspection)
    component = dict(zip(images, clusters.label.tolist(), strict=True))
    smallest: dict[int | Path, int] = {}
    keys = [component.get(expression.image, expression.image) for expression in expressions]
    for key, expression in zip(keys, expressions, strict=True):
        smallest[key] = min(smallest.get(key, expression.image_id), expression.image_id)
    return np.array([smallest[key] for key in keys], dtype=np.int64)


def relative(path: Path, root: Path) -> str:
    """A path as findings name it: below the data root, with forward slashes."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _sides(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"  # as people say it: width first


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
