"""features.parquet: one map for each of a network's four stages, on a few expressions; read without torch.

The file's metadata say how the expressions were chosen, what a map shows, and which networks are not in it and why.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError
from harness.files import atomic_write
from harness.plain_parquet import open_parquet, read_columns

STAGES = 4
SCHEMA_KEY = b"rrsis_harness.features"
SCHEMA_VERSION = 1
SHOWN = "at each position, the L2 norm over the channels of the map that the decoder is given from that stage"

SCHEMA = pa.schema(
    [
        ("variant", pa.string()),
        ("run", pa.string()),
        ("ref_id", pa.int64()),
        ("sentence", pa.string()),
        ("stage", pa.int32()),  # 1, the finest, to 4
        ("channels", pa.int32()),  # that the norm was taken over
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("norm", pa.list_(pa.float32())),  # height x width values, row by row
    ]
)


@dataclass(frozen=True)
class StageMap:
    """One stage of one network on one expression."""

    variant: str
    run: str
    ref_id: int
    sentence: str
    stage: int  # from 1
    channels: int
    norm: np.ndarray  # float32 (H, W)


@dataclass(frozen=True)
class FeatureMaps:
    """The file: maps by network, expression and stage, in this order."""

    split: str
    samples: tuple[tuple[int, str], ...]  # ref_id and sentence of the expressions, in the order of the rule
    rule: str  # how they were chosen, in a sentence
    maps: tuple[StageMap, ...]
    gaps: tuple[str, ...]  # networks that have no maps, in words


def write_feature_maps(features: FeatureMaps, path: Path) -> None:
    """Write features.parquet, atomically; the same maps give the same bytes.

    Raises:
        HarnessError: the file cannot be written.
    """
    described = {
        "version": SCHEMA_VERSION,
        "split": features.split,
        "shown": SHOWN,
        "samples": features.samples,
        "rule": features.rule,
        "gaps": features.gaps,
    }
    rows = [
        {
            "variant": one.variant,
            "run": one.run,
            "ref_id": one.ref_id,
            "sentence": one.sentence,
            "stage": one.stage,
            "channels": one.channels,
            "height": one.norm.shape[0],
            "width": one.norm.shape[1],
            "norm": one.norm.ravel(),
        }
        for one in features.maps
    ]
    schema = SCHEMA.with_metadata({SCHEMA_KEY: json.dumps(described, ensure_ascii=False).encode()})
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema), temporary, compression="zstd")


def read_feature_maps(path: Path) -> FeatureMaps:
    """Read features.parquet.

    Raises:
        HarnessError: missing, damaged or of another schema version.
    """
    try:
        with open_parquet(path, SCHEMA) as file:
            described = json.loads((file.schema_arrow.metadata or {})[SCHEMA_KEY])
            table = read_columns(file, SCHEMA)
        if described["version"] != SCHEMA_VERSION:
            raise HarnessError(
                f"{path} has schema version {described['version']}, this harness reads {SCHEMA_VERSION}; run "
                "`harness features` again"
            )
        return FeatureMaps(
            described["split"],
            tuple((int(ref_id), str(sentence)) for ref_id, sentence in described["samples"]),
            described["rule"],
            tuple(map(_stage_map, table.to_pylist())),
            tuple(described["gaps"]),
        )
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; `harness features` writes it") from None
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HarnessError(
            f"{path} is no file of feature maps ({reason}); write it again with `harness features`"
        ) from None


def _stage_map(row: dict[str, object]) -> StageMap:
    height, width, channels, stage = (int(str(row[key])) for key in ("height", "width", "channels", "stage"))
    norm = np.asarray(row["norm"], dtype=np.float32).reshape(height, width)
    if not 1 <= stage <= STAGES or not np.isfinite(norm).all() or norm.min(initial=0) < 0:
        raise ValueError(f"stage {stage} of {row['run']} holds what no norm is")
    return StageMap(
        str(row["variant"]),
        str(row["run"]),
        int(str(row["ref_id"])),
        str(row["sentence"]),
        stage,
        channels,
        norm,
    )


def spread_over_sizes(
    keys: Sequence[tuple[int, str]], shares: Sequence[float], count: int
) -> tuple[list[int], str]:
    """Choose expressions by the size of their object, before any network has seen them.

    Args:
        keys: ref_id and sentence of every expression.
        shares: of the image that the true mask covers; expressions with an empty mask are left out.
        count: how many to choose; fewer where there are not so many.

    Returns:
        Their positions, from the smallest object to the largest, and the rule in a sentence.
    """
    order = sorted(
        (place for place in range(len(keys)) if shares[place] > 0), key=lambda i: (shares[i], keys[i])
    )
    count = min(count, len(order))
    chosen = [order[int((part + 0.5) / count * len(order))] for part in range(count)]
    parts = (
        f"cut into {count} parts of equal size, and the middle one of each part taken"
        if count
        else "none taken"
    )
    return chosen, (
        f"The {len(order):,} expressions of the split with an object were ordered by the share of the image that it "
        f"covers, {parts}. No network's result has a part in the choice."
    )
