"""The ground of a drawn scene: where water and roads lie, and the picture of it without the objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageOps

from harness.data.drawing.shapes import RGB, jittered, shade

# Dark and light end of each ground's texture.
GROUND_COLOURS: dict[str, tuple[RGB, RGB]] = {
    "grass": ((66, 90, 48), (128, 142, 88)),
    "farmland": ((92, 98, 54), (152, 146, 96)),
    "sand": ((182, 156, 114), (226, 206, 168)),
    "soil": ((112, 88, 64), (160, 132, 102)),
    "concrete": ((128, 128, 124), (176, 174, 168)),
    "town": ((104, 106, 102), (146, 144, 136)),
}
WATER_COLOURS: tuple[tuple[RGB, RGB], ...] = (
    ((24, 56, 84), (58, 100, 124)),
    ((38, 78, 72), (82, 120, 108)),
    ((52, 92, 108), (104, 142, 148)),
)
ASPHALT: RGB = (88, 88, 90)
ROOFS: tuple[RGB, ...] = ((150, 84, 66), (128, 122, 116), (172, 160, 146), (104, 92, 88), (190, 188, 182))
TREE: RGB = (44, 70, 38)


@dataclass(frozen=True)
class Box:
    """An oriented box in shares of the image side; `angle` turns its length from +x towards +y (down)."""

    x: float
    y: float
    length: float
    width: float
    angle: float

    def corners(self) -> list[tuple[float, float]]:
        """The four corners in order."""
        return [self.at(u, v) for u, v in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]

    def at(self, u: float, v: float) -> tuple[float, float]:
        """A point of the box: u along its length and v across, both in [-0.5, 0.5]."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        du, dv = u * self.length, v * self.width
        return self.x + du * c - dv * s, self.y + du * s + dv * c

    def grown(self, margin: float) -> Box:
        """The box with `margin` more on every side."""
        return replace(self, length=self.length + 2 * margin, width=self.width + 2 * margin)


def apart(a: Box, b: Box, gap: float) -> bool:
    """Whether a line separates the two boxes with at least `gap` between them (separating axes)."""
    dx, dy = b.x - a.x, b.y - a.y
    for first, second in ((a, b), (b, a)):
        turn = second.angle - first.angle
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        fc, fs = math.cos(first.angle), math.sin(first.angle)
        along = first.length + second.length * c + second.width * s
        across = first.width + second.length * s + second.width * c
        if abs(dx * fc + dy * fs) > along / 2 + gap or abs(dy * fc - dx * fs) > across / 2 + gap:
            return True
    return False


@dataclass(frozen=True)
class Band:
    """A line with waves across the image and what lies along it: a shore, a river or a road.

    Attributes:
        angle: direction of the line.
        offset: signed distance of the image's centre from it, to the left of the direction.
        half: half the width; math.inf for a shore, whose water fills one side.
        waves: (amplitude, frequency in cycles a side, phase) of the sines added to the line.
    """

    angle: float
    offset: float
    half: float
    waves: tuple[tuple[float, float, float], ...] = ()

    def local(self, x: float, y: float) -> tuple[float, float]:
        """Distance along the line from the point nearest to the image's centre, and signed distance from it."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        along = (x - 0.5) * c + (y - 0.5) * s
        return along, (y - 0.5) * c - (x - 0.5) * s - self.offset - self.wave(along)

    def wave(self, along: float) -> float:
        """Departure of the line from straight."""
        return sum(a * math.sin(2 * math.pi * f * along + p) for a, f, p in self.waves)

    def point(self, along: float, across: float) -> tuple[float, float]:
        """The image point at `along` and at `across` from the line: the inverse of `local`."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        t = across + self.offset + self.wave(along)
        return 0.5 + along * c - t * s, 0.5 + along * s + t * c

    def depth(self, x: float, y: float) -> float:
        """Distance inside the band, negative outside."""
        across = self.local(x, y)[1]
        return across if math.isinf(self.half) else self.half - abs(across)

    def outline(self) -> list[tuple[float, float]]:
        """The band as a polygon that reaches beyond the image."""
        steps = [-1 + i / 32 for i in range(65)] if self.waves else [-1.0, 1.0]
        near, far = (0.0, 2.0) if math.isinf(self.half) else (-self.half, self.half)
        return [self.point(s, near) for s in steps] + [self.point(s, far) for s in reversed(steps)]


@dataclass(frozen=True)
class Ground:
    """What a scene stands on.

    Attributes:
        theme: name of the kind of scene ("coast", "river", "town" ...).
        land: key of GROUND_COLOURS.
        water: a shore or a river.
        road: a straight road on the land.
        approaches: roads that lead to bridges and overpasses, drawn below water and road.
    """

    theme: str
    land: str
    water: Band | None = None
    road: Band | None = None
    approaches: tuple[Box, ...] = ()


