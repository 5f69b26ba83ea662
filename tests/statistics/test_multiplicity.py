import numpy as np
import pytest

from harness.statistics.multiplicity import holm


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.2], [0.2]),
        ([0.5, 0.6], [1.0, 1.0]),  # 2 x 0.5, then no smaller than that
        ([0.01, 0.01, 0.01], [0.03, 0.03, 0.03]),
        ([], []),
    ],
)
def test_by_hand(raw, adjusted):
    assert holm(raw) == pytest.approx(adjusted)


def test_rejects_exactly_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(200):
        raw = rng.random(7) ** 3
        alpha = rng.uniform(0.01, 0.2)
        rejected = set()
        for step, index in enumerate(
            np.argsort(raw)
        ):  # as Holm words it: stop at the first that is not rejected
            if raw[index] > alpha / (7 - step):
                break
            rejected.add(index)
        assert {index for index, p in enumerate(holm(raw)) if p <= alpha} == rejected


def test_the_order_does_not_matter():
    raw = np.random.default_rng(1).random(7)
    order = np.random.default_rng(2).permutation(7)
    assert holm(raw[order]) == [holm(raw)[index] for index in order]
