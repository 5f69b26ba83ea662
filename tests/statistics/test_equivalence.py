import pytest

from harness.errors import HarnessError
from harness.statistics import reproduction


@pytest.mark.parametrize(
    ("interval", "interval_90", "verdict"),
    [
        ((64.1, 65.9), (64.3, 65.7), "reproduced"),
        ((63.9, 66.1), (64.2, 65.8), "reproduced"),  # the 95% interval may reach out
        ((63.9, 66.1), (63.9, 66.0), "undecided"),
        ((66.01, 70.0), (66.5, 69.0), "differs"),
        ((60.0, 63.99), (60.5, 63.0), "differs"),
        ((65.9, 70.0), (66.1, 69.0), "undecided"),
        ((50.0, 80.0), (52.0, 78.0), "undecided"),
    ],
)
def test_a_reproduction_is_judged_by_both_intervals(interval, interval_90, verdict):
    found = reproduction(sum(interval) / 2, interval, interval_90, 65.0)
    assert found.verdict == verdict
    assert found.interval == pytest.approx([end - 65 for end in interval])
    assert found.difference == pytest.approx(sum(interval) / 2 - 65)


def test_the_margin_decides_and_must_be_positive():
    arguments = (65.5, (64.0, 67.0), (64.2, 66.8), 65.0)
    assert reproduction(*arguments, margin=2.0).verdict == "reproduced"
    assert reproduction(*arguments, margin=1.0).verdict == "undecided"
    with pytest.raises(HarnessError, match="margin=0"):
        reproduction(*arguments, margin=0)
