"""Planning of a drawn scene: the kind of place, what stands on it and where.

Plans are in shares of the image side, so that one plan gives the same scene at any size. This file also holds what
decides how hard the set is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.data.drawing.ground import Band, Box, Ground, apart
from harness.data.drawing.shapes import SHAPES

# How hard the set is: the constants to turn.
OBJECTS: tuple[tuple[int, float], ...] = ((3, 0.48), (4, 0.34), (5, 0.18))
"""Number of objects of a scene and its probability: three to five are what RRSIS-D's crops tend to show."""
DISTRACTOR_SHARE = 0.6
"""Scenes planned with another object of the target's category (others get one by chance): without one the category's
name would do."""
SECOND_DISTRACTOR_SHARE = 0.2
"""Of those, scenes with a third of the kind: then one word seldom suffices."""
AREA_SCALE = 2.4
"""Factor on every category's range of areas; below 1 the set gets harder."""
CLOSE_UP_SHARE, CLOSE_UP_SCALE = 0.45, 2.5
"""Scenes seen from lower down, and the factor on their objects' areas: RRSIS-D, too, has objects of over 20%."""
MIN_WIDTH_PIXELS = 4.0
"""Shorter side of the smallest object at the final size: below 3 pixels no shape is left."""
GAP = 0.02
"""Least distance between two objects, in sides: masks never touch."""
MOST_CROSSINGS = 3
"""Bridges or overpasses of a scene: more would leave no ground for anything else."""

CROSSINGS = ("bridge", "overpass")
LINES = (*CROSSINGS, "harbor")


@dataclass(frozen=True)
class Theme:
    """A kind of scene: the grounds it may have, what may stand on it (with weights), its water, its roads."""

    lands: tuple[str, ...]
    categories: dict[str, float]
    water: str = ""
    road_share: float = 0.0


THEMES: dict[str, tuple[float, Theme]] = {
    "coast": (
        0.2,
        Theme(
            ("sand", "concrete", "grass", "town"),
            {"ship": 3, "harbor": 2.5, "storagetank": 1.2, "vehicle": 0.5, "chimney": 0.6, "windmill": 0.5},
            water="coast",
            road_share=0.2,
        ),
    ),
    "river": (
        0.15,
        Theme(
            ("grass", "farmland", "town", "soil"),
            {
                "bridge": 3,
                "ship": 1.5,
                "storagetank": 1,
                "vehicle": 0.5,
                "baseballfield": 0.6,
                "tenniscourt": 0.7,
            },
            water="river",
        ),
    ),
    "town": (
        0.25,
        Theme(
            ("town", "grass"),
            {
                "tenniscourt": 1.6,
                "basketballcourt": 1.6,
                "baseballfield": 1.4,
                "groundtrackfield": 1.6,
                "stadium": 1.7,
                "vehicle": 0.5,
            },
            road_share=0.35,
        ),
    ),
    "airfield": (0.12, Theme(("concrete", "grass"), {"airplane": 4, "vehicle": 0.7, "storagetank": 1})),
    "plant": (
        0.1,
        Theme(
            ("concrete", "soil", "sand"),
            {"storagetank": 2.5, "chimney": 2, "vehicle": 0.7, "basketballcourt": 0.5},
            road_share=0.4,
        ),
    ),
    "highway": (
        0.1,
        Theme(
            ("grass", "farmland", "town", "soil"),
            {"overpass": 2.5, "vehicle": 1.5, "tenniscourt": 0.6, "baseballfield": 0.6, "storagetank": 0.6},
            road_share=1.0,
        ),
    ),
    "country": (
        0.08,
        Theme(
            ("farmland", "grass", "sand"),
            {"windmill": 3, "vehicle": 0.7, "storagetank": 1, "airplane": 0.5, "baseballfield": 0.4},
            road_share=0.4,
        ),
    ),
}


@dataclass(frozen=True)
class Placed:
    """An object of the plan: its category, the name of its colour and its box (shares of the side)."""

    category: str
    colour: str
    box: Box


