import itertools
import math

import numpy as np
import pytest

from harness.data.drawing.ground import Band, Box, apart
from harness.data.drawing.layout import GAP, Plan, plan_scene
from harness.data.drawing.scene import Scene, draw_scene
from harness.data.drawing.shapes import PALETTE, SHAPES
from harness.data.drawing.synthetic import CATEGORIES, make_scene

SCENES = 250


def generator(index: int) -> np.random.Generator:
    return np.random.default_rng([11, index])


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [plan_scene(96, generator(i)) for i in range(SCENES)]


@pytest.fixture(scope="module")
def scenes(plans: list[Plan]) -> list[Scene]:
    return [draw_scene(plan, 96, generator(1000 + i)) for i, plan in enumerate(plans)]


def polygon_area(points: list[tuple[float, float]]) -> float:
    x, y = np.array(points).T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def test_categories_are_rrsisds_and_varied(plans: list[Plan]) -> None:
    assert set(SHAPES) <= set(CATEGORIES)
    assert {placed.category for plan in plans for placed in plan.objects} == set(SHAPES)
    assert len(SHAPES) >= 10


def test_colours_overlap_between_categories() -> None:
    for name in PALETTE:
        wearers = [category for category, shape in SHAPES.items() if name in shape.colours]
        assert len(wearers) >= 2, name


def test_scenes_hold_three_to_six_objects_that_keep_apart(plans: list[Plan]) -> None:
    for plan in plans:
        assert 3 <= len(plan.objects) <= 6
        for first, second in itertools.combinations(plan.objects, 2):
            assert apart(first.box, second.box, GAP * 0.99)
        corners = np.array([corner for placed in plan.objects for corner in placed.box.corners()])
        assert corners.min() > 0
        assert corners.max() < 1


def test_most_scenes_have_a_distractor_of_the_targets_category(plans: list[Plan]) -> None:
    with_twin = sum(
        sum(placed.category == plan.objects[0].category for placed in plan.objects) > 1 for plan in plans
    )
    assert with_twin / len(plans) > 0.8


def test_objects_stand_where_they_belong(plans: list[Plan]) -> None:
    seen = set()
    for plan in plans:
        for placed in plan.objects:
            water, road = plan.ground.water, plan.ground.road
            seen.add(placed.category)
            corners = placed.box.corners()
            wet = [water is not None and water.depth(x, y) > 0 for x, y in corners]
            if placed.category == "ship":
                assert all(wet)
            elif placed.category == "harbor":
                assert any(wet)
                assert not all(wet)
            elif placed.category == "bridge":
                assert water is not None
                assert water.depth(placed.box.x, placed.box.y) > 0
                assert not any(wet)
            elif placed.category == "overpass":
                assert road is not None
                assert road.depth(placed.box.x, placed.box.y) > 0
            else:
                assert not any(wet)
                on_road = [road is not None and road.depth(x, y) > 0 for x, y in corners]
                assert all(on_road) or not any(on_road)
                assert placed.category == "vehicle" or not any(on_road)
    assert {"ship", "harbor", "bridge", "overpass", "vehicle"} <= seen


def test_areas_reach_from_under_one_to_over_twenty_percent(scenes: list[Scene]) -> None:
    areas = [thing.area for scene in scenes for thing in scene.things]
    assert min(areas) < 0.007
    assert max(areas) > 0.2
    assert 0.01 < np.median(areas) < 0.05
    sides = [min(t.box[2] - t.box[0], t.box[3] - t.box[1]) * 96 for scene in scenes for t in scene.things]
    assert min(sides) >= 3


def test_things_measure_their_labels(scenes: list[Scene]) -> None:
    for scene in scenes[:50]:
        assert scene.image.shape == (96, 96, 3)
        assert scene.image.dtype == np.uint8
        assert scene.labels.max() == len(scene.things)
        for label, thing in enumerate(scene.things, start=1):
            rows, columns = np.nonzero(scene.labels == label)
            assert thing.area == pytest.approx(len(rows) / 96**2)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert np.array(thing.box) * 96 == pytest.approx(np.array(box))


