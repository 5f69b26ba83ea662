"""RRSIS-D's layout: refs(unc).p, instances.json and a folder of JPEGs.

    root/rrsisd/refs(unc).p
    root/rrsisd/instances.json
    root/images/rrsisd/JPEGImages/00001.jpg ...
    root/images/rrsisd/ann_split/00001.xml ...       optional, not read

It differs from COCO in three ways: the category of an annotation is `categories_id`, `bbox` is x1, y1, x2, y2, and
`segmentation` is a list with one run-length encoding. `area` is wrong in the published file and is not used.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, FailFast, Field, TypeAdapter, ValidationError

from harness.config import Split
from harness.data import DatasetFormat, Expression, Finding, Rle
from harness.data.plain_pickle import load_plain
from harness.errors import HarnessError

REFS = "rrsisd/refs(unc).p"
INSTANCES = "rrsisd/instances.json"
IMAGES = "images/rrsisd/JPEGImages"
BOXES = (
    "images/rrsisd/ann_split"  # VOC files with several expressions each, of which only the last became a ref
)

Side = Annotated[int, Field(gt=0, le=65535)]  # pixels; a JPEG can hold no more
BaseName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$")]


class _Sentence(BaseModel):
    raw: str
    sent_id: int


class _Ref(BaseModel):
    image_id: int
    ref_id: int
    ann_id: int
    split: Split
    file_name: BaseName
    sentences: Annotated[list[_Sentence], Field(min_length=1)]


class _Image(BaseModel):
    id: int
    file_name: str
    height: Side
    width: Side


class _Segmentation(BaseModel):
    size: tuple[Side, Side]
    counts: str


class _Annotation(BaseModel):
    id: int
    categories_id: int
    segmentation: Annotated[list[_Segmentation], Field(min_length=1, max_length=1)]


class _Category(BaseModel):
    id: int
    name: str


class _Instances(BaseModel):
    images: Annotated[
        list[_Image], FailFast()
    ] = []  # sizes to compare with; sets of one's own may do without
    annotations: Annotated[list[_Annotation], FailFast()]
    categories: Annotated[list[_Category], FailFast()]


def read_rrsisd(root: Path) -> Iterator[Expression | Finding]:
    """Yield the expressions of a data set in RRSIS-D's layout, in the order of refs(unc).p.

    A ref without annotation, image record or category, and an id that occurs twice, is a `Finding`.

    Raises:
        HarnessError: a table is missing or is not what its name claims, or a record of it lacks a key or has a value
            of another type. Names the file and the record's number.
    """
    refs = _read_refs(root / REFS)
    instances = _read_instances(root / INSTANCES)
    for table in ("images", "annotations", "categories"):
        yield from _repeated([record.id for record in getattr(instances, table)], INSTANCES, table)
    yield from _repeated([ref.ref_id for ref in refs], REFS, "refs")
    images = {record.id: record for record in instances.images}
    annotations = {record.id: record for record in instances.annotations}
    categories = {record.id: record.name for record in instances.categories}
    for ref in refs:
        annotation, image = annotations.get(ref.ann_id), images.get(ref.image_id)
        if annotation is None or (image is None and images):
            lacking = f"annotation {ref.ann_id}" if annotation is None else f"image {ref.image_id}"
            yield Finding(
                "missing_annotation", ref.split, INSTANCES, ref.ref_id,
                f"ref {ref.ref_id} ({ref.file_name}) points to {lacking}, which is not there",
            )  # fmt: skip
            continue
        if annotation.categories_id not in categories:
            yield Finding(
                "unknown_category", ref.split, INSTANCES, ref.ref_id,
                f"annotation {ref.ann_id} has categories_id {annotation.categories_id}, which is not listed",
            )  # fmt: skip
            continue
        segmentation = annotation.segmentation[0]
        for sentence in ref.sentences:
            yield Expression(
                image_id=ref.image_id,
                ref_id=ref.ref_id,
                ann_id=ref.ann_id,
                sent_id=sentence.sent_id,
                split=ref.split,
                category_id=annotation.categories_id,
                category=categories[annotation.categories_id],
                sentence=sentence.raw.strip(),
                image=root / IMAGES / ref.file_name,
                mask=Rle(*segmentation.size, segmentation.counts),
                stated_size=(image.height, image.width) if image is not None else None,
            )


def place(name: str) -> str | None:
    """Where a downloaded file belongs, by its base name: no mirror of RRSIS-D nests its archives alike."""
    path = PurePosixPath(name)
    if path.name.startswith(".") or "__MACOSX" in path.parts:
        return None
    folder = {".jpg": IMAGES, ".xml": BOXES}.get(path.suffix.lower())
    if folder is not None:
        return f"{folder}/{path.name}"
    return {"refs(unc).p": REFS, "instances.json": INSTANCES}.get(path.name)


RRSISD = DatasetFormat(read=read_rrsisd, tables=(REFS, INSTANCES), place=place)


def _repeated(ids: list[int], file: str, table: str) -> Iterator[Finding]:
    seen: set[int] = set()
    for number, identity in enumerate(ids):
        if identity in seen:
            yield Finding(
                "duplicate_id", "", file, identity, f"{table}[{number}] has the id {identity} once more"
            )
        seen.add(identity)


def _read_refs(path: Path) -> list[_Ref]:
    try:
        content = load_plain(path)
    except FileNotFoundError:
        raise HarnessError(_missing(path)) from None
    if not isinstance(content, list) or not content:
        raise HarnessError(f"{path} holds no list of refs; fetch it again")
    try:
        return TypeAdapter(Annotated[list[_Ref], FailFast()]).validate_python(content)
    except ValidationError as error:
        raise HarnessError(f"{path}, ref number {_first_problem(error)}") from None


def _read_instances(path: Path) -> _Instances:
    try:
        return _Instances.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise HarnessError(_missing(path)) from None
    except ValidationError as error:
        raise HarnessError(
            f"{path} is damaged: {_first_problem(error)}; correct it or fetch it again"
        ) from None


def _first_problem(error: ValidationError) -> str:
    problem: Any = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    given = "" if problem["type"] in ("missing", "json_invalid") else f" (given: {problem['input']!r:.60})"
    more = f"; {error.error_count() - 1:,} more" if error.error_count() > 1 else ""
    return f"{where.lstrip('.')}: {problem['msg']}{given}{more}".removeprefix(": ")


def _missing(path: Path) -> str:
    return (
        f"{path} does not exist. A data root holds {REFS}, {INSTANCES} and {IMAGES}/: `harness data fetch rrsis-d` "
        "brings RRSIS-D; for another folder, name it as data.root in params.yaml, or with --data"
    )
