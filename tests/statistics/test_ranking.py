import json
from itertools import combinations

import pytest
from sample_tables import counts_table, sample_table
from statsmodels.stats.multitest import multipletests

from harness.errors import HarnessError
from harness.metrics import METRICS, summarize
from harness.statistics import compare, compare_all


@pytest.fixture(scope="module")
def tables():
    return {
        "lavt": sample_table(80, model="lavt"),
        "rmsin": sample_table(80, model="rmsin", quality=0.05),
        "mafn": sample_table(80, quality=0.1),
    }


def test_all_pairs_are_one_family(tables):
    ranking = compare_all(tables, n_resamples=300)
    found = [(one.a.model, one.b.model) for one in ranking.comparisons]
    assert found == list(combinations(tables, 2))
    raw = [metric.p_value for one in ranking.comparisons for metric in one.metrics.values()]
    adjusted = [metric.p_adjusted for one in ranking.comparisons for metric in one.metrics.values()]
    assert len(raw) == 21
    assert adjusted == pytest.approx(multipletests(raw, method="holm")[1].tolist())
    assert {one.permutations for one in ranking.comparisons} == {8400}, (
        "20 * 21 / 0.05, for the family to reach 0.05"
    )
    assert {one.family for one in ranking.comparisons} == {"7 metrics of 3 pairs"}


def test_two_models_are_a_plain_comparison(tables):
    pair = {name: tables[name] for name in ("mafn", "lavt")}
    ranking = compare_all(pair, n_resamples=300)
    assert ranking.comparisons == (compare(*pair.values(), n_resamples=300),)


def test_a_choice_of_metrics_is_the_family(tables):
    ranking = compare_all(tables, n_resamples=300, metrics=["mIoU", "P@0.5"])
    assert [list(one.metrics) for one in ranking.comparisons] == [["P@0.5", "mIoU"]] * 3
    assert {one.family for one in ranking.comparisons} == {"2 metrics of 3 pairs"}
    assert list(ranking.ranks) == ["mIoU", "P@0.5"]
    with pytest.raises(HarnessError, match=r"no metric 'mIou'\. Did you mean 'mIoU'"):
        compare_all(tables, metrics=["mIou"])


def test_ranks_follow_the_values_and_resamples_say_how_sure(tables):
    ranking = compare_all(tables, n_resamples=500)
    for name in METRICS:
        ranks = ranking.ranks[name]
        values = [summarize(tables[rank.model])[name] for rank in ranks]
        assert values == sorted(values, reverse=True)
        assert [rank.value for rank in ranks] == pytest.approx(values)
        assert sum(rank.first for rank in ranks) >= 1
        assert all(1 <= rank.interval[0] <= rank.interval[1] <= 3 for rank in ranks)


def test_equal_models_share_their_places():
    a, b = counts_table([(5, 10)] * 6), counts_table([(4, 10)] * 6, model="b")
    ranking = compare_all({"a": a, "twin": a.assign(model="twin"), "b": b}, n_resamples=200)
    places = {rank.model: (rank.rank, rank.interval, rank.first) for rank in ranking.ranks["mIoU"]}
    assert places == {
        "a": (1.5, (1.5, 1.5), 1.0),
        "twin": (1.5, (1.5, 1.5), 1.0),
        "b": (3.0, (3.0, 3.0), 0.0),
    }


def test_seeds_may_differ_between_models(tables):
    several = {**tables, "mafn": sample_table(80, quality=0.1, seeds=(3, 4, 5))}
    record = compare_all(several, n_resamples=200).to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["comparisons"][1]["names"] == ["lavt", "mafn"]
    assert record["comparisons"][1]["b"]["seeds"] == [3, 4, 5]


def test_models_on_other_expressions_and_a_single_model(tables):
    with pytest.raises(HarnessError, match="do not hold the same expressions"):
        compare_all({**tables, "short": tables["lavt"].iloc[1:].assign(model="short")}, n_resamples=100)
    with pytest.raises(HarnessError, match="needs two at least"):
        compare_all({"lavt": tables["lavt"]})


def test_the_order_of_models_changes_no_figure(tables):
    there = compare_all(tables, n_resamples=200).ranks["mIoU"]
    back = compare_all(dict(reversed(tables.items())), n_resamples=200).ranks["mIoU"]
    assert {rank.model: rank for rank in there} == {rank.model: rank for rank in back}
