"""Drawn aerial scenes: the picture of a plan, with every object's own pixels.

Small images are drawn at twice their size and reduced. Objects are measured after drawing: what sentences speak about
is what is visible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from harness.data.drawing.ground import Band, Box, paint_ground
from harness.data.drawing.layout import Placed, Plan
from harness.data.drawing.shapes import COLOUR_JITTER, PALETTE, SHAPES, Part, jittered

NOISE = (2.0, 7.0)
"""Range of the sensor noise's standard deviation, in grey levels."""
SHARP_FROM = 200
"""From this size on a scene is drawn at its own size and smoothed; below, at twice the size and reduced."""


@dataclass(frozen=True)
class Thing:
    """A drawn object as it is visible.

    Attributes:
        category: RRSIS-D's name.
        colour: key of PALETTE.
        box: x1, y1, x2, y2 of the mask in shares of the side, the far edges included.
        area: mask's share of the image.
    """

    category: str
    colour: str
    box: tuple[float, float, float, float]
    area: float

    @property
    def center(self) -> tuple[float, float]:
        """Centre of the box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Scene:
    """A drawn scene: RGB uint8 [size, size, 3], labels uint8 [size, size] (0 ground, i + 1 for things[i])."""

    theme: str
    image: np.ndarray
    labels: np.ndarray
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class _Figure:
    """An object ready to draw: its parts, their polygons in pixels, and where it stands."""

    placed: Placed
    parts: list[Part]
    polygons: list[list[tuple[float, float]]]

    def solid(self) -> Iterator[tuple[Part, list[tuple[float, float]]]]:
        """The parts that make up the mask."""
        return ((p, q) for p, q in zip(self.parts, self.polygons, strict=True) if p.solid)


def _in_pixels(parts: list[Part], box: Box, side: int) -> list[list[tuple[float, float]]]:
    """The parts' polygons in pixels of an image of `side` pixels."""
    points = np.array([point for part in parts for point in part.points])
    c, s = math.cos(box.angle) * box.length, math.sin(box.angle) * box.length
    turned = points @ np.array([[c, s], [-s, c]]) + (box.x, box.y)
    flat = [(x, y) for x, y in (turned * side - 0.5).tolist()]
    polygons, start = [], 0
    for part in parts:
        polygons.append(flat[start : start + len(part.points)])
        start += len(part.points)
    return polygons


def draw_scene(plan: Plan, size: int, rng: np.random.Generator) -> Scene:
    """Draw a planned scene and measure its objects.

    Everything but the grain of textures and the sensor noise is drawn from `rng` in an order that does not depend on
    the size: one plan and one seed give the same scene at any size.

    Args:
        plan: the scene.
        size: pixels a side of the result.
        rng: a generator for this scene's drawing.
    """
    factor = 2 if size < SHARP_FROM else 1
    side = size * factor
    (grain,) = rng.spawn(1)
    figures = [_figure(placed, side, rng) for placed in plan.objects]
    keep_free = [placed.box.grown(0.008) for placed in plan.objects]
    canvas = paint_ground(plan.ground, keep_free, side, rng, grain)
    draw = ImageDraw.Draw(canvas)
    for figure in figures:
        _paint_wake(draw, figure, plan.ground.water, side)
    _cast_shadows(canvas, figures, rng)
    labels = Image.new("L", (side, side))
    label_draw = ImageDraw.Draw(labels)
    for index, figure in enumerate(figures, start=1):
        for part, polygon in figure.solid():
            draw.polygon(polygon, fill=part.colour)
            label_draw.polygon(polygon, fill=index)
    canvas = canvas.reduce(factor) if factor > 1 else canvas.filter(ImageFilter.SMOOTH)
    visible = _reduce_labels(np.asarray(labels), len(plan.objects), factor)
    things = tuple(_measure(placed, visible == i + 1) for i, placed in enumerate(plan.objects))
    return Scene(plan.ground.theme, _exposed(canvas, rng, grain), visible, things)


