"""Referring expressions in RRSIS-D's manner, each true of exactly one object of its scene.

A description is a set of predicates. Each predicate answers True, False or None about an object: None where people
might disagree (an object just left of the middle, orange against red, a ship hardly larger than another). A
description is accepted when every predicate is True of the target and, for each other object, at least one is False.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from harness.data.scene import Thing
from harness.data.shapes import SHAPES

# Margins, in shares of the image side or as ratios of areas: what is True on one side of them, False on the other.
LEFT_CLEAR, LEFT_NEVER = 0.40, 0.52  # x of "on the left"; mirrored for the other sides
CORNER_CLEAR, CORNER_NEVER = 0.42, 0.56  # both coordinates of "in the upper left"
MIDDLE_CLEAR, MIDDLE_NEVER = 0.13, 0.24  # larger distance from the centre of "in the middle"
BESIDE_CLEAR = 0.10  # least distance of the centres along the direction of "on the left of"
NEXT_CLEAR, NEXT_NEVER = 0.10, 0.22  # gap between the boxes of "next to"
LARGEST_RATIO = 1.3  # "largest" against every other of the kind
LARGE_RATIO = 1.6  # "large" against "small" ones of the category

CONFUSABLE: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("red", "orange"),
        ("red", "brown"),
        ("orange", "brown"),
        ("orange", "yellow"),
        ("gray", "black"),
    )
)

LONG_SHARE = 0.015
"""Sentences of more than twenty words, which a cut at twenty tokens shortens; RRSIS-D has a few, too."""
RECIPES: dict[tuple[str, ...], float] = {
    (): 4,
    ("position",): 16,
    ("colour",): 10,
    ("colour", "position"): 14,
    ("size",): 5,
    ("size", "colour"): 6,
    ("size", "position"): 6,
    ("size", "colour", "position"): 6,
    ("extreme",): 8,
    ("extreme", "colour"): 4,
    ("relation",): 10,
    ("colour", "relation"): 8,
    ("size", "relation"): 4,
    ("size", "colour", "relation"): 6,
    ("position", "relation"): 3,
}
"""Kinds of predicates a sentence has beside the category, and how often they are tried first."""


@dataclass(frozen=True)
class Predicate:
    """One thing a sentence says of its object.

    Attributes:
        kind: "category", "colour", "size", "extreme", "position" or "relation".
        value: for example "ship", "red", "small", "largest", "upper left", "next to".
        anchor: of a relation: the description of the other object.
    """

    kind: str
    value: str
    anchor: tuple[Predicate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        record: dict[str, Any] = {"kind": self.kind, "value": self.value}
        if self.anchor:
            record["anchor"] = [predicate.to_dict() for predicate in self.anchor]
        return record


Description = tuple[Predicate, ...]


@dataclass(frozen=True)
class Expression:
    """A sentence and what it says."""

    text: str
    predicates: Description

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its predicates beside the category: the type of the sentence."""
        return tuple(predicate.kind for predicate in self.predicates if predicate.kind != "category")


def _between(value: float, clear: float, never: float) -> bool | None:
    """True up to `clear`, False from `never` on, None between."""
    return True if value <= clear else False if value >= never else None


def _all_of(*answers: bool | None) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _position(value: str, thing: Thing) -> bool | None:
    x, y = thing.center
    toward = {"left": x, "right": 1 - x, "top": y, "bottom": 1 - y}
    if value in toward:
        return _between(toward[value], LEFT_CLEAR, LEFT_NEVER)
    if value == "middle":
        return _between(max(abs(x - 0.5), abs(y - 0.5)), MIDDLE_CLEAR, MIDDLE_NEVER)
    vertical, horizontal = value.split()
    return _all_of(
        _between(y if vertical == "upper" else 1 - y, CORNER_CLEAR, CORNER_NEVER),
        _between(toward[horizontal], CORNER_CLEAR, CORNER_NEVER),
    )


def _direction(value: str, thing: Thing, anchor: Thing) -> bool | None:
    """Whether `thing` lies in the named direction from `anchor`, seen from the anchor's centre."""
    dx, dy = thing.center[0] - anchor.center[0], thing.center[1] - anchor.center[1]
    if value == "next to":
        gap_x = max(thing.box[0] - anchor.box[2], anchor.box[0] - thing.box[2], 0.0)
        gap_y = max(thing.box[1] - anchor.box[3], anchor.box[1] - thing.box[3], 0.0)
        return _between(max(gap_x, gap_y), NEXT_CLEAR, NEXT_NEVER)
    axes = {"left of": (-dx, dy), "right of": (dx, dy), "above": (-dy, dx), "below": (dy, dx)}
    if value in axes:
        forward, sideways = axes[value]
        if forward <= 0 or abs(sideways) > 2 * forward:
            return False
        return True if forward >= BESIDE_CLEAR and abs(sideways) <= 0.75 * forward else None
    vertical, horizontal, _ = value.split()
    up, out = (-dy if vertical == "upper" else dy), (-dx if horizontal == "left" else dx)
    if min(up, out) <= 0:
        return False
    return True if min(up, out) >= BESIDE_CLEAR and 0.5 <= up / out <= 2 else None


