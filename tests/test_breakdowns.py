import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.breakdowns import (
    BREAKDOWNS,
    LENGTHS,
    POSITIONS,
    RELATIONS,
    SIZES,
    bin_of,
    breakdown,
    relation,
    words,
)
from harness.errors import HarnessError
from harness.metrics import METRICS, summarize
from harness.samples import SCHEMA
from harness.statistics.summary import summarize_runs

SENTENCES = (
    "The ship",
    "The ship on the left",
    "The gray bridge on the upper left of the harbor",
    "The largest of the storage tanks",
    "A very small vehicle that one sees next to the white one on the road",
)


def table(n=120, *, seeds=(0,), **columns):
    """Draw a per-sample table, some true masks empty; columns given replace the drawn ones, with each seed."""
    rng = np.random.default_rng(n)
    mask_area = np.where(rng.random(n) < 0.05, 0, (100 * rng.pareto(0.7, n)).clip(10, 200_000).astype(int))
    center = np.where(mask_area[:, None] > 0, rng.random((n, 2)), np.nan)
    shared = {
        "model": "mafn",
        "variant": "full",
        "split": "test",
        "protocol": "resized",
        "dataset": "drawn",
        "image_id": np.arange(n),
        "ref_id": np.arange(n) + 1000,
        "sentence": [SENTENCES[kind] for kind in rng.integers(0, len(SENTENCES), n)],
        "category": [("ship", "bridge", "vehicle")[kind] for kind in rng.integers(0, 3, n)],
        "mask_area": mask_area,
        "area_share": mask_area / 480**2,
        "center_x": center[:, 0],
        "center_y": center[:, 1],
        "cluster_id": np.arange(n) // 2,
        **columns,
    }
    runs = []
    for seed in seeds:
        own = np.random.default_rng([n, seed])
        hit = (shared["mask_area"] * own.random(n)).astype(int)
        run = pd.DataFrame(shared).assign(
            seed=seed, intersection=hit, union=shared["mask_area"] + own.integers(0, 300, n)
        )
        runs.append(run.assign(iou=run["intersection"] / run["union"].clip(lower=1))[SCHEMA.names])
    return pd.concat(runs)


def bins_of(by, **columns):
    return bin_of(pd.DataFrame(columns), by).tolist()


def test_every_breakdown_declares_what_it_is():
    assert list(BREAKDOWNS) == ["category", "size", "position", "length", "relation"]
    for name, chosen in BREAKDOWNS.items():
        assert chosen.name == name
        assert chosen.title
        assert set(chosen.columns) <= set(SCHEMA.names)
        assert chosen.bins is None or len(set(chosen.bins)) == len(chosen.bins)
    with pytest.raises(TypeError):
        BREAKDOWNS["size"] = BREAKDOWNS["length"]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (0, "no object"), (1, "under 0.1%"), (639, "under 0.1%"),
        (640, "0.1-0.5%"), (3_199, "0.1-0.5%"),
        (3_200, "0.5-2%"), (12_799, "0.5-2%"),
        (12_800, "2-10%"), (63_999, "2-10%"),
        (64_000, "10% and more"), (640_000, "10% and more"),
    ],
)  # fmt: skip
def test_the_edges_of_the_size_bins_in_an_image_of_800_pixels(pixels, expected):
    assert bins_of("size", area_share=[pixels / 800**2]) == [expected]


@pytest.mark.parametrize(
    ("y", "row"),
    [(0.0, "top"), (0.333, "top"), (1 / 3, ""), (0.666, ""), (2 / 3, "bottom"), (1.0, "bottom")],
)
@pytest.mark.parametrize(
    ("x", "column"),
    [(0.0, "left"), (0.333, "left"), (1 / 3, ""), (0.666, ""), (2 / 3, "right"), (1.0, "right")],
)
def test_the_edges_of_the_nine_positions(x, column, y, row):
    assert bins_of("position", center_x=[x], center_y=[y]) == [f"{row} {column}".strip() or "centre"]


