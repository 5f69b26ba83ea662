"""What evaluations and the `features` stage leave for the report, made without a network."""

import numpy as np

from harness.config import Params
from harness.data.prepare import open_split
from harness.files import write_json
from harness.stage_maps import STAGES, FeatureMaps, StageMap, write_feature_maps

GFLOP = {"lavt": 0.15, "rmsin": 0.21, "mafn": 0.31}
SAMPLES = 3


def leave_efficiency(params: Params, run: str, **changes: object) -> None:
    """The efficiency.json of a run, and a peak in its provenance.json: the seed adds to rates and memory."""
    variant = params.runs[run].variant
    model, seed = variant.split("-")[0], params.runs[run].seed
    content: dict[str, object] = {
        "schema_version": 1,
        "run": run,
        "parameters": 1_234_567,
        "flops": int(GFLOP[model] * 1e9),
        "flops_gap": None,
        "images_per_second": 80.0 + seed,
        "network_images_per_second": 100.0 / GFLOP[model] + seed,
        "protocols": ["resized", "native"],
        "peak_memory": 900_000_000 + 50_000_000 * seed,
        "peak_memory_of": "the process",
        "device": "a processor",
        "processes": 1,
        "threads": 2,
        "batch_size": 32,
        "precision": "float32",
    }
    write_json(params.run_dir(run) / "efficiency.json", content | changes)


def leave_features(params: Params, gaps: tuple[str, ...] = (), **changes: object) -> FeatureMaps:
    """A features.parquet of Table II's variants on three test expressions, the first with a sentence that attacks."""
    table = open_split(params.split_file("test"))
    keys = list(zip(table["ref_id"].to_pylist(), table["sentence"].to_pylist(), strict=True))[:SAMPLES]
    maps = []
    for variant in dict.fromkeys(params.tables.table2.rows.values()):
        rng = np.random.default_rng([*variant.encode()])
        for key in keys:
            for stage in range(1, STAGES + 1):
                side = 24 // 2**stage
                norm = rng.uniform(1, 1 + stage, (side, side)).astype(np.float32)
                maps.append(StageMap(variant, f"{variant}-s0", *key, stage, 8 * stage, norm))
    features = FeatureMaps("test", tuple(keys), "By a rule <b>.", tuple(maps), gaps)
    features = FeatureMaps(**(vars(features) | changes))
    write_feature_maps(features, params.features_file)
    return features
