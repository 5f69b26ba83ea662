"""The embedded profile at toy size."""

from pathlib import Path

import yaml

from harness.config import Params, load_params

PROJECT = Path(__file__).parents[1]


def toy_params(folder: Path, **changes) -> Params:
    """Write a params.yaml for small images under `folder`; `changes` replace or add top-level sections."""
    content = yaml.safe_load((PROJECT / "params.yaml").read_text())
    content["out"] = str(folder / "out")
    content["params"] = str(folder / "params.yaml")
    content["data"] |= {
        "root": str(folder / "raw"),
        "synthetic": {"refs": 40, "size": 64, "seed": 3, "workers": 1},
        "workers": 1,
    }
    content["image_size"] = 64
    content["training"] |= {"epochs": 1, "batch_size": 8}
    content["evaluation"]["batch_size"] = 5
    content["statistics"] |= {"resamples": 200, "permutations": 200}
    content["report"] |= {"html": str(folder / "html"), "published": str(PROJECT / "reports/published.yaml")}
    content |= changes
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_params(path)
