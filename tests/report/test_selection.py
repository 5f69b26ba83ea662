"""Which samples the gallery shows, and what the report says of the choice."""

import numpy as np
import pandas as pd

from harness.report.selection import choose, leaders, quantile_spread, rule


def indexed(values):
    return pd.MultiIndex.from_tuples([(number, "s") for number in values], names=["ref_id", "sentence"])


def test_samples_are_spread_over_the_quantiles():
    iou = pd.Series(np.random.default_rng(0).permutation(100) / 100, index=indexed(range(100)))
    assert iou.loc[quantile_spread(iou, 4)].tolist() == [0.12, 0.37, 0.62, 0.87]
    assert len(quantile_spread(iou.iloc[:3], 12)) == 3
    shuffled = iou.sample(frac=1, random_state=1)
    assert quantile_spread(shuffled, 5).tolist() == quantile_spread(iou, 5).tolist()  # whatever the row order


def made_up_iou(n=101):
    rng = np.random.default_rng(3)
    return pd.DataFrame(rng.uniform(0, 100, (n, 3)), index=indexed(range(n)), columns=["A", "B", "C"])


def test_one_half_is_a_cross_section_and_the_rest_disagrees_most():
    iou = made_up_iou()
    spread, found = iou.max(axis=1) - iou.min(axis=1), choose(iou, 21)
    across = {key for key, half in found.items() if half == "cross-section"}
    others = {key for key, half in found.items() if half == "disagreement"}
    assert across == set(quantile_spread(iou.mean(axis=1), 11))  # of all, not of what the other half left
    left = spread.drop(list(across)).sort_values(ascending=False)
    assert others == set(left.index[:10])
    assert [spread[key] for key in found] == sorted((spread[key] for key in found), reverse=True)


def test_the_choice_does_not_hang_on_the_order_of_rows_and_breaks_ties_by_expression():
    iou = made_up_iou().round(-1)  # many ties
    assert list(choose(iou.sample(frac=1, random_state=5), 30).items()) == list(choose(iou, 30).items())
    same = pd.DataFrame(50.0, index=indexed(range(8)), columns=["A", "B"])
    assert [key[0] for key in choose(same, 8)] == list(range(8))


def test_all_samples_where_there_are_not_so_many_and_one_model_cannot_disagree():
    iou = made_up_iou(7)
    assert set(choose(iou, 150)) == set(iou.index)
    assert list(choose(iou, 150).values()).count("disagreement") == 3
    assert set(choose(iou[["A"]], 4).values()) == {"cross-section"}


def test_the_rule_is_said_with_its_numbers():
    text = " ".join(rule(["cross-section"] * 3 + ["disagreement"] * 2, 1920, ["A", "B"]))
    assert "5 of the 1,920 test expressions with predictions of A and B" in text
    assert "none was picked by hand" in text
    assert (
        "Cross-section, 3: the expressions were ordered by the mean IoU of A and B, cut into 3 parts" in text
    )
    assert "Largest disagreement, 2: of all others those with the largest spread" in text
    assert "disagreement" not in " ".join(rule(["cross-section"] * 3, 9, ["A"]))


def test_the_highest_iou_wins_and_half_a_point_ties():
    assert leaders([10.0, 60.0, 59.4]) == [1]
    assert leaders([10.0, 60.0, 59.5]) == [1, 2]
    assert leaders([0.0, None, 0.0]) == [0, 2]
