import numpy as np
import pandas as pd
import pytest
from sample_tables import sample_table

from harness.errors import HarnessError
from harness.metrics import sample_features
from harness.statistics.pairing import align, pair


def test_rows_are_joined_by_expression_not_by_position():
    a, b = sample_table(20, quality=0.1), sample_table(20, model="rmsin")
    joined = pair(a.sample(frac=1, random_state=1), b.sample(frac=1, random_state=2))
    assert np.array_equal(joined.features_a[:, 0], sample_features(a))
    assert np.array_equal(joined.features_b[:, 0], sample_features(b))
    assert joined.paired_on == ("dataset", "split", "protocol", "ref_id", "sentence")


def test_two_sentences_of_one_ref_are_two_expressions():
    a = sample_table(10)
    a["ref_id"] = np.repeat(np.arange(5), 2)
    b = a.iloc[::-1].assign(model="rmsin")
    joined = pair(a, b)
    assert joined.aligned.n == 10
    assert np.array_equal(joined.features_a, joined.features_b)


def test_missing_expressions_are_counted_and_named():
    a, b = sample_table(20), sample_table(20, model="rmsin")
    message = (
        r"A \(mafn-full\) and B \(rmsin-full\) do not hold the same expressions: 1 missing in A \(ref_id 1000\); "
        r"7 missing in B \(ref_id 1013, 1014, 1015, 1016, 1017, ...\). A has 19, B has 13"
    )
    with pytest.raises(HarnessError, match=message):
        pair(a.iloc[1:], b.iloc[:13])


def test_another_sentence_is_another_expression():
    a, b = sample_table(20), sample_table(20, model="rmsin")
    b.loc[3, "sentence"] = "The ship"
    with pytest.raises(HarnessError, match=r"1 missing in A \(ref_id 1003\); 1 missing in B \(ref_id 1003\)"):
        pair(a, b)


@pytest.mark.parametrize("column", ["split", "protocol", "dataset"])
def test_splits_protocols_and_datasets_do_not_mix(column):
    a = sample_table(20)
    with pytest.raises(HarnessError, match=f"cannot be paired: {column} '{a[column][0]}' against 'other'"):
        pair(a, a.assign(**{column: "other"}))
    with pytest.raises(HarnessError, match=f"mixes 2 values of {column}"):
        align(pd.concat([a, a.assign(**{column: "other"})]))


def test_several_models_in_one_table():
    with pytest.raises(HarnessError, match=r"mixes 2 values of model \(mafn, lavt\)"):
        align(pd.concat([sample_table(5), sample_table(5, model="lavt")]))


def test_duplicates_are_counted_and_named():
    a = sample_table(20)
    doubled = pd.concat([a, a.iloc[[4, 6]]])
    with pytest.raises(
        HarnessError, match=r"mafn-full: 2 expressions occur more than once.*ref_id 1004, 1006"
    ):
        pair(doubled, a)


@pytest.mark.parametrize("column", ["ref_id", "sentence", "seed", "cluster_id"])
def test_missing_values(column):
    a = sample_table(20)
    a[column] = a[column].astype(object)
    a.loc[5, column] = None
    with pytest.raises(HarnessError, match=f"mafn-full: 1 rows have no {column}"):
        align(a)


def test_missing_counts():
    a = sample_table(20).astype({"intersection": float})
    a.loc[5, "intersection"] = np.nan
    with pytest.raises(HarnessError, match=r"row 5 \(ref_id 1005\).*intersection nan"):
        align(a)


def test_no_rows_and_missing_columns():
    a = sample_table(5)
    with pytest.raises(HarnessError, match="no rows"):
        align(a.iloc[:0])
    with pytest.raises(HarnessError, match="lacks the column ref_id"):
        align(a.drop(columns="ref_id"))
    with pytest.raises(HarnessError, match="neither cluster_id nor image_id"):
        align(a.drop(columns=["cluster_id", "image_id"]))


def test_image_id_clusters_where_either_table_lacks_the_column():
    a, b = sample_table(20, images_a_cluster=4), sample_table(20, model="rmsin", images_a_cluster=4)
    assert pair(a, b).aligned.cluster == "cluster_id"
    assert pair(a, b, cluster="scene").aligned.cluster == "image_id"
    for one, other in ((a.drop(columns="cluster_id"), b), (a, b.drop(columns="cluster_id"))):
        assert pair(one, other).aligned.cluster == "image_id"


def test_different_clusters_or_true_masks_are_not_the_same_data():
    a, b = sample_table(20), sample_table(20, model="rmsin")
    with pytest.raises(HarnessError, match="cluster_id differs for 1 expressions, ref_id 1002"):
        pair(a, b.assign(cluster_id=b["cluster_id"].where(b["ref_id"] != 1002, 99)))
    with pytest.raises(HarnessError, match=r"true masks differ in size for 20 expressions.*native protocol"):
        pair(a, b.assign(mask_area=b["mask_area"] * 4))


def test_seeds_of_one_model_must_hold_the_same_expressions():
    a = sample_table(20, seeds=(0, 1))
    with pytest.raises(
        HarnessError, match=r"seeds 0 \(20 rows\) and 1 \(19 rows\) hold different expressions"
    ):
        align(a.iloc[:-1])
    a.loc[a.index[-1], "mask_area"] += 1
    with pytest.raises(HarnessError, match="hold different clusters or true masks"):
        align(a)


def test_all_seeds_of_both_are_used_whatever_they_are():
    a, b = sample_table(10, seeds=(0, 1, 2)), sample_table(10, model="rmsin", seeds=(4, 2))
    joined = pair(a, b)
    assert (joined.a.seeds, joined.b.seeds) == ((0, 1, 2), (2, 4))
    for table, features, seeds in ((a, joined.features_a, (0, 1, 2)), (b, joined.features_b, (2, 4))):
        for position, seed in enumerate(seeds):
            assert np.array_equal(features[:, position], sample_features(table[table["seed"] == seed]))
