"""Shapes of the drawn categories: an object as a list of filled polygons in its own frame.

The frame's unit is the object's length; u runs along the length and v across, both around the centre, so that
the polygons fill about [-0.5, 0.5] x [-aspect / 2, aspect / 2]. Everything is a polygon, discs included: one kind
of part is quick to turn, scale, cast a shadow from and fill into the mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

RGB = tuple[int, int, int]
Points = list[tuple[float, float]]

# Colours overlap between categories on purpose: a colour word alone must not give the category away.
PALETTE: dict[str, RGB] = {
    "white": (232, 232, 228),
    "gray": (138, 140, 142),
    "black": (38, 38, 42),
    "red": (186, 48, 44),
    "orange": (222, 128, 46),
    "yellow": (224, 200, 66),
    "green": (58, 132, 66),
    "blue": (52, 98, 178),
    "brown": (128, 86, 56),
}
COLOUR_JITTER = 14  # per channel; keeps every colour nearer to its own name than to a clearly different one


@dataclass(frozen=True)
class Part:
    """A filled polygon; `solid` parts belong to the object's mask, the others are paint on the ground."""

    points: Points
    colour: RGB
    solid: bool = True


Draw = Callable[[RGB, float, np.random.Generator], list[Part]]


@dataclass(frozen=True)
class Shape:
    """What is drawn for a category.

    Attributes:
        draw: (main colour, aspect, generator) -> parts.
        aspect: range of width / length.
        area: range of the mask's share of the image; drawn log-uniformly.
        fill: the mask's share of the box length x width, about.
        colours: names of the colours it comes in.
        height: length of its shadow, as a share of its length.
        foot: it is seen from aside with its foot at u = -0.5: its shadow is its outline turned about the foot.
        words: what a sentence calls it.
    """

    draw: Draw
    aspect: tuple[float, float]
    area: tuple[float, float]
    fill: float
    colours: tuple[str, ...]
    height: float
    words: str
    foot: bool = False


def shade(colour: RGB, factor: float) -> RGB:
    """Darken (factor < 1) or lighten (factor > 1) a colour; black stays dark and red stays red."""
    if factor <= 1:
        red, green, blue = (round(c * factor) for c in colour)
    else:
        red, green, blue = (min(255, round(c + (factor - 1) * (40 + 0.6 * c))) for c in colour)
    return red, green, blue


def jittered(colour: RGB, spread: float, rng: np.random.Generator) -> RGB:
    """Move all channels together by at most `spread` and each by a third of it more: a gray stays gray."""
    together, *each = (rng.uniform(-spread, spread, 4) * (1, 1 / 3, 1 / 3, 1 / 3)).tolist()
    red, green, blue = (min(255, max(0, round(c + together + d))) for c, d in zip(colour, each, strict=True))
    return red, green, blue


def rectangle(u0: float, v0: float, u1: float, v1: float) -> Points:
    """Corners of an upright rectangle of the object's frame."""
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]


def arc(
    u: float, v: float, ru: float, rv: float, start: float = 0, stop: float = 2 * math.pi, steps: int = 28
) -> Points:
    """Points on an ellipse's arc, both ends included."""
    angles = [start + (stop - start) * i / steps for i in range(steps + 1)]
    return [(u + ru * math.cos(a), v + rv * math.sin(a)) for a in angles]


def stroke(points: Points, width: float, colour: RGB, *, solid: bool = True) -> list[Part]:
    """A line of some width, as one quadrilateral a segment."""
    parts = []
    for (u0, v0), (u1, v1) in pairwise(points):
        length = math.hypot(u1 - u0, v1 - v0) or 1.0
        du, dv = -(v1 - v0) / length * width / 2, (u1 - u0) / length * width / 2
        parts.append(
            Part(
                [(u0 + du, v0 + dv), (u1 + du, v1 + dv), (u1 - du, v1 - dv), (u0 - du, v0 - dv)],
                colour,
                solid,
            )
        )
    return parts


def mirrored(points: Points, colour: RGB) -> list[Part]:
    """The polygon and its mirror image across the length."""
    return [Part(points, colour), Part([(u, -v) for u, v in points], colour)]


WHITE: RGB = (236, 236, 232)
DARK: RGB = (48, 50, 54)
TURF: RGB = (84, 134, 68)


