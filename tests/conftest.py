"""A whole profile at toy size, made once: 40 drawn images, one prepared data set."""

import pytest
import torch
from toy import toy_params

from harness.config import Params
from harness.data.drawing.synthetic import write_dataset
from harness.data.prepare import prepare
from harness.data.source import record_source


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Params:
    """A toy profile whose data is drawn and prepared; do not change its files."""
    torch.set_num_threads(1)
    params = toy_params(tmp_path_factory.mktemp("profile"))
    write_dataset(params.data.root, refs=40, size=64, seed=3, workers=1)
    record_source(params)
    prepare(params)
    return params