def test_a_sample_without_a_centre_has_no_position():
    assert bins_of("position", center_x=[np.nan, 0.1], center_y=[np.nan, 0.9]) == ["no object", "bottom left"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "up to 4"), (1, "up to 4"), (4, "up to 4"), (5, "5-7"), (7, "5-7"), (8, "8-10"), (10, "8-10"),
     (11, "11 and more"), (40, "11 and more")],
)  # fmt: skip
def test_the_edges_of_the_lengths(count, expected):
    assert bins_of("length", sentence=[" ".join(["ship"] * count)]) == [expected]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The Ship, on the top-left.", ["the", "ship", "on", "the", "top", "left"]),
        ("a  harbor's\tpier_2", ["a", "harbor", "s", "pier", "2"]),
        ("Größte Brücke", ["größte", "brücke"]),
        (" - . ", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(sentence, expected):
    assert words(sentence) == expected


@pytest.mark.parametrize(
    ("expected", "sentences"),
    [
        (
            "none",
            [
                "The large ship", "A small gray vehicle", "", "...",
                # parts of other words
                "The leftover container", "The stop sign", "A forest at the topaz mine", "The brightly lit stadium",
                "The righteous centrepiece", "A sidewalk", "The crossover", "The nearside", "A northward road",
            ],
        ),
        (
            "absolute position",
            [
                "The ship in the upper left", "The top-left ship", "A DAM AT THE BOTTOM", "the ship on the right side",
                "The windmill in the centre", "The windmill in the center", "The middle baseball field",
                "The ship on the left of the image", "The ship on the left side of the whole picture",
                "The bridge in the upper part of the satellite image", "the dam in the middle of the top of the image",
                "The pool in the lower right corner of this aerial photograph", "A tank at the edge of the scene",
                "The northern runway", "The tank in the upper left part of the scene",
                "The court at the end of the left side of the image",
            ],
        ),
        (
            "relation to an object",
            [
                "The ship left of the harbor", "The ship on the left of the harbor in the upper left",
                "The vehicle on the upper right side of the road", "A tree at the side of the road",
                "A bridge in the middle of two ships", "the vehicle at the end of the bridge",
                "The vehicle next to the tank", "The ship NEAR the dock", "A court between two fields",
                "The pool in front of the stadium", "Two courts side by side", "The ship closest to the pier",
                "The largest ship above the dam", "The left vehicle is larger than the one below it",
                "The ship on the left of the imagery hangar", "A tank on the right of the image near the chimney",
            ],
        ),
        (
            "comparison",
            [
                "The largest ship", "The biggest tank on the left", "The rightmost ship", "The left-most ship",
                "A vehicle that is smaller than the rest", "the longest bridge in the middle of the image",
                "The nearest airplane", "The Topmost court",
            ],
        ),
    ],
)  # fmt: skip
def test_words_of_relation(expected, sentences):
    assert {sentence: relation(sentence) for sentence in sentences} == dict.fromkeys(sentences, expected)
    assert bins_of("relation", sentence=sentences) == [expected] * len(sentences)


@pytest.mark.parametrize(
    ("by", "bins"),
    [("size", SIZES), ("position", POSITIONS), ("length", LENGTHS), ("relation", RELATIONS)],
)
def test_bins_are_categories_in_their_declared_order(by, bins):
    samples = table(5)
    found = bin_of(samples, by)
    assert found.index.equals(samples.index)
    assert tuple(found.cat.categories) == bins
    assert found.cat.ordered
    assert found.notna().all()


def test_the_categories_are_those_found_sorted():
    found = bin_of(pd.DataFrame({"category": ["ship", "dam", "ship"]}, index=[7, 3, 5]), "category")
    assert found.cat.categories.tolist() == ["dam", "ship"]
    assert found.to_dict() == {7: "ship", 3: "dam", 5: "ship"}


def test_metrics_of_each_bin_by_hand():
    samples = table(
        5,
        category=["ship", "ship", "dam", "ship", "harbor"],
        cluster_id=[0, 1, 2, 2, 3],
        mask_area=np.full(5, 50),
    ).assign(intersection=[1, 9, 3, 0, 0], union=[2, 10, 4, 88, 0])
    dam, harbor, ship = breakdown(samples, "category", n_resamples=50)
    assert [(b.label, b.n, b.n_clusters) for b in (dam, harbor, ship)] == [
        ("dam", 1, 1), ("harbor", 1, 1), ("ship", 3, 3),
    ]  # fmt: skip
    assert {name: metric.value for name, metric in ship.metrics.items()} == {
        "P@0.5": pytest.approx(200 / 3), "P@0.6": pytest.approx(100 / 3), "P@0.7": pytest.approx(100 / 3),
        "P@0.8": pytest.approx(100 / 3), "P@0.9": pytest.approx(100 / 3), "oIoU": 10.0,
        "mIoU": pytest.approx(140 / 3),
    }  # fmt: skip
    assert list(ship.metrics) == list(METRICS)
    assert ship.metrics["mIoU"].interval[0] < ship.metrics["mIoU"].value < ship.metrics["mIoU"].interval[1]
    assert {metric.value for metric in harbor.metrics.values()} == {0.0}  # an empty union, as everywhere
    assert dam.metrics["mIoU"].value == dam.metrics["oIoU"].value == 75.0
    assert dam.metrics["P@0.7"].value == 100.0
    assert dam.metrics["P@0.8"].per_seed == (0.0,)


def test_one_cluster_has_values_without_intervals_and_no_sample_has_neither():
    samples = table(
        3, seeds=(3, 1), mask_area=np.full(3, 900), area_share=[0.0005, 0.0005, 0.05], cluster_id=[7, 7, 9]
    )
    found = {b.label: b for b in breakdown(samples, "size", n_resamples=20)}
    assert tuple(found) == SIZES
    for label, n in (("under 0.1%", 2), ("2-10%", 1)):
        part = samples[bin_of(samples, "size") == label]
        assert (found[label].n, found[label].n_clusters) == (n, 1)
        for name, metric in found[label].metrics.items():
            each = [summarize(part[part["seed"] == seed])[name] for seed in (1, 3)]
            assert metric.per_seed == tuple(each)
            assert metric.value == pytest.approx(sum(each) / 2)
            assert metric.interval is None
    assert [(b.n, b.n_clusters, b.metrics) for b in found.values() if b.n == 0] == [(0, 0, {})] * 4


@pytest.mark.parametrize("by", BREAKDOWNS)
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 5)])
def test_the_bins_are_a_partition_of_the_table(by, seeds):
    samples = table(200, seeds=seeds)
    bins = breakdown(samples, by, n_resamples=20)
    assert sum(b.n for b in bins) == 200
    for place, seed in enumerate(seeds):
        run = samples[samples["seed"] == seed]
        whole, sums = (
            summarize(run),
            run.groupby(bin_of(run, by), observed=False)[["intersection", "union"]].sum(),
        )
        filled = [b for b in bins if b.n]
        for b in filled:
            hit, union = sums.loc[b.label]
            assert b.metrics["oIoU"].per_seed[place] == pytest.approx(100 * hit / union if union else 0.0)
        assert whole["oIoU"] == pytest.approx(100 * sums["intersection"].sum() / sums["union"].sum())
        for name in set(METRICS) - {"oIoU"}:
            weighted = sum(b.n * b.metrics[name].per_seed[place] for b in filled) / 200
            assert weighted == pytest.approx(whole[name])
    for b in bins:
        for metric in b.metrics.values():
            assert metric.value == pytest.approx(np.mean(metric.per_seed))
            assert len(metric.per_seed) == len(seeds)
            assert metric.interval is None or metric.interval[0] <= metric.interval[1]


