"""The small profile of evaluated weights: a params.yaml, the prepared data, and one run a weights file.

    DIR/params.yaml     what `compare`, `statistics`, `features` and `report build` take with --params
    DIR/source, data    fingerprint and prepared data, made once
    DIR/runs/<run>      as `harness evaluate` leaves a run, and its weights; trivial-* beside them

There is no dvc.yaml beside it, as nothing is trained. The networks of one profile take images of one size: the masks of
the `resized` protocol have that size, and could not be compared otherwise.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.config import SPLITS, Params, load_params
from harness.data.prepare import prepare
from harness.data.source import find_format, fingerprint, record_source, source_file
from harness.data.text import tokenizer_file
from harness.errors import HarnessError
from harness.evaluation import EVALUATED_SPLITS
from harness.files import atomic_write, read_json
from harness.registry import DATASETS
from harness.statistics.evaluated import TRIVIAL, table_path
from harness.trivial import evaluate_trivial
from harness.weights import Network

NAME, LOCK = "params.yaml", ".evaluate.lock"
HEADER = (
    "# Networks that were not trained here: `harness evaluate --weights` wrote this and adds to it.\n"
    "# `harness compare|statistics|features|report build --params` with this file; there is nothing to train.\n"
)
PUBLISHED = Path("reports/published.yaml")
ROWS = {"lavt": "LAVT", "rmsin": "RMSIN", "mafn": "MAFN"}  # of Table I, as reports/published.yaml names them
ABLATIONS = {"table2": "+ MSRC", "table3": "[1,3,5]"}  # their rows of the whole of MAFN
WHOLE = {"kernels": [1, 3, 5], "adaptive_noise": True, "correlation_fusion": True, "msrc": True}
SIZES = ("image_size", "vocab_size")  # options that are no part of a variant

Content = dict[str, Any]  # of params.yaml


@dataclass(frozen=True)
class DataSet:
    """What to evaluate on; None: what the profile has, or the default."""

    root: Path | None = None
    reader: str | None = None  # rrsis-d
    name: str | None = None  # of the data set in every table; that of the folder


def read_profile(folder: Path) -> Content | None:
    """The params.yaml of an earlier evaluation in `folder`; None where there is none yet.

    Raises:
        HarnessError: the folder is something else.
    """
    path = folder / NAME
    if not path.exists():
        if folder.exists() and not folder.is_dir():
            raise HarnessError(f"{folder} is no folder; name another one with --out")
        if folder.is_dir() and (others := sorted(item.name for item in folder.glob("[!.]*"))):
            raise HarnessError(
                f"{folder} holds {', '.join(others[:3])}{' ...' if others[3:] else ''} and no {NAME} of evaluated "
                "weights; name another folder with --out"
            )
        return None
    params = load_params(path)
    trained = [name for name, run in params.runs.items() if run.weights is None]
    if trained or params.out.resolve() != folder.resolve():
        what = f"with the run {trained[0]}" if trained else f"that writes to {params.out}"
        raise HarnessError(
            f"{path} is a profile {what}, none of evaluated weights; name another folder with --out"
        )
    content: Content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def new_profile(
    folder: Path, data: DataSet, network: Network, tokenizer: str | None, batch_size: int
) -> Content:
    """A profile without a run.

    Args:
        folder: where.
        data: its root has to be named.
        network: the first one: its sizes are the profile's.
        tokenizer: name or folder where the network's file has none.
        batch_size: samples that a network takes at once.
    """
    root = require_data(folder, data)
    published = next((path for path in (PUBLISHED, _checkout() / PUBLISHED) if path.is_file()), PUBLISHED)
    return {
        "profile": folder.name or "released",
        "root": os.path.relpath(Path.cwd(), folder),
        "params": str(folder / NAME),
        "out": str(folder),
        "data": {
            "dataset": data.name or root.resolve().name,
            "reader": data.reader or "rrsis-d",
            "root": str(root),
        },
        "text": {"tokenizer": tokenizer or "trained", "max_tokens": network.max_tokens},
        "image_size": network.image_size,
        "preset": network.preset,
        "variants": {},
        "runs": {},
        "training": {"recipe": "released", "pretrained": False},
        "evaluation": {"batch_size": batch_size},
        "tables": {
            "table1": {"splits": ["val", "test"], "rows": {}},
            "table2": {"splits": ["val"], "rows": {}},
            "table3": {"splits": ["val"], "rows": {}},
        },
        "report": {"html": str(folder / "html"), "published": str(published)},
    }


def require_data(folder: Path, data: DataSet) -> Path:
    """The root of the data set of a profile that is yet to be made.

    Raises:
        HarnessError: it is not named, no folder, or of another layout.
    """
    if data.root is None:
        raise HarnessError(f"there is no {folder / NAME} yet: name the folder of the data set with --data")
    if not data.root.is_dir():
        raise HarnessError(f"--data {data.root} is no folder; name that of the data set")
    reader = data.reader or "rrsis-d"
    tables = find_format(reader).tables
    if tables and not any(_is_there(data.root / table) for table in tables):
        raise HarnessError(
            f"--data {data.root} has not the layout {reader}: there is no {' or '.join(tables)}. Name its layout with "
            f"--reader ({', '.join(DATASETS.names())}), or another folder with --data"
        )
    return data.root


def _is_there(table: Path) -> bool:
    """Whether that file is there, in upper or lower case."""
    return any(path.name.lower() == table.name.lower() for path in table.parent.glob("*"))


def require_alike(content: Content, data: DataSet, network: Network) -> None:
    """Check that one more network, on this data, can stand beside those of the profile.

    Raises:
        HarnessError: the data set is another, or the network takes images of another size.
    """
    where, held = content["params"], content["data"]
    for option, given, known in (
        ("--data", data.root and data.root.resolve(), Path(held["root"]).resolve()),
        ("--reader", data.reader, held["reader"]),
        ("--dataset", data.name, held["dataset"]),
    ):
        if given is not None and given != known:
            raise HarnessError(
                f"{where} has networks evaluated on {known} ({option} {given} now); evaluate this one into another "
                "folder with --out"
            )
    for what, here, known in (
        ("images of {} pixels", network.image_size, content["image_size"]),
        ("the preset {}", network.preset, content["preset"]),
    ):
        if here != known:
            raise HarnessError(
                f"the networks of {where} have {what.format(known)}, this one {what.format(here)}: their masks cannot "
                "be compared at the network's size; evaluate it into another folder with --out"
            )


def with_run(content: Content, name: str, variant: str, network: Network, weights: str) -> Content:
    """The profile with one more run, and its row in the tables.

    Args:
        content: not changed.
        name: of the run, <variant>-s<seed>.
        variant: its id, <model>-<variant>.
        network: what was evaluated.
        weights: its file.

    Raises:
        HarnessError: the variant is there with other options.
    """
    options = {key: value for key, value in network.options.items() if key not in SIZES}
    entry = {"model": network.model, **({"options": options} if options else {})}
    known = content["variants"].get(variant, entry)
    if _whole(known) != _whole(entry):
        raise HarnessError(
            f"{content['params']} has {variant} with {known.get('options', {})}, these weights are of a network with "
            f"{options}: give them a name of their own with --name"
        )
    tables = {key: {**table, "rows": dict(table["rows"])} for key, table in content["tables"].items()}
    whole = network.model in ROWS and _whole(entry) == _whole({"model": network.model})
    _add_row(tables["table1"]["rows"], ROWS[network.model] if whole else variant, variant)
    tables["table1"]["rows"] = _in_order(tables["table1"]["rows"])
    if whole and network.model == "mafn":
        for table, row in ABLATIONS.items():
            _add_row(tables[table]["rows"], row, variant)
    seed = int(name.rpartition("-s")[2])
    return content | {
        "variants": content["variants"] | {variant: known},
        "runs": content["runs"] | {name: {"variant": variant, "seed": seed, "weights": weights}},
        "tables": tables,
    }


def with_splits(content: Content, evaluated: Sequence[Sequence[str]]) -> Content:
    """The profile whose Table I and statistics look at the splits that all its runs were evaluated on.

    Args:
        content: not changed.
        evaluated: the splits of each run. Where they share none, both stand there, and each run lacks one.
    """
    shared = [split for split in EVALUATED_SPLITS if all(split in splits for splits in evaluated)]
    splits = shared or list(EVALUATED_SPLITS)
    tables = content["tables"] | {"table1": content["tables"]["table1"] | {"splits": splits}}
    return content | {
        "tables": tables,
        "statistics": content.get("statistics", {}) | {"splits": list(splits)},
    }


def write_profile(content: Content) -> Params:
    """Write params.yaml, and return it as the other commands read it."""
    path = Path(content["params"])
    params = Params.model_validate(content)
    with atomic_write(path) as temporary:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        temporary.write_text(HEADER + text, encoding="utf-8")
    return params


def prepare_once(params: Params) -> None:
    """Prepare the data of a profile and evaluate the trivial predictors, unless that was done for the same data.

    Raises:
        HarnessError: the data cannot be prepared, or is not what the profile's runs were evaluated on.
    """
    root = params.data.root
    if not root.is_dir():
        raise HarnessError(f"the data set of {params.params} is gone: {root} is no folder")
    files = [*(params.split_file(split) for split in SPLITS), tokenizer_file(params)]
    made = source_file(params).is_file() and all(file.is_file() for file in files)
    if made and read_json(source_file(params), "harness evaluate --weights")["fingerprint"] != fingerprint(
        root
    ):
        if params.runs:
            raise HarnessError(
                f"{root} has changed since {', '.join(params.runs)} of {params.params} "
                f"{'was' if len(params.runs) == 1 else 'were'} evaluated on it; evaluate into another folder with "
                "--out, or put the data back"
            )
        made = False
    if not made:
        forget_data(params)
        record_source(params)
        prepare(params)
    tables = [
        table_path(params, f"{predictor}-s0", split, protocol)
        for predictor in TRIVIAL
        for split in EVALUATED_SPLITS
        for protocol in params.evaluation.protocols
    ]
    if not all(table.is_file() for table in tables):
        evaluate_trivial(params)


def forget_profile(folder: Path) -> None:
    """Remove what a first evaluation that failed has made in an empty folder, and the folder."""
    for name in ("source", "data", "runs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (NAME, LOCK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def forget_data(params: Params) -> None:
    """Remove what was made from the data: what comes now may be other data, or prepared otherwise."""
    for folder in ("source", "data", *(f"runs/{predictor}-s0" for predictor in TRIVIAL)):
        shutil.rmtree(params.out / folder, ignore_errors=True)


def _add_row(rows: dict[str, str], row: str, variant: str) -> None:
    if variant not in rows.values():
        rows[row if row not in rows else f"{row} ({variant})"] = variant


def _in_order(rows: dict[str, str]) -> dict[str, str]:
    """The paper's rows in its order, then the others: a later row is compared with the earlier ones."""
    return {row: rows[row] for row in [*(row for row in ROWS.values() if row in rows), *rows]}


def _whole(entry: dict[str, Any]) -> dict[str, Any]:
    """A variant with the defaults of its options filled in, where they are known."""
    defaults = WHOLE if entry["model"] == "mafn" else {}
    return {"model": entry["model"], "options": defaults | entry.get("options", {})}


def _checkout() -> Path:
    return Path(__file__).parents[2]
