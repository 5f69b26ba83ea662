"""How many expressions a profile's splits have, also before the data is there."""

from harness.config import SPLITS, Params
from harness.data.drawing.synthetic import splits
from harness.data.prepare import open_split
from harness.data.source import source_file
from harness.data.verify import manifest_names, read_manifest
from harness.errors import HarnessError
from harness.files import read_json


def count_expressions(params: Params) -> tuple[dict[str, int], str]:
    """The expressions of each split, and in words where the numbers come from.

    From the prepared splits, else what the `data` stage recorded, else what is to be drawn, else what is known of the
    published set.

    Raises:
        HarnessError: none of these.
    """
    files = {split: params.split_file(split) for split in SPLITS}
    if all(path.is_file() for path in files.values()):
        return {
            split: open_split(path).num_rows for split, path in files.items()
        }, f"prepared, in {params.out / 'data'}"
    if source_file(params).is_file():
        recorded = read_json(source_file(params), f"harness data source --params {params.params}")
        return dict(recorded["expressions"]), f"as in {source_file(params)}"
    if (drawn := params.data.synthetic) is not None:
        placed = splits(drawn.refs, drawn.seed)
        return {split: placed.count(split) for split in SPLITS}, "to be drawn"
    published = read_manifest(params.data.dataset) if params.data.dataset in manifest_names() else None
    if published is not None:
        return {
            split: published.expressions[split] for split in SPLITS
        }, f"{params.data.dataset} as published"
    raise HarnessError(
        f"{params.params}: nobody knows the size of {params.data.dataset} before it is read; run "
        f"`dvc repro {params.pipeline}:prepare`, which needs no GPU, and then this again"
    )