def texture(side: int, grids: tuple[tuple[int, float], ...], rng: np.random.Generator) -> Image.Image:
    """Noise of several scales as an 8-bit image: (cells a side, share of the next finer layer) from coarse to fine."""
    layers = []
    for cells, weight in grids:
        cells = min(cells, side)
        values = rng.integers(0, 256, (cells, cells), dtype=np.uint8)
        layers.append((Image.fromarray(values).resize((side, side), Image.Resampling.BILINEAR), weight))
    image = layers[0][0]
    for layer, weight in layers[1:]:
        image = Image.blend(image, layer, weight)
    return image


def _coloured(grey: Image.Image, ends: tuple[RGB, RGB], rng: np.random.Generator) -> Image.Image:
    dark, light = (jittered(end, 14, rng) for end in ends)
    return ImageOps.colorize(grey, dark, light)


def _grid(angle: float, pitch: tuple[float, float], rng: np.random.Generator) -> list[Box]:
    """Cells of a turned grid that covers the image, with shifted origin."""
    shift_u, shift_v = rng.uniform(-0.5, 0.5, 2).tolist()
    reach_u, reach_v = math.ceil(0.75 / pitch[0]) + 1, math.ceil(0.75 / pitch[1]) + 1
    c, s = math.cos(angle), math.sin(angle)
    cells = []
    for i in range(-reach_u, reach_u + 1):
        for j in range(-reach_v, reach_v + 1):
            u, v = (i + shift_u) * pitch[0], (j + shift_v) * pitch[1]
            cells.append(Box(0.5 + u * c - v * s, 0.5 + u * s + v * c, pitch[0], pitch[1], angle))
    return cells


def _polygon(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], side: int, colour: RGB) -> None:
    draw.polygon([(x * side - 0.5, y * side - 0.5) for x, y in points], fill=colour)


def _draw_patches(image: Image.Image, rng: np.random.Generator) -> None:
    """Fields of different crops, blended over the texture."""
    side = image.width
    patches = image.copy()
    draw = ImageDraw.Draw(patches)
    crops: tuple[RGB, ...] = ((104, 120, 58), (150, 138, 84), (86, 104, 60), (134, 108, 74), (122, 132, 82))
    pitch = (rng.uniform(0.25, 0.5), rng.uniform(0.15, 0.35))
    for cell in _grid(rng.uniform(0, math.pi), pitch, rng):
        colour = jittered(crops[int(rng.integers(len(crops)))], 16, rng)
        _polygon(draw, cell.grown(-0.006).corners(), side, colour)
        for k in range(-4, 5, 2):
            row = [cell.at(-0.48, k / 10), cell.at(0.48, k / 10), cell.at(0.48, k / 10 + 0.06)]
            _polygon(draw, [*row, cell.at(-0.48, k / 10 + 0.06)], side, shade(colour, 0.93))
    image.paste(Image.blend(image, patches, 0.65))


def _draw_houses(
    image: Image.Image, keep_free: list[Box], water: Band | None, rng: np.random.Generator
) -> None:
    """Houses with shadows along streets; none under an object."""
    side = image.width
    draw = ImageDraw.Draw(image)
    angle = rng.uniform(0, math.pi)
    pitch = rng.uniform(0.1, 0.16)
    for cell in _grid(angle, (pitch, pitch * 0.85), rng):
        spread, turned, tone, chance = rng.random(4).tolist()
        if not (-0.1 < cell.x < 1.1 and -0.1 < cell.y < 1.1) or chance < 0.25:
            continue
        house = replace(cell, length=pitch * (0.45 + 0.25 * spread), width=pitch * (0.32 + 0.2 * turned))
        if water is not None and water.depth(house.x, house.y) > -pitch * 0.6:
            continue
        if not all(apart(house, box, 0.012) for box in keep_free):
            continue
        _polygon(draw, replace(house, x=house.x + 0.007, y=house.y + 0.007).corners(), side, (62, 62, 62))
        roof = jittered(ROOFS[int(tone * len(ROOFS))], 18, rng)
        _polygon(draw, house.corners(), side, roof)
        _polygon(
            draw,
            [house.at(u, v) for u, v in ((-0.5, 0), (0.5, 0), (0.5, 0.5), (-0.5, 0.5))],
            side,
            shade(roof, 0.8),
        )


