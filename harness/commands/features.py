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

    path = extract_features(load_params(params_path))
    written = read_feature_maps(path)
    networks = len({one.run for one in written.maps})
    print(f"{path}: {networks} networks, {len(written.samples)} expressions, {STAGES} stages")
    for gap in written.gaps:
        print(f"not in it: {gap}")
