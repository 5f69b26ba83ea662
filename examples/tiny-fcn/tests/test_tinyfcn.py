"""What rrsis-harness asks of every network and every layout, asked of ours: pytest examples/tiny-fcn/tests"""

import pytest
from tinyfcn.draw import draw

from harness.testing import check_dataset, check_model


@pytest.mark.parametrize("preset", ["mini", "swin-b"])
def test_tinyfcn(preset):
    check_model("tinyfcn", preset=preset)


def test_it_takes_sizes_that_are_no_multiple_of_32():
    check_model("tinyfcn", image_size=50)


def test_tiles(tmp_path):
    draw(tmp_path / "tiles", refs=30, size=48)
    check_dataset("tiles", tmp_path / "tiles")