def test_planned_boxes_hold_the_masks(plans: list[Plan], scenes: list[Scene]) -> None:
    for plan, scene in zip(plans, scenes, strict=True):
        for placed, thing in zip(plan.objects, scene.things, strict=True):
            corners = np.array(placed.box.corners())
            assert thing.box[0] >= corners[:, 0].min() - 0.03
            assert thing.box[1] >= corners[:, 1].min() - 0.03
            assert thing.box[2] <= corners[:, 0].max() + 0.03
            assert thing.box[3] <= corners[:, 1].max() + 0.03


def test_masks_show_the_colour_that_is_named(scenes: list[Scene]) -> None:
    """Over all objects of a colour, the median pixel under the masks of plainly coloured shapes."""
    plain = ("ship", "vehicle", "storagetank", "airplane", "bridge")
    names = ("white", "black", "red", "blue", "green", "yellow")
    for name in names:
        pixels = [
            np.median(scene.image[scene.labels == i + 1], axis=0)
            for scene in scenes
            for i, thing in enumerate(scene.things)
            if thing.colour == name and thing.category in plain
        ]
        mean = np.mean(pixels, axis=0)
        nearest = min(names, key=lambda other: float(np.abs(mean - PALETTE[other]).sum()))
        assert nearest == name, mean


def test_masks_are_objects_without_their_shadows() -> None:
    """A storage tank's mask has the area of its disc."""
    discs = 0
    for i in range(60):
        plan = plan_scene(200, generator(i))
        scene = draw_scene(plan, 200, generator(i))
        for placed, thing in zip(plan.objects, scene.things, strict=True):
            if placed.category == "storagetank":
                discs += 1
                assert thing.area == pytest.approx(math.pi / 4 * placed.box.length**2, rel=0.12)
    assert discs > 10


@pytest.mark.parametrize("size", [64, 97, 256, 400])
def test_any_size_gives_the_same_scene(size: int) -> None:
    for index in range(1, 7):
        plan = plan_scene(400, generator(index))
        ours, full = draw_scene(plan, size, generator(index)), draw_scene(plan, 400, generator(index))
        assert ours.image.shape == (size, size, 3)
        for small, large in zip(ours.things, full.things, strict=True):
            assert small.area == pytest.approx(large.area, rel=0.3, abs=0.005)
            assert np.abs(np.array(small.box) - large.box).max() < 2.5 / size


def test_large_images_are_drawn_sharp_and_varied() -> None:
    scene, target, _ = make_scene(1, 800, 0)
    assert scene.labels.shape == (800, 800)
    assert (scene.labels == target + 1).sum() > 100
    assert scene.image.std() > 10


def test_apart_measures_the_gap_between_turned_boxes() -> None:
    square = Box(0.5, 0.5, 0.2, 0.2, 0.0)
    diamond = Box(0.5 + 0.1 + 0.1 * math.sqrt(2) + 0.05, 0.5, 0.2, 0.2, math.pi / 4)
    assert apart(square, diamond, 0.049)
    assert not apart(square, diamond, 0.051)
    assert not apart(square, Box(0.52, 0.5, 0.01, 0.01, 1.0), 0.0)


def test_band_point_and_local_are_inverse() -> None:
    band = Band(0.7, 0.1, 0.15, ((0.03, 0.8, 1.0),))
    along, across = band.local(*band.point(0.3, -0.04))
    assert (along, across) == pytest.approx((0.3, -0.04))
    assert band.depth(*band.point(0.3, -0.04)) == pytest.approx(0.11)
    assert band.depth(*band.point(0.3, 0.2)) == pytest.approx(-0.05)


@pytest.mark.parametrize("category", list(SHAPES))
def test_shapes_fill_their_frame_and_state_their_area(category: str) -> None:
    shape = SHAPES[category]
    for index in range(5):
        aspect = float(np.mean(shape.aspect))
        parts = [p for p in shape.draw(PALETTE["gray"], aspect, generator(index)) if p.solid]
        points = np.array([point for part in parts for point in part.points])
        assert np.abs(points[:, 0]).max() <= 0.53
        assert np.abs(points[:, 1]).max() <= aspect / 2 * 1.12 + 0.03
        assert np.ptp(points[:, 0]) > 0.85
        largest = max(polygon_area(part.points) for part in parts)
        assert largest < shape.fill * aspect * 1.1