def _size(value: str, thing: Thing, things: Sequence[Thing]) -> bool | None:
    """Large and small ones of a category, when the widest gap between their areas is wide enough."""
    areas = sorted(other.area for other in things if other.category == thing.category)
    gaps = [(b / a, b) for a, b in pairwise(areas)]
    if not gaps or max(gaps)[0] < LARGE_RATIO:
        return None
    is_large = thing.area >= max(gaps)[1]
    return is_large if value == "large" else not is_large


def _extreme(value: str, thing: Thing, things: Sequence[Thing], rest: Description) -> bool | None:
    """Largest or smallest of those that category and colour may mean."""
    kin = [
        other
        for other in things
        if all(holds(p, other, things, ()) is not False for p in rest if p.kind in ("category", "colour"))
    ]
    if thing not in kin or len(kin) < 2:
        return False if thing not in kin else None
    ordered = sorted(kin, key=lambda other: other.area, reverse=value == "largest")
    first, second = ordered[:2]
    if max(first.area / second.area, second.area / first.area) < LARGEST_RATIO:
        return None
    return thing is first


def holds(predicate: Predicate, thing: Thing, things: Sequence[Thing], rest: Description) -> bool | None:
    """Whether a predicate is true of `thing` among `things`; None where it is not clear.

    Args:
        predicate: the statement.
        thing: the object, one of `things`.
        things: all objects of the scene.
        rest: the whole description, which decides among whom "largest" compares.
    """
    match predicate.kind:
        case "category":
            return thing.category == predicate.value
        case "colour":
            if thing.colour == predicate.value:
                return True
            return None if frozenset((thing.colour, predicate.value)) in CONFUSABLE else False
        case "position":
            return _position(predicate.value, thing)
        case "size":
            return _size(predicate.value, thing, things)
        case "extreme":
            return _extreme(predicate.value, thing, things, rest)
        case "relation":
            meant = [other for other in things if singles_out(predicate.anchor, other, things)]
            if len(meant) != 1:
                return None
            return False if meant[0] is thing else _direction(predicate.value, thing, meant[0])
    raise ValueError(f"unknown kind of predicate {predicate.kind!r}")


def singles_out(description: Description, target: Thing, things: Sequence[Thing]) -> bool:
    """Whether the description is True of the target and clearly not of any other object."""
    if not all(holds(predicate, target, things, description) is True for predicate in description):
        return False
    return all(
        other is target
        or any(holds(predicate, other, things, description) is False for predicate in description)
        for other in things
    )


POSITIONS: dict[str, tuple[str, ...]] = {
    "left": (
        "on the left",
        "on the left side",
        "in the left part of the image",
        "on the left side of the image",
    ),
    "right": (
        "on the right",
        "on the right side",
        "in the right part of the image",
        "on the right side of the image",
    ),
    "top": ("at the top", "on the top", "in the upper part of the image", "at the top of the image"),
    "bottom": (
        "at the bottom",
        "on the bottom",
        "in the lower part of the image",
        "at the bottom of the image",
    ),
    "middle": ("in the middle", "in the center", "in the middle of the image", "in the center of the image"),
    "upper left": ("in the upper left", "on the upper left", "in the upper left corner"),
    "upper right": ("in the upper right", "on the upper right", "in the upper right corner"),
    "lower left": ("in the lower left", "on the lower left", "in the lower left corner"),
    "lower right": ("in the lower right", "on the lower right", "in the lower right corner"),
}
RELATIONS: dict[str, tuple[str, ...]] = {
    "left of": ("on the left of", "to the left of", "on the left side of"),
    "right of": ("on the right of", "to the right of", "on the right side of"),
    "above": ("above",),
    "below": ("below",),
    "upper left of": ("on the upper left of", "to the upper left of"),
    "upper right of": ("on the upper right of", "to the upper right of"),
    "lower left of": ("on the lower left of", "to the lower left of"),
    "lower right of": ("on the lower right of", "to the lower right of"),
    "next to": ("next to", "near", "close to"),
}
SIZES: dict[str, tuple[str, ...]] = {
    "large": ("large", "big"),
    "small": ("small",),
    "largest": ("largest", "biggest"),
    "smallest": ("smallest",),
}
LANDSCAPES: dict[str, str] = {
    "coast": "the coast",
    "river": "a river and its banks",
    "town": "a built-up area",
    "airfield": "an airfield",
    "plant": "an industrial area",
    "highway": "a wide road",
    "country": "the open country",
}


