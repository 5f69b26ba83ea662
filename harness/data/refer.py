"""Reader of RRSIS-D's layout: refs(unc).p, instances.json and a folder of JPEGs.

    root/rrsisd/refs(unc).p
    root/rrsisd/instances.json
    root/images/rrsisd/JPEGImages/00001.jpg ...

It differs from COCO in three ways: the category of an annotation is `categories_id`, `bbox` is x1, y1, x2, y2, and
`segmentation` is a list with one run-length encoding. `area` is wrong in the published file and is not used.
"""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.config import SPLITS
from harness.data import Expression
from harness.errors import HarnessError

REFS = "rrsisd/refs(unc).p"
INSTANCES = "rrsisd/instances.json"
IMAGES = "images/rrsisd/JPEGImages"


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, strings and numbers; refuses to import anything, so that no code can run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; only plain containers are read")


def read_rrsisd(root: Path) -> Iterator[Expression]:
    """Yield every expression of a data set in RRSIS-D's layout, in the order of refs(unc).p.

    Raises:
        HarnessError: a file is missing or is not what its name claims, a record lacks a key, a ref points to an
            annotation, category or image file that is not there. Names the file and the record.
    """
    refs = _read_refs(root / REFS)
    instances = _read_instances(root / INSTANCES)
    categories = {entry["id"]: entry["name"] for entry in instances["categories"]}
    annotations = {entry["id"]: entry for entry in instances["annotations"]}
    _require_images(root / IMAGES, refs)
    for number, ref in enumerate(refs):
        try:
            yield from _expressions(ref, annotations, categories, root / IMAGES)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            reason = f"lacks the key {error}" if isinstance(error, KeyError) else str(error)
            raise HarnessError(f"{root / REFS}, ref number {number}: {reason}") from None


def _expressions(
    ref: dict[str, Any], annotations: dict[int, dict[str, Any]], categories: dict[int, str], images: Path
) -> Iterator[Expression]:
    if ref["split"] not in SPLITS:
        raise ValueError(f"split {ref['split']!r} is none of {', '.join(SPLITS)}")
    if ref["ann_id"] not in annotations:
        raise ValueError(f"ann_id {ref['ann_id']} is not among the annotations of {INSTANCES}")
    annotation = annotations[ref["ann_id"]]
    if annotation["categories_id"] not in categories:
        raise ValueError(
            f"categories_id {annotation['categories_id']} is not among the categories of {INSTANCES}"
        )
    segmentation = annotation["segmentation"][0]
    height, width = segmentation["size"]
    for sentence in ref["sentences"]:
        yield Expression(
            image_id=ref["image_id"],
            ref_id=ref["ref_id"],
            ann_id=ref["ann_id"],
            sent_id=sentence["sent_id"],
            split=ref["split"],
            category_id=annotation["categories_id"],
            category=categories[annotation["categories_id"]],
            sentence=sentence["raw"].strip(),
            image=images / ref["file_name"],
            mask_size=(height, width),
            mask_counts=segmentation["counts"],
        )


def _read_refs(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            refs = _PlainUnpickler(file).load()
    except FileNotFoundError:
        raise HarnessError(_missing(path)) from None
    except Exception as error:  # a damaged pickle raises whatever its opcodes stumble over
        raise HarnessError(
            f"{path} is refused, it is no pickle of plain containers ({error or type(error).__name__}); fetch it again"
        ) from None
    if not isinstance(refs, list) or not refs or not all(isinstance(ref, dict) for ref in refs):
        raise HarnessError(f"{path} holds no list of refs; fetch it again")
    return refs


def _read_instances(path: Path) -> dict[str, Any]:
    try:
        instances = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(instances, dict):
            raise ValueError("it holds no mapping with annotations and categories")
        for key in ("annotations", "categories"):
            for number, entry in enumerate(instances[key]):
                if "id" not in entry:
                    raise ValueError(f"{key}[{number}] has no id")
    except FileNotFoundError:
        raise HarnessError(_missing(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{path} is damaged ({error}); fetch it again") from None
    return instances


def _require_images(folder: Path, refs: list[dict[str, Any]]) -> None:
    if not folder.is_dir():
        raise HarnessError(_missing(folder))
    present = {entry.name for entry in folder.iterdir()}
    for number, ref in enumerate(refs):
        if not isinstance(ref.get("file_name"), str):
            raise HarnessError(f"{folder.parents[2] / REFS}, ref number {number}: lacks the key 'file_name'")
    missing = sorted({ref["file_name"] for ref in refs} - present)
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise HarnessError(
            f"{folder} lacks {len(missing):,} of the {len(refs):,} images that the refs name: {some}; "
            "complete the download"
        )


def _missing(path: Path) -> str:
    return (
        f"{path} does not exist. A data root holds {REFS}, {INSTANCES} and {IMAGES}/: download RRSIS-D (its address is "
        "in the README) or name another folder as data.root in params.yaml"
    )