def test_intervals_are_those_of_the_bin_alone():
    samples = table(150, seeds=(0, 1)).rename(columns={"cluster_id": "scene"})
    options = {"n_resamples": 64, "seed": 9, "cluster": "scene", "confidence": 0.8}
    for b in breakdown(samples, "length", **options):
        alone = summarize_runs(samples[bin_of(samples, "length") == b.label], **options)
        assert (b.n, b.n_clusters) == (alone.n, alone.n_clusters)
        for name, metric in alone.metrics.items():
            assert (b.metrics[name].value, b.metrics[name].interval, b.metrics[name].per_seed) == (
                metric.value, metric.interval, metric.per_seed,
            )  # fmt: skip


def test_the_order_of_the_rows_changes_nothing():
    samples = table(80, seeds=(0, 1))
    shuffled = samples.sample(frac=1, random_state=3)
    assert breakdown(shuffled, "relation", n_resamples=30) == breakdown(samples, "relation", n_resamples=30)


def test_an_empty_table_has_empty_bins():
    samples = table(3)[:0]
    assert [(b.label, b.n, b.metrics) for b in breakdown(samples, "length")] == [
        (name, 0, {}) for name in LENGTHS
    ]
    assert breakdown(samples, "category") == []


def test_an_unknown_breakdown_and_missing_columns_are_named():
    with pytest.raises(
        HarnessError, match=r"no breakdown by 'sizes'. Did you mean 'size'\? Breakdowns: category, size,"
    ):
        breakdown(table(3), "sizes")
    for by, columns in (
        ("position", ["center_x", "center_y"]),
        ("length", ["sentence"]),
        ("size", ["cluster_id"]),
    ):
        with pytest.raises(
            HarnessError, match=f"lacks the column {', '.join(columns)}; `harness evaluate` writes it"
        ):
            breakdown(table(3).drop(columns=columns), by)