def _choose(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _facts(kind: str, target: Thing, things: Sequence[Thing], chosen: Description) -> list[Predicate]:
    """All predicates of a kind that are True of the target."""
    values: list[Predicate]
    if kind == "colour":
        values = [Predicate(kind, target.colour)]
    elif kind == "relation":
        values = [
            Predicate(kind, value, anchor)
            for other in things
            if other is not target
            for anchor in _anchors(other, things)
            for value in RELATIONS
        ]
    else:
        names = {
            "size": ("large", "small"),
            "extreme": ("largest", "smallest"),
            "position": tuple(POSITIONS),
        }[kind]
        values = [Predicate(kind, name) for name in names]
    return [p for p in values if holds(p, target, things, (*chosen, p)) is True]


def _anchors(other: Thing, things: Sequence[Thing]) -> Iterator[Description]:
    """Short descriptions that single out the object a relation refers to."""
    category = Predicate("category", other.category)
    colour = Predicate("colour", other.colour)
    positions = [Predicate("position", value) for value in POSITIONS]
    for description in ((category,), (category, colour), *((category, p) for p in positions)):
        if singles_out(description, other, things):
            yield description
            if len(description) == 1 or description[1].kind == "colour":
                return


def describe(
    things: Sequence[Thing], target: Thing, theme: str, rng: np.random.Generator
) -> Expression | None:
    """A sentence that means the target and nothing else, or None when no tried description does.

    Args:
        things: all objects of the scene.
        target: the one to describe.
        theme: kind of scene, named by some long sentences.
        rng: the scene's own generator.
    """
    recipes = list(RECIPES)
    weights = np.array(list(RECIPES.values()))
    order = rng.choice(len(recipes), len(recipes), replace=False, p=weights / weights.sum())
    long = rng.random() < LONG_SHARE
    for i in order.tolist():
        description: Description = (Predicate("category", target.category),)
        for kind in recipes[i]:
            options = _facts(kind, target, things, description)
            if not options:
                break
            description = (*description, options[int(rng.integers(len(options)))])
        else:
            if singles_out(description, target, things):
                return _long(description, target, things, theme, rng) if long else _short(description, rng)
    return None


def _noun_phrase(description: Description, rng: np.random.Generator) -> str:
    """Adjectives and the category's words: "small red ship"."""
    said = {predicate.kind: predicate.value for predicate in description}
    words = [_choose(SIZES[said[kind]], rng) for kind in ("extreme", "size") if kind in said]
    if "colour" in said:
        words.append(said["colour"])
    return " ".join([*words, SHAPES[said["category"]].words])


def _places(description: Description, rng: np.random.Generator) -> list[str]:
    """Phrases for position and relation."""
    phrases = []
    for predicate in description:
        if predicate.kind == "position":
            phrases.append(_choose(POSITIONS[predicate.value], rng))
        elif predicate.kind == "relation":
            anchor = " ".join([_noun_phrase(predicate.anchor, rng), *_places(predicate.anchor, rng)])
            phrases.append(f"{_choose(RELATIONS[predicate.value], rng)} the {anchor}")
    return phrases


def _article(phrase: str) -> str:
    return "an" if phrase[0] in "aeiou" else "a"


def _short(description: Description, rng: np.random.Generator) -> Expression:
    noun, places = _noun_phrase(description, rng), _places(description, rng)
    if not places:
        if any(p.kind == "extreme" for p in description):
            forms = [f"the {noun}", f"the {noun}", f"the {noun} in the image"]
        else:
            forms = [f"the {noun}", f"the {noun}", f"{_article(noun)} {noun}", f"the {noun} in the image"]
        text = _choose(forms, rng)
    else:
        place = " and ".join(places)
        indefinite = (
            f"the {noun}" if any(p.kind == "extreme" for p in description) else f"{_article(noun)} {noun}"
        )
        forms = [f"the {noun} {place}"] * 5
        forms += [f"{indefinite} {place}"] * 2
        forms += [f"the {noun} is {place}", f"the {noun} located {place}", f"the {noun} that is {place}"]
        text = _choose(forms, rng)
    return Expression(text[0].upper() + text[1:], description)


def _long(
    description: Description, target: Thing, things: Sequence[Thing], theme: str, rng: np.random.Generator
) -> Expression:
    """More than twenty words: an opening, what singles the object out, more that is true of it, a tail."""
    kinds = [predicate.kind for predicate in description]
    for kind in ("position", "relation"):
        options = _facts(kind, target, things, description) if kind not in kinds else []
        if options:
            description = (*description, options[int(rng.integers(len(options)))])
    noun, places = _noun_phrase(description, rng), _places(description, rng)
    place = " and ".join(places)
    opening = _choose(
        (
            f"in this aerial image of {LANDSCAPES[theme]}",
            f"in the scene of {LANDSCAPES[theme]} seen from above",
        ),
        rng,
    )
    text = f"{opening} there are several objects and the one to find is the {noun}"
    text += (
        f" that can be seen {place}"
        if place
        else " that can be seen together with other objects in the same image"
    )
    return Expression(text[0].upper() + text[1:], description)