@dataclass(frozen=True)
class Plan:
    """A scene before it is drawn; `objects[0]` is the one meant to be the target."""

    ground: Ground
    objects: tuple[Placed, ...]


def _pick(weights: dict[str, float], rng: np.random.Generator) -> str:
    names = list(weights)
    values = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=values / values.sum()))]


def _waves(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    return tuple(
        (rng.uniform(0.005, size), rng.uniform(*cycles), rng.uniform(0, 2 * math.pi))
        for size, cycles in ((0.03, (0.4, 1.0)), (0.012, (1.5, 3.0)))
    )


def _plan_ground(name: str, theme: Theme, rng: np.random.Generator) -> Ground:
    angle = rng.uniform(0, 2 * math.pi)
    water = road = None
    if theme.water == "coast":
        water = Band(angle, rng.uniform(-0.18, 0.12), math.inf, _waves(rng))
    elif theme.water == "river":
        water = Band(angle, rng.uniform(-0.15, 0.15), rng.uniform(0.07, 0.17), _waves(rng))
    if rng.random() < theme.road_share:
        half = rng.uniform(0.035, 0.06) if name != "highway" else rng.uniform(0.05, 0.085)
        if water is not None:
            road = Band(angle, water.offset - rng.uniform(0.2, 0.35), half)
        else:
            road = Band(angle, rng.uniform(-0.3, 0.3), half)
    return Ground(name, theme.lands[int(rng.integers(len(theme.lands)))], water, road)


def _plan_categories(theme: Theme, rng: np.random.Generator) -> list[str]:
    """The target's category first, then its distractors, then the rest."""
    counts, shares = zip(*OBJECTS, strict=True)
    count = int(rng.choice(counts, p=shares))
    target = _pick(theme.categories, rng)
    categories = [target]
    if rng.random() < DISTRACTOR_SHARE:
        categories += [target] * (1 + (rng.random() < SECOND_DISTRACTOR_SHARE))
    while len(categories) < count:
        other = _pick(theme.categories, rng)
        if other not in CROSSINGS or categories.count(other) < MOST_CROSSINGS:
            categories.append(other)
    return categories


def _stand(category: str, area: float, ground: Ground, rng: np.random.Generator) -> Box | None:
    """A box for the object at a place that suits it, not yet compared with the others; None when it does not fit."""
    shape = SHAPES[category]
    aspect = rng.uniform(*shape.aspect)
    length = math.sqrt(area / (shape.fill * aspect))
    width = length * aspect
    if category in CROSSINGS:
        line = ground.water if category == "bridge" else ground.road
        if line is None:
            return None
        span = 2 * line.half * (1.2 if category == "bridge" else 1.5)
        length = max(length, span)
        width = min(max(area / length, 0.1 * length), 0.5 * length)
        x, y = line.point(rng.uniform(-0.45, 0.45), 0.0)
        skew = rng.uniform(-0.3, 0.3)
        return Box(x, y, length, width, line.angle + math.pi / 2 + skew + math.pi * (rng.random() < 0.5))
    if category == "harbor":
        if ground.water is None:
            return None
        x, y = ground.water.point(rng.uniform(-0.45, 0.45), width * 0.38)
        return Box(x, y, length, width, ground.water.angle + rng.uniform(-0.08, 0.08))
    if category == "vehicle" and ground.road is not None and rng.random() < 0.75:
        road = ground.road
        side = 1 if rng.random() < 0.5 else -1
        width = min(width, road.half * 0.75)
        x, y = road.point(rng.uniform(-0.6, 0.6), side * road.half * 0.45)
        return Box(x, y, width / aspect, width, road.angle + (math.pi if side < 0 else 0.0))
    x, y = rng.uniform(0.03, 0.97, 2).tolist()
    angle = rng.uniform(0, 2 * math.pi)
    if category == "ship" and ground.theme == "river" and ground.water is not None:
        angle = ground.water.angle + rng.uniform(-0.25, 0.25) + math.pi * (rng.random() < 0.5)
        x, y = ground.water.point(rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5) * ground.water.half)
    return Box(x, y, length, width, angle)