def airplane(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """Swept wings, tail plane and engines on a pointed fuselage; the nose is at +u."""
    tip = aspect / 2
    swept = rng.uniform(0.12, 0.2)
    wing = [(0.14, 0.05), (0.14 - swept - 0.06, tip), (0.14 - swept - 0.16, tip), (-0.1, 0.05)]
    tail = [(-0.36, 0.03), (-0.45, 0.18), (-0.5, 0.18), (-0.47, 0.03)]
    engine = rectangle(0.0, tip * 0.4 - 0.025, 0.13, tip * 0.4 + 0.025)
    body = [(0.5, 0.0), (0.46, 0.04), (0.36, 0.065), (-0.28, 0.065), (-0.5, 0.02)]
    hull = body + [(u, -v) for u, v in reversed(body)]
    light = shade(colour, 1.25)
    return [
        *mirrored(engine, shade(colour, 0.6)),
        *mirrored(wing, shade(colour, 0.92)),
        *mirrored(tail, shade(colour, 0.85)),
        Part(hull, colour),
        Part([(0.4, 0.015), (-0.45, 0.012), (-0.45, -0.012), (0.4, -0.015)], light),
        *stroke([(0.42, -0.035), (0.42, 0.035)], 0.03, DARK),
    ]


def ship(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A pointed hull with a light bridge near the stern and hatches or containers; a wake when it sails."""
    half = aspect / 2
    hull = [(0.5, 0.0), (0.42, half * 0.5), (0.28, half), (-0.46, half), (-0.5, half * 0.7)]
    hull += [(u, -v) for u, v in reversed(hull[1:])] + [hull[0]]
    parts = []
    if rng.random() < 0.5:
        foam: RGB = (170, 188, 192)
        parts.append(
            Part([(-0.45, half * 0.6), (-0.95, half * 1.3), (-0.8, 0.0), (-0.95, -half * 1.3), (-0.45, -half * 0.6)],
                 foam, solid=False)
        )  # fmt: skip
    parts.append(Part(hull, colour))
    deck = [(u * 0.9, v * 0.7) for u, v in hull]
    parts.append(Part(deck, shade(colour, 1.2)))
    if rng.random() < 0.5:
        for i in range(3):
            u = -0.2 + 0.17 * i
            parts.append(Part(rectangle(u, -half * 0.5, u + 0.1, half * 0.5), shade(colour, 0.72)))
    else:
        parts += stroke([(-0.2, 0.0), (0.34, 0.0)], half * 0.35, shade(colour, 0.65))
    parts.append(Part(rectangle(-0.42, -half * 0.7, -0.28, half * 0.7), WHITE))
    return parts


def storagetank(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A round tank: dark rim, lid, a stair across it."""
    turn = rng.uniform(0, 2 * math.pi)
    parts = [
        Part(arc(0, 0, 0.5, 0.5), shade(colour, 0.62)),
        Part(arc(0, 0, 0.44, 0.44), colour),
    ]
    if rng.random() < 0.5:
        parts.append(Part(arc(0, 0, 0.3, 0.3), shade(colour, 0.88)))
    end = (0.46 * math.cos(turn), 0.46 * math.sin(turn))
    return [
        *parts,
        *stroke([(0.0, 0.0), end], 0.05, shade(colour, 0.55)),
        Part(arc(0, 0, 0.06, 0.06, steps=8), DARK),
    ]


def _field_lines(lines: list[Points], width: float) -> list[Part]:
    return [part for line in lines for part in stroke(line, width, WHITE)]


def tenniscourt(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A court in a surround of another tone, white lines, a net across the middle."""
    half = aspect / 2
    u, v = 0.36, half * 0.62
    outline = [(-u, -v), (u, -v), (u, v), (-u, v), (-u, -v)]
    inner = shade(colour, 0.66) if rng.random() < 0.5 else shade(colour, 1.3)
    lines: list[Points] = [
        outline,
        [(-u, v * 0.75), (u, v * 0.75)],
        [(-u, -v * 0.75), (u, -v * 0.75)],
        [(-u * 0.55, -v * 0.75), (-u * 0.55, v * 0.75)],
        [(u * 0.55, -v * 0.75), (u * 0.55, v * 0.75)],
        [(-u * 0.55, 0.0), (u * 0.55, 0.0)],
    ]
    return [
        Part(rectangle(-0.5, -half, 0.5, half), colour),
        Part(rectangle(-u, -v, u, v), inner),
        *_field_lines(lines, 0.016),
        *stroke([(0.0, -v * 1.15), (0.0, v * 1.15)], 0.03, DARK),
    ]


def basketballcourt(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A court with painted keys at both ends, three-point arcs and a centre circle."""
    half = aspect / 2
    u, v = 0.46, half * 0.9
    key = shade(colour, 0.5) if rng.random() < 0.5 else (196, 88, 60) if colour[0] < 120 else (60, 92, 150)
    quarter = math.pi / 2
    parts = [Part(rectangle(-0.5, -half, 0.5, half), colour)]
    for end, start in ((-1, -quarter), (1, quarter)):
        parts.append(Part(rectangle(end * u, -v * 0.36, end * u * 0.6, v * 0.36), key))
        parts += stroke(arc(end * u, 0, 0.26, v * 0.82, start, start + math.pi, 10), 0.018, WHITE)
    parts.append(Part(arc(0, 0, 0.09, 0.09, steps=14), WHITE))
    parts.append(Part(arc(0, 0, 0.07, 0.07, steps=14), key))
    lines: list[Points] = [[(-u, -v), (u, -v), (u, v), (-u, v), (-u, -v)], [(0.0, -v), (0.0, v)]]
    return [*parts, *_field_lines(lines, 0.018)]


def baseballfield(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A quarter disc: outfield, dirt infield with its green square, foul lines from home plate at -u."""
    dirt = jittered((176, 126, 82), 16, rng)
    outfield = colour
    if max(abs(a - b) for a, b in zip(dirt, colour, strict=True)) < 60:
        dirt = shade(dirt, 1.35)
    start, stop = -math.pi / 4, math.pi / 4
    home = (-0.5, 0.0)
    return [
        Part([home, *arc(-0.5, 0, 1, 1, start, stop, 18)], shade(outfield, 0.8)),
        Part([(-0.47, 0.0), *arc(-0.5, 0, 0.93, 0.93, start * 0.97, stop * 0.97, 18)], outfield),
        Part([home, *arc(-0.5, 0, 0.5, 0.5, start, stop, 14)], dirt),
        Part([(-0.42, 0.0), (-0.27, 0.16), (-0.12, 0.0), (-0.27, -0.16)], TURF),
        Part(arc(-0.27, 0, 0.035, 0.035, steps=10), dirt),
        *stroke([(0.17, -0.67), home, (0.17, 0.67)], 0.016, WHITE),
    ]


def groundtrackfield(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A running track around a lawn, white lanes."""

    def oval(half: float) -> Points:
        straight = 0.5 - aspect / 2
        quarter = math.pi / 2
        return [
            *arc(straight, 0, half, half, -quarter, quarter, 12),
            *arc(-straight, 0, half, half, quarter, 3 * quarter, 12),
        ]

    half = aspect / 2
    turf = jittered(TURF, 14, rng)
    parts = [Part(oval(half), colour)]
    parts += stroke([*oval(half * 0.9), oval(half * 0.9)[0]], 0.007, WHITE)
    parts += stroke([*oval(half * 0.8), oval(half * 0.8)[0]], 0.007, WHITE)
    parts.append(Part(oval(half * 0.7), turf))
    u, v = 0.5 - aspect / 2, half * 0.55
    lines: list[Points] = [[(-u, -v), (u, -v), (u, v), (-u, v), (-u, -v)], [(0.0, -v), (0.0, v)]]
    if rng.random() < 0.7:
        parts += _field_lines(lines, 0.01)
    return parts


def stadium(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """An oval roof with ribs, dark stands inside, a pitch in the middle."""
    half = aspect / 2
    parts = [Part(arc(0, 0, 0.5, half), colour)]
    ribs = 20
    for i in range(ribs):
        c, s = math.cos(2 * math.pi * i / ribs), math.sin(2 * math.pi * i / ribs)
        parts += stroke([(0.36 * c, half * 0.7 * s), (0.49 * c, half * 0.98 * s)], 0.01, shade(colour, 0.72))
    parts.append(Part(arc(0, 0, 0.36, half * 0.7), shade(colour, 0.45)))
    parts.append(Part(arc(0, 0, 0.31, half * 0.6), shade(colour, 0.75)))
    u, v = 0.22, half * 0.4
    parts.append(Part(rectangle(-u, -v, u, v), jittered(TURF, 14, rng)))
    lines: list[Points] = [[(-u, -v), (u, -v), (u, v), (-u, v), (-u, -v)], [(0.0, -v), (0.0, v)]]
    return [*parts, *_field_lines(lines, 0.01)]


def bridge(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A long deck with light railings, dark expansion joints and a dashed centre line."""
    half = aspect / 2
    deck = rectangle(-0.5, -half, 0.5, half)
    parts = [Part(deck, colour)]
    for side in (-1, 1):
        parts += stroke(
            [(-0.5, side * half * 0.88), (0.5, side * half * 0.88)], half * 0.24, shade(colour, 1.45)
        )
    for i in range(5):
        u = -0.4 + 0.2 * i
        parts += stroke([(u, -half * 0.7), (u, half * 0.7)], 0.012, shade(colour, 0.55))
        parts += stroke([(u - 0.05, 0.0), (u + 0.05, 0.0)], half * 0.16, WHITE)
    return parts


def overpass(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A broad road deck: parapets of the main colour, asphalt lanes, a yellow line between the directions."""
    half = aspect / 2
    parts = [
        Part(rectangle(-0.5, -half, 0.5, half), colour),
        Part(rectangle(-0.5, -half * 0.72, 0.5, half * 0.72), shade(colour, 0.72)),
    ]
    parts += stroke([(-0.5, 0.0), (0.5, 0.0)], half * 0.12, (226, 190, 60))
    for side in (-1, 1):
        for i in range(6):
            u = -0.47 + 0.17 * i
            parts += stroke([(u, side * half * 0.36), (u + 0.08, side * half * 0.36)], half * 0.08, WHITE)
    return parts


def harbor(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A quay along the shore (-v) with piers into the water (+v)."""
    half = aspect / 2
    quay = -half + aspect * rng.uniform(0.22, 0.32)
    piers = int(rng.integers(3, 6))
    width = rng.uniform(0.3, 0.42) / piers
    parts = [Part(rectangle(-0.5, -half, 0.5, quay), colour)]
    for i in range(piers):
        u = -0.5 + width / 2 + (1 - width) * i / (piers - 1)
        parts.append(Part(rectangle(u - width / 2, quay - 0.02, u + width / 2, half), shade(colour, 0.9)))
        parts += stroke([(u, quay), (u, half * 0.96)], width * 0.3, shade(colour, 1.25))
    parts += stroke([(-0.48, quay), (0.48, quay)], 0.02, shade(colour, 0.6))
    for tone in (DARK, WHITE):
        u = rng.uniform(-0.4, 0.3)
        parts.append(Part(rectangle(u, -half * 0.92, u + 0.1, -half * 0.92 + (quay + half) * 0.6), tone))
    return parts


def vehicle(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A car or a lorry from above: body, windows, roof."""
    half = aspect / 2
    body = [(0.5, -half * 0.6), (0.5, half * 0.6), (0.44, half), (-0.46, half), (-0.5, half * 0.7)]
    body += [(u, -v) for u, v in reversed(body[2:])]
    parts = [Part(body, colour)]
    if rng.random() < 0.7:
        parts.append(Part(rectangle(0.12, -half * 0.78, 0.26, half * 0.78), DARK))
        parts.append(Part(rectangle(-0.42, -half * 0.7, -0.32, half * 0.7), DARK))
        parts.append(Part(rectangle(-0.3, -half * 0.72, 0.1, half * 0.72), shade(colour, 1.2)))
    else:
        parts.append(Part(rectangle(0.24, -half, 0.28, half), DARK))
        parts.append(Part(rectangle(-0.46, -half * 0.82, 0.2, half * 0.82), shade(colour, 1.15)))
    return parts


def windmill(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A tower from its foot at -u to the hub, three blades at any angle."""
    hub = (0.08, 0.0)
    parts = [
        Part([(-0.5, -0.05), (-0.5, 0.05), (hub[0], 0.03), (hub[0], -0.03)], shade(colour, 0.8)),
        Part(arc(-0.47, 0, 0.05, 0.06, steps=10), shade(colour, 0.6)),
    ]
    turn = rng.uniform(0, 2 * math.pi / 3)
    for i in range(3):
        a = turn + 2 * math.pi * i / 3
        c, s = math.cos(a), math.sin(a)
        blade = [(0.0, -0.025), (0.1, -0.055), (0.42, -0.012), (0.42, 0.012), (0.08, 0.035)]
        parts.append(Part([(hub[0] + u * c - v * s, hub[1] + u * s + v * c) for u, v in blade], colour))
    parts.append(Part(arc(*hub, 0.05, 0.05, steps=12), shade(colour, 0.7)))
    return parts


def chimney(colour: RGB, aspect: float, rng: np.random.Generator) -> list[Part]:
    """A tapering stack seen from aside: broad foot at -u, dark mouth at +u, bands around it."""
    half = aspect / 2
    top = half * 0.72
    mouth = 0.5 - top * 0.7
    band = WHITE if min(colour) < 190 else (178, 62, 52)

    def across(u: float) -> float:
        return half + (top - half) * (u + 0.5) / (mouth + 0.5)

    parts = [
        Part([(-0.5, -half), (-0.5, half), (mouth, top), (mouth, -top)], colour),
        Part([(-0.5, half * 0.3), (-0.5, half), (mouth, top), (mouth, top * 0.3)], shade(colour, 0.78)),
    ]
    for u in (0.05, 0.24):
        near, far = across(u), across(u + 0.08)
        parts.append(Part([(u, -near), (u, near), (u + 0.08, far), (u + 0.08, -far)], band))
    parts.append(Part(arc(mouth, 0, top * 0.7, top, steps=18), shade(colour, 1.15)))
    parts.append(Part(arc(mouth, 0, top * 0.45, top * 0.68, steps=14), (26, 26, 28)))
    return parts


# Areas: the median object covers about 3% of the image; the ranges overlap, so that size alone tells no category.
SHAPES: dict[str, Shape] = {
    "airplane": Shape(
        airplane, (0.8, 1.0), (0.007, 0.10), 0.31, ("white", "gray", "blue", "red", "yellow"), 0.06, "airplane"
    ),
    "baseballfield": Shape(
        baseballfield, (1.41, 1.42), (0.025, 0.28), 0.56, ("green", "brown", "orange"), 0.0, "baseball field"
    ),
    "basketballcourt": Shape(
        basketballcourt, (0.5, 0.62), (0.012, 0.11), 1.0, ("orange", "green", "blue", "red", "gray"), 0.0,
        "basketball court",
    ),
    "bridge": Shape(bridge, (0.14, 0.26), (0.012, 0.12), 1.0, ("gray", "white", "brown", "red"), 0.06, "bridge"),
    "chimney": Shape(
        chimney, (0.26, 0.4), (0.006, 0.05), 0.85, ("gray", "white", "red", "brown"), 1.0, "chimney", foot=True
    ),
    "groundtrackfield": Shape(
        groundtrackfield, (0.5, 0.62), (0.03, 0.30), 0.88, ("red", "blue", "brown", "orange", "gray"), 0.0,
        "ground track field",
    ),
    "harbor": Shape(harbor, (0.45, 0.75), (0.02, 0.20), 0.56, ("gray", "white", "brown"), 0.02, "harbor"),
    "overpass": Shape(overpass, (0.16, 0.28), (0.015, 0.14), 1.0, ("gray", "white", "brown"), 0.08, "overpass"),
    "ship": Shape(
        ship, (0.24, 0.36), (0.006, 0.08), 0.86, ("white", "gray", "black", "red", "blue", "orange"), 0.05, "ship"
    ),
    "stadium": Shape(stadium, (0.7, 0.95), (0.04, 0.34), 0.785, ("white", "gray", "blue", "red"), 0.08, "stadium"),
    "storagetank": Shape(
        storagetank, (1.0, 1.0), (0.006, 0.09), 0.78, ("white", "gray", "brown", "blue", "green"), 0.2,
        "storage tank",
    ),
    "tenniscourt": Shape(
        tenniscourt, (0.45, 0.58), (0.01, 0.10), 1.0, ("green", "blue", "red", "orange", "brown"), 0.0,
        "tennis court",
    ),
    "vehicle": Shape(
        vehicle, (0.42, 0.52), (0.004, 0.025), 0.95, ("white", "black", "red", "blue", "yellow", "gray"), 0.1,
        "vehicle",
    ),
    "windmill": Shape(
        windmill, (0.78, 0.86), (0.006, 0.05), 0.16, ("white", "gray", "orange", "yellow"), 0.9, "windmill", foot=True
    ),
}  # fmt: skip
