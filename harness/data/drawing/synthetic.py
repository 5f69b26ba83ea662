"""MiniRRSIS: a drawn data set in exactly RRSIS-D's layout, for running the whole pipeline without a download.

Every scene has its own generator, seeded with (seed, index), so that the files do not depend on the number of
workers or their order. Layout, quirks included: `rrsisd/refs(unc).p`, `rrsisd/instances.json` with `categories_id`,
boxes as x1, y1, x2, y2 and a list with one RLE, `images/rrsisd/JPEGImages/00001.jpg`. Two files are ours:
`rrsisd/mini_rrsis.json` (the parameters) and `rrsisd/mini_rrsis_scenes.jsonl` (what each scene holds and what its
sentence says). Unlike RRSIS-D's, the `area` field is right.

It says nothing about RRSIS-D: categories, backgrounds and sentences are far simpler.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from harness.data.drawing.expressions import Expression, describe
from harness.data.drawing.layout import plan_scene
from harness.data.drawing.scene import Scene, draw_scene
from harness.data.workers import cores, ordered_map
from harness.errors import HarnessError
from harness.files import read_json

GENERATOR_VERSION = 1
"""Raised with every change of the drawn bytes: a folder of another version is not taken for the same data."""
FULL_SIZE = (17402, 12181, 1740, 3481)
"""RRSIS-D's refs and their split into train, val and test."""
CATEGORIES: tuple[str, ...] = (
    "Expressway-Service-area", "Expressway-toll-station", "airplane", "airport", "baseballfield", "basketballcourt",
    "bridge", "chimney", "dam", "golffield", "groundtrackfield", "harbor", "overpass", "ship", "stadium",
    "storagetank", "tenniscourt", "trainstation", "vehicle", "windmill",
)  # fmt: skip
JPEG_QUALITY = 90
CHUNK = 32
"""Scenes a task: about 2 s at 800 pixels, so that progress moves and no worker idles for long at the end."""
SMALLEST = 48

_PARAMETERS = "rrsisd/mini_rrsis.json"
_TABLES = ("rrsisd/refs(unc).p", "rrsisd/instances.json", "rrsisd/mini_rrsis_scenes.jsonl")


def write_dataset(
    out: Path,
    *,
    refs: int,
    size: int,
    seed: int,
    workers: int = 0,
    replace: bool = False,
    progress: Callable[[int], None] | None = None,
) -> bool:
    """Draw a data set, or leave it when the folder already holds the same one; return whether it was drawn.

    The folder appears when it is complete: drawing happens in a hidden folder beside it.

    Args:
        out: the data root to create.
        refs: number of images, each with one expression; at least 3, so that every split has one.
        size: pixels a side of the images.
        seed: decides everything; the same seed gives the same bytes for any number of workers.
        workers: processes; 0 means one for each core this process may use.
        replace: draw anew where `out` holds another drawn set. Anything else is never replaced.
        progress: called with the number of scenes drawn so far.

    Raises:
        HarnessError: a parameter out of range, a folder that holds something else, or no space.
    """
    _check(refs, size, seed, workers)
    out = Path(out).absolute()
    parameters = {
        "dataset": "mini-rrsis",
        "generator_version": GENERATOR_VERSION,
        "refs": refs,
        "size": size,
        "seed": seed,
    }
    if _is_there(out, parameters, replace):
        return False
    with _new_folder(out, replace) as folder:
        (folder / "images/rrsisd/JPEGImages").mkdir(parents=True)
        (folder / "rrsisd").mkdir()
        records = _draw_all(folder, refs, size, seed, workers, progress)
        _write_tables(folder, records, splits(refs, seed), size)
        _write_text(folder / _PARAMETERS, json.dumps(parameters, indent=1) + "\n")
    return True


def splits(refs: int, seed: int) -> list[str]:
    """The split of each ref, in RRSIS-D's proportions (12,181 / 1,740 / 3,481 of 17,402), shuffled by the seed."""
    total, _, val, test = FULL_SIZE
    n_val, n_test = max(1, round(refs * val / total)), max(1, round(refs * test / total))
    names = ["train"] * (refs - n_val - n_test) + ["val"] * n_val + ["test"] * n_test
    # A spawn key apart from every scene's, whose entropy is (seed, index).
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).permutation(refs)
    return [names[i] for i in order.tolist()]


def make_scene(index: int, size: int, seed: int) -> tuple[Scene, int, Expression]:
    """Draw scene number `index` (from 1) and describe one of its objects.

    Args:
        index: number of the scene, which is its image, ref and annotation id.
        size: pixels a side.
        seed: the data set's seed.

    Returns:
        The scene, the target's position in `scene.things`, and the sentence.
    """
    plan_rng, draw_rng, word_rng = np.random.default_rng(np.random.SeedSequence([seed, index])).spawn(3)
    while True:
        scene = draw_scene(plan_scene(size, plan_rng), size, draw_rng)
        kin = [i for i, thing in enumerate(scene.things) if thing.category == scene.things[0].category]
        for target in kin:
            expression = describe(scene.things, scene.things[target], scene.theme, word_rng)
            if expression is not None:
                return scene, target, expression


def _check(refs: int, size: int, seed: int, workers: int) -> None:
    if refs < 3:
        raise HarnessError(f"refs = {refs}: at least 3 are needed, one for each of train, val and test")
    if size < SMALLEST:
        raise HarnessError(
            f"size = {size}: below {SMALLEST} pixels the objects cannot be told apart; choose 64 or more"
        )
    if seed < 0:
        raise HarnessError(f"seed = {seed}: a seed is a whole number from 0 on")
    if workers < 0:
        raise HarnessError(f"workers = {workers}: give 1 or more, or 0 for one a core")