@pytest.mark.parametrize(
    ("by", "columns", "message"),
    [
        (
            "category",
            {"category": ["ship", None]},
            r"row 1 \(ref_id 1001\) of the per-sample table has no category",
        ),
        ("size", {"area_share": [0.1, np.nan]}, "row 1 .* has no area_share"),
        (
            "size",
            {"area_share": [12.0, 0.1]},
            "row 0 .* has area_share 12, a share of the image that is not between",
        ),
        ("position", {"center_y": [0.5, 240.0]}, "row 1 .* has center_y 240"),
        ("relation", {"sentence": ["a ship", None]}, "row 1 .* has no sentence"),
        ("category", {"cluster_id": [0, np.nan]}, "row 1 .* has no cluster_id"),
    ],
)
def test_values_that_cannot_be_are_named(by, columns, message):
    with pytest.raises(HarnessError, match=message):
        breakdown(table(2).assign(**columns), by)


def test_rows_that_are_not_one_model_on_the_same_data_are_refused():
    samples = table(20, seeds=(0, 1))
    for name in ("model", "variant", "dataset", "split", "protocol"):
        other = samples.assign(**{name: "another", "seed": samples["seed"] + 2})
        with pytest.raises(HarnessError, match=f"mixes several values of {name}"):
            breakdown(pd.concat([samples, other]), "category")
    first, second = samples[samples["seed"] == 0], samples[samples["seed"] == 1]
    moved = second.assign(category=np.roll(second["category"], 1))
    twice = pd.concat([first, first[:1], second[1:]])
    for damaged in (
        pd.concat([samples, first]),
        pd.concat([first, second[1:]]),
        pd.concat([first, moved]),
        twice,
    ):
        with pytest.raises(HarnessError, match=r"are not \d+ expressions once with each of \d seeds"):
            breakdown(damaged, "category")


def test_breakdowns_import_no_torch():
    code = "import sys, harness.breakdowns; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
