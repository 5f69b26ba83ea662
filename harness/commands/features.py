"""`harness features`."""

from pathlib import Path

import rich_click as click

from harness.commands import params_option


@click.command(name="features")
@params_option
def command(params_path: Path) -> None:
    """Write features.parquet: what the four stages of Table II's networks hand to the decoder, on a few images."""
    from harness.config import load_params
    from harness.features import extract_features
    from harness.stage_maps import STAGES, read_feature_maps

    params = load_params(params_path)
    path = extract_features(params)
    written = read_feature_maps(path)
    networks = len({one.run for one in written.maps})
    print(f"{path}: {networks} networks, {len(written.samples)} expressions, {STAGES} stages")
    for gap in written.gaps:
        print(f"not in it: {gap}")
    if not networks and params.trains and any("has no weights" in gap for gap in written.gaps):
        pipeline = "" if params.pipeline == "dvc.yaml" else f" {params.pipeline}"
        print(f"`dvc repro{pipeline}` trains the networks of Table II, then writes this file anew")