def _is_there(out: Path, parameters: dict[str, Any], replace: bool) -> bool:
    """Whether `out` already holds this data set; raises when it holds what may not be replaced."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise HarnessError(f"{out} is a file; name a folder that does not exist yet")
    if not any(out.iterdir()):
        return False
    if not (out / _PARAMETERS).is_file():
        raise HarnessError(
            f"{out} is not empty and was not drawn by this command; name another folder or empty it"
        )
    found = read_json(out / _PARAMETERS, "harness data synth")
    images = sum(1 for _ in (out / "images/rrsisd/JPEGImages").glob("*.jpg"))
    whole = images == parameters["refs"] and all((out / table).is_file() for table in _TABLES)
    if replace or (found == parameters and whole):
        return bool(found == parameters) and whole
    if found == parameters:
        raise HarnessError(
            f"{out} was drawn by this command but is not whole: {images:,} of {parameters['refs']:,} images; remove it "
            "and draw it again"
        )
    differing = [
        key for key in parameters if not isinstance(found, dict) or found.get(key) != parameters[key]
    ]
    told = ", ".join(
        f"{key} {found.get(key) if isinstance(found, dict) else None} instead of {parameters[key]}"
        for key in differing
    )
    raise HarnessError(f"{out} holds another drawn data set ({told}); remove it or name another folder")


@contextmanager
def _new_folder(out: Path, replace: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that becomes `out` when the block ends without an error."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        _remove_left_overs(out)
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            shutil.rmtree(out) if replace else out.rmdir()
        temporary.rename(out)
    except OSError as error:
        if error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.ENOENT,  # /proc and the like, where nothing can be made
            errno.ENOTEMPTY,
            errno.ENOTDIR,
        ):
            raise HarnessError(f"cannot write {out}: {error.strerror}; nothing was left there") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_left_overs(out: Path) -> None:
    """Remove the temporary folders of processes that were killed."""
    for folder in out.parent.glob(f".{glob.escape(out.name)}.*.tmp"):
        number = folder.name.split(".")[-2]
        if number.isdecimal() and not _is_running(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # an earlier one had the same number
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _draw_all(
    folder: Path, refs: int, size: int, seed: int, workers: int, progress: Callable[[int], None] | None
) -> list[dict[str, Any]]:
    """Draw every scene into `folder`; the records of scene 1, 2, 3 ..."""
    chunks = [range(start, min(start + CHUNK, refs + 1)) for start in range(1, refs + 1, CHUNK)]
    draw = partial(_draw_chunk, folder, size=size, seed=seed)
    drawn: list[dict[str, Any]] = []
    for records in ordered_map(draw, chunks, min(workers or cores(), len(chunks))):
        drawn += records
        if progress is not None:
            progress(len(drawn))
    return drawn


def _draw_chunk(folder: Path, indices: range, size: int, seed: int) -> list[dict[str, Any]]:
    """Draw some scenes, write their images, return their records as plain data."""
    records = []
    for index in indices:
        scene, target, expression = make_scene(index, size, seed)
        Image.fromarray(scene.image).save(
            folder / "images/rrsisd/JPEGImages" / _file_name(index), quality=JPEG_QUALITY
        )
        records.append(_record(index, scene, target, expression))
    return records


def _file_name(index: int) -> str:
    return f"{index:05d}.jpg"


def _record(index: int, scene: Scene, target: int, expression: Expression) -> dict[str, Any]:
    """What the tables need to know of a scene, as plain data."""
    mask = np.asfortranarray(scene.labels == target + 1, dtype=np.uint8)
    rows, columns = np.flatnonzero(mask.any(axis=1)).tolist(), np.flatnonzero(mask.any(axis=0)).tolist()
    rle = coco_mask.encode(mask)
    return {
        "id": index,
        "category": scene.things[target].category,
        "text": expression.text,
        "bbox": [columns[0], rows[0], columns[-1], rows[-1]],
        "area": int(mask.sum()),
        "counts": rle["counts"].decode("ascii"),
        "scene": {
            "ref_id": index,
            "theme": scene.theme,
            "target": target,
            "sentence": expression.text,
            "predicates": [predicate.to_dict() for predicate in expression.predicates],
            "things": [
                {
                    "category": thing.category,
                    "colour": thing.colour,
                    "box": [round(edge, 6) for edge in thing.box],
                    "area": round(thing.area, 8),
                }
                for thing in scene.things
            ],
        },
    }


def _write_tables(folder: Path, records: list[dict[str, Any]], split: list[str], size: int) -> None:
    refs, images, annotations = [], [], []
    for record, part in zip(records, split, strict=True):
        index, sentence = record["id"], record["text"].lower()
        category = CATEGORIES.index(record["category"])
        refs.append(
            {
                "image_id": index,
                "split": part,
                "sentences": [
                    {"tokens": sentence.split(), "raw": record["text"], "sent_id": index, "sent": sentence}
                ],
                "file_name": _file_name(index),
                "category_id": category,
                "ann_id": index,
                "sent_ids": [index],
                "ref_id": index,
            }
        )
        images.append({"file_name": _file_name(index), "height": size, "width": size, "id": index})
        annotations.append(
            {
                "bbox": record["bbox"],
                "categories_id": category,
                "id": index,
                "image_id": index,
                "segmentation": [{"size": [size, size], "counts": record["counts"]}],
                "area": record["area"],
                "iscrowd": 0,
            }
        )
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(CATEGORIES)]
    instances = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    _write_text(folder / "rrsisd/instances.json", json.dumps(instances))
    with (folder / "rrsisd/refs(unc).p").open("wb") as file:
        pickle.dump(refs, file, protocol=4)
    lines = "".join(json.dumps(record["scene"]) + "\n" for record in records)
    _write_text(folder / "rrsisd/mini_rrsis_scenes.jsonl", lines)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