def _suits(category: str, box: Box, ground: Ground) -> bool:
    """Whether the box lies within the image and on the ground that the category needs."""
    corners = box.corners()
    if not all(0.012 <= p <= 0.988 for corner in corners for p in corner):
        return False
    if category in LINES:
        return True
    middles = [box.at(u, v) for u, v in ((0, 0), (-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))]
    if ground.water is not None:
        depths = [ground.water.depth(x, y) for x, y in (*corners, *middles)]
        if category == "ship":
            return min(depths) > 0.008
        if max(depths) > -0.015:
            return False
    elif category == "ship":
        return False
    if ground.road is not None:
        depths = [ground.road.depth(x, y) for x, y in (*corners, *middles)]
        if category == "vehicle" and min(depths) > 0:
            return True
        return max(depths) < -0.01 and len({ground.road.local(x, y)[1] > 0 for x, y in corners}) == 1
    return True


def plan_scene(size: int, rng: np.random.Generator) -> Plan:
    """Plan a scene: grounds, categories, and boxes that keep apart.

    Args:
        size: pixels a side, which bounds the smallest object from below.
        rng: the scene's own generator.
    """
    while True:
        name = _pick({key: weight for key, (weight, _) in THEMES.items()}, rng)
        theme = THEMES[name][1]
        ground = _plan_ground(name, theme, rng)
        wanted = _plan_categories(theme, rng)
        scale = AREA_SCALE * (CLOSE_UP_SCALE if rng.random() < CLOSE_UP_SHARE else 1.0)
        areas = [
            math.exp(rng.uniform(*np.log(SHAPES[category].area).tolist())) * scale for category in wanted
        ]
        # Crossings first, as their roads block land; then by size, as the largest has the least choice.
        order = sorted(range(len(wanted)), key=lambda i: (wanted[i] not in LINES, -areas[i]))
        placed: dict[int, Placed] = {}
        approaches: list[Box] = []
        for i in order:
            box = _find_place(
                wanted[i], areas[i], ground, [p.box for p in placed.values()], approaches, size, rng
            )
            if box is None:
                continue
            colours = SHAPES[wanted[i]].colours
            placed[i] = Placed(wanted[i], colours[int(rng.integers(len(colours)))], box)
            if wanted[i] in CROSSINGS:
                approaches.append(replace(box, length=3.0, width=box.width * 0.8))
        twins_wanted, twins = (
            wanted.count(wanted[0]) > 1,
            [p.category for p in placed.values()].count(wanted[0]),
        )
        if len(placed) >= OBJECTS[0][0] and 0 in placed and (twins > 1 or not twins_wanted):
            objects = tuple(placed[i] for i in sorted(placed))
            return Plan(replace(ground, approaches=tuple(approaches)), objects)


def _find_place(
    category: str,
    area: float,
    ground: Ground,
    others: list[Box],
    approaches: list[Box],
    size: int,
    rng: np.random.Generator,
) -> Box | None:
    """Try places, a little smaller from time to time; None when nothing fits."""
    for attempt in range(48):
        if attempt % 12 == 11:
            area *= 0.75
        box = _stand(category, area, ground, rng)
        if box is None:
            return None
        short = min(box.length, box.width)
        if short * size < MIN_WIDTH_PIXELS:
            factor = MIN_WIDTH_PIXELS / (short * size)
            box = replace(box, length=box.length * factor, width=box.width * factor)
        if not _suits(category, box, ground) or not all(apart(box, other, GAP) for other in others):
            continue
        if category in CROSSINGS:
            road = replace(box, length=3.0, width=box.width * 0.8)
            if not all(apart(road, other, GAP / 2) for other in others):
                continue
        elif not all(apart(box, road, GAP / 2) for road in approaches):
            continue
        return box
    return None