def _figure(placed: Placed, side: int, rng: np.random.Generator) -> _Figure:
    main = jittered(PALETTE[placed.colour], COLOUR_JITTER, rng)
    parts = SHAPES[placed.category].draw(main, placed.box.width / placed.box.length, rng)
    return _Figure(placed, parts, _in_pixels(parts, placed.box, side))


def _paint_wake(draw: ImageDraw.ImageDraw, figure: _Figure, water: Band | None, side: int) -> None:
    """Paint what belongs to the ground around an object, unless it would run ashore."""
    for part, polygon in zip(figure.parts, figure.polygons, strict=True):
        if part.solid or water is None:
            continue
        if min(water.depth((x + 0.5) / side, (y + 0.5) / side) for x, y in polygon) > 0:
            draw.polygon(polygon, fill=part.colour)


def _cast_shadows(canvas: Image.Image, figures: list[_Figure], rng: np.random.Generator) -> None:
    """Darken where the objects' shadows fall, away from the scene's one sun; no shadow belongs to a mask."""
    sun, strength, length = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.6), rng.uniform(0.6, 1.2)
    shadow = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(shadow)
    tone = round(255 * strength)
    for figure in figures:
        shape, box = SHAPES[figure.placed.category], figure.placed.box
        if shape.foot:
            (x, y), reach = box.at(-0.5, 0.0), shape.height * length * box.length
            x, y = x + math.cos(sun) * reach / 2, y + math.sin(sun) * reach / 2
            fallen = replace(box, x=x, y=y, length=reach, angle=sun)
            for polygon in _in_pixels(figure.parts, fallen, canvas.width):
                draw.polygon(polygon, fill=tone)
            continue
        reach = shape.height * min(box.length, 0.35) * length * canvas.width
        # The silhouette swept along the shadow, in steps of a few pixels.
        steps = min(12, math.ceil(reach / 3))
        for step in range(1, steps + 1):
            dx, dy = math.cos(sun) * reach * step / steps, math.sin(sun) * reach * step / steps
            for _, polygon in figure.solid():
                draw.polygon([(x + dx, y + dy) for x, y in polygon], fill=tone)
    canvas.paste((12, 14, 22), (0, 0), shadow)


def _reduce_labels(labels: np.ndarray, count: int, factor: int) -> np.ndarray:
    """Labels at the final size: a pixel belongs to the object that covers at least half of it."""
    if factor == 1:
        return labels
    size = labels.shape[0] // factor
    result = np.zeros((size, size), np.uint8)
    quarters = [labels[row::factor, column::factor] for row in range(factor) for column in range(factor)]
    for label in range(1, count + 1):
        covered = sum((quarter == label).astype(np.uint8) for quarter in quarters)
        result[2 * covered >= factor * factor] = label
    return result


def _measure(placed: Placed, mask: np.ndarray) -> Thing:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    side = mask.shape[0]
    box = (columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side)
    x1, y1, x2, y2 = (float(edge) for edge in box)
    return Thing(placed.category, placed.colour, (x1, y1, x2, y2), float(mask.mean()))


def _exposed(canvas: Image.Image, rng: np.random.Generator, grain: np.random.Generator) -> np.ndarray:
    """Exposure, a slight colour cast, haze and sensor noise."""
    gain, haze = rng.uniform(0.85, 1.08), rng.uniform(0, 18)
    table: list[float] = []
    for cast in rng.uniform(0.97, 1.03, 3).tolist():
        table += [min(255.0, level * gain * cast * (1 - haze / 255) + haze) for level in range(256)]
    pixels = np.asarray(canvas.point([round(level) for level in table])).astype(np.int16)
    sigma = rng.uniform(*NOISE)
    noise = grain.standard_normal(pixels.shape[:2], dtype=np.float32) * np.float32(sigma)
    noisy: np.ndarray = np.clip(pixels + noise.astype(np.int16)[..., None], 0, 255).astype(np.uint8)
    return noisy