def _draw_trees(
    image: Image.Image, keep_free: list[Box], water: Band | None, rng: np.random.Generator
) -> None:
    """Clumps of trees."""
    side = image.width
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 6))):
        cx, cy = rng.uniform(0, 1, 2).tolist()
        for dx, dy, size in rng.normal(0, 1, (int(rng.integers(3, 9)), 3)).tolist():
            radius = 0.012 + 0.004 * abs(size)
            tree = Box(cx + 0.05 * dx, cy + 0.05 * dy, 2 * radius, 2 * radius, 0.0)
            if water is not None and water.depth(tree.x, tree.y) > -0.02:
                continue
            if not all(apart(tree, box, 0.004) for box in keep_free):
                continue
            crown = jittered(TREE, 12, rng)
            for shift, scale, colour in (
                (0.006, 1.0, (34, 40, 30)),
                (0.0, 1.0, crown),
                (-0.003, 0.5, shade(crown, 1.12)),
            ):
                x, y, r = (tree.x + shift) * side, (tree.y + shift) * side, max(radius * scale * side, 1)
                draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _draw_apron(image: Image.Image, rng: np.random.Generator) -> None:
    """Joints between concrete slabs and yellow guide lines."""
    side = image.width
    draw = ImageDraw.Draw(image)
    angle = rng.uniform(0, math.pi)
    tone = jittered((122, 122, 118), 8, rng)
    for cell in _grid(angle, (0.16, 0.16), rng):
        a, b, d = cell.at(-0.5, -0.5), cell.at(0.5, -0.5), cell.at(-0.5, 0.5)
        for end in (b, d):
            draw.line([(p * side) for p in (*a, *end)], fill=tone, width=max(1, side // 400))
    for _ in range(2):
        line = Band(rng.uniform(0, math.pi), rng.uniform(-0.35, 0.35), 0.006)
        _polygon(draw, line.outline(), side, (206, 180, 70))


def _draw_road(image: Image.Image, road: Band) -> None:
    """Asphalt with light edges and a dashed centre line."""
    side = image.width
    draw = ImageDraw.Draw(image)
    _polygon(draw, replace(road, half=road.half * 1.1).outline(), side, (150, 146, 138))
    _polygon(draw, road.outline(), side, ASPHALT)
    thin = road.half * 0.05
    for side_of in (-1, 1):
        _polygon(
            draw,
            replace(road, half=thin, offset=road.offset + side_of * road.half * 0.85).outline(),
            side,
            (214, 214, 208),
        )
    step = road.half * 0.9
    for i in range(-int(0.75 / step), int(0.75 / step) + 1):
        dash = [road.point(i * step, -thin), road.point((i + 0.5) * step, -thin)]
        dash += [road.point((i + 0.5) * step, thin), road.point(i * step, thin)]
        _polygon(draw, dash, side, (220, 220, 214))


def paint_ground(
    ground: Ground, keep_free: list[Box], side: int, rng: np.random.Generator, grain: np.random.Generator
) -> Image.Image:
    """Draw the ground.

    Args:
        ground: what lies where.
        keep_free: boxes of the objects to come; houses and trees stay clear of them.
        side: pixels a side.
        rng: decides colours, houses and trees.
        grain: draws the textures, whose number of values depends on `side`.

    Returns:
        An RGB image of side x side pixels.
    """
    grey = texture(side, ((5, 0.0), (18, 0.4), (80, 0.3), (min(side, 400), 0.28)), grain)
    image = _coloured(grey, GROUND_COLOURS[ground.land], rng)
    blocked = list(keep_free) + list(ground.approaches)
    if ground.road is not None:
        road = ground.road
        blocked.append(Box(*road.point(0.0, 0.0), 3.0, 2.4 * road.half, road.angle))
    if ground.land == "farmland":
        _draw_patches(image, rng)
    if ground.theme == "airfield":
        _draw_apron(image, rng)
    if ground.land == "town":
        _draw_houses(image, blocked, ground.water, rng)
    if ground.land in ("grass", "farmland", "town"):
        _draw_trees(image, blocked, ground.water, rng)
    draw = ImageDraw.Draw(image)
    for approach in ground.approaches:
        _polygon(draw, approach.corners(), side, ASPHALT)
        _polygon(draw, replace(approach, width=approach.width * 0.06).corners(), side, (214, 214, 208))
    if ground.water is not None:
        _paint_water(image, ground.water, rng, grain)
    if ground.road is not None:
        _draw_road(image, ground.road)
    return image


def _paint_water(
    image: Image.Image, water: Band, rng: np.random.Generator, grain: np.random.Generator
) -> None:
    side = image.width
    ripples = texture(side, ((4, 0.0), (min(side, 160), 0.3)), grain)
    sea = _coloured(ripples, WATER_COLOURS[int(rng.integers(len(WATER_COLOURS)))], rng)
    inside = Image.new("L", image.size)
    ImageDraw.Draw(inside).polygon([(x * side - 0.5, y * side - 0.5) for x, y in water.outline()], fill=255)
    surf = Image.new("L", image.size)
    wider = water if math.isinf(water.half) else replace(water, half=water.half + 0.012)
    if math.isinf(water.half):
        wider = replace(water, offset=water.offset - 0.012)
    ImageDraw.Draw(surf).polygon([(x * side - 0.5, y * side - 0.5) for x, y in wider.outline()], fill=130)
    image.paste((206, 198, 176), (0, 0), ImageChops.subtract(surf, inside))
    image.paste(sea, (0, 0), inside)
