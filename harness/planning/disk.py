"""What a profile still writes, in bytes, and where."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config import SPLITS, Params
from harness.data.drawing.synthetic import write_dataset
from harness.training.checkpoint import checkpoint_file
from harness.training.resume import KEPT

PUBLISHED = {"rrsis-d": 5e9}  # images and tables, unpacked
SAMPLE = 12  # images drawn to see how large they are
WEIGHTS_KEPT = 2  # weights files of a finished run: the best and the last


@dataclass(frozen=True)
class Need:
    """Something that will be written.

    Args:
        what: in words.
        path: where.
        size: bytes; None: nobody knows before it is there.
    """

    what: str
    path: Path
    size: float | None


@dataclass(frozen=True)
class Weights:
    """What a run to train leaves and needs on disk.

    Args:
        file: bytes of a weights file.
        checkpoint: bytes of a checkpoint that training goes on from.
    """

    file: int
    checkpoint: int


def disk_needs(params: Params, pending: Sequence[Weights], *, at_once: int, cache: Path) -> list[Need]:
    """What the profile still writes. Tables, curves and the report, megabytes for each run, are left out.

    DVC keeps its outputs a second time in its cache, except on file systems that share blocks (Btrfs, XFS, APFS):
    counted is the second time.

    Args:
        params: the profile.
        pending: the runs to train.
        at_once: of them, how many side by side.
        cache: DVC's.
    """
    needs = []
    raw = data_bytes(params)
    if not params.data.root.is_dir():
        drawn = params.data.synthetic is not None
        # An archive lies beside what is unpacked from it until all of it is.
        needs.append(Need("data, drawn", params.data.root, raw) if drawn else Need(
            "data, archive and unpacked", params.data.root, None if raw is None else 2 * raw
        ))  # fmt: skip
    cached: float | None = 0.0
    if not all(params.split_file(split).is_file() for split in SPLITS):
        needs.append(Need("prepared splits, with the images in them", params.out / "data", raw))
        cached = raw
    if pending:
        kept = float(sum(WEIGHTS_KEPT * run.file for run in pending))
        # In training: the checkpoints that are kept, the next one on the way, and the weights that they name.
        largest = sorted((run.checkpoint + run.file for run in pending), reverse=True)[:at_once]
        needs.append(
            Need("checkpoints of the runs in training", params.out / "training", (KEPT + 1) * sum(largest))
        )
        needs.append(Need("weights of the trained runs", params.out / "runs", kept))
        cached = None if cached is None else cached + kept
    if cached != 0:
        needs.append(Need("DVC's cache of splits and weights", cache, cached))
    return needs


def total(needs: Iterable[Need]) -> tuple[float, bool]:
    """The known bytes together, and whether they are all."""
    sizes = [need.size for need in needs]
    return sum(size for size in sizes if size is not None), None not in sizes


def data_bytes(params: Params) -> float | None:
    """The size of the data set: as it lies there, as a drawn sample makes it, or as published; None: not known."""
    root, drawn = params.data.root, params.data.synthetic
    if root.is_dir():
        return float(sum(path.stat().st_size for path in root.rglob("*") if path.is_file()))
    if drawn is not None:
        with tempfile.TemporaryDirectory() as folder:
            sample = Path(folder) / "sample"
            write_dataset(sample, refs=SAMPLE, size=drawn.size, seed=drawn.seed, workers=1)
            size = sum(path.stat().st_size for path in sample.rglob("*") if path.is_file())
        return size / SAMPLE * drawn.refs
    return PUBLISHED.get(params.data.dataset)


def is_trained(params: Params, run: str) -> bool:
    """Whether a run has its results, on data that was not prepared anew since.

    A look at files: `harness sweep --dry` asks DVC, which also sees changed settings and code.
    """
    record, weights = params.run_dir(run) / "provenance.json", checkpoint_file(params, run)
    if not (record.is_file() and weights.is_file()):
        return False
    prepared = params.split_file("train")
    return not prepared.is_file() or record.stat().st_mtime > prepared.stat().st_mtime
