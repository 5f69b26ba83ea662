"""Referring expressions in RRSIS-D's manner, each true of exactly one object of its scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.data.drawing.predicates import Description, Predicate, holds, singles_out
from harness.data.drawing.scene import Thing
from harness.data.drawing.shapes import SHAPES

LONG_SHARE = 0.015
"""Sentences of more than twenty words, which a cut at twenty tokens shortens; RRSIS-D has a few, too."""
RECIPES: dict[tuple[str, ...], float] = {
    (): 3,
    ("position",): 8,
    ("colour",): 12,
    ("colour", "position"): 26,
    ("size",): 3,
    ("size", "colour"): 10,
    ("size", "position"): 3,
    ("size", "colour", "position"): 10,
    ("extreme",): 3,
    ("extreme", "colour"): 5,
    ("relation",): 3,
    ("colour", "relation"): 10,
    ("size", "relation"): 2,
    ("size", "colour", "relation"): 5,
    ("position", "relation"): 1,
}
"""Kinds of predicates a sentence has beside the category, and how often they are tried first.

Most name a colour: networks that start from scratch learn that within minutes, a position or a relation alone hardly.
"""


@dataclass(frozen=True)
class Expression:
    """A sentence and what it says."""

    text: str
    predicates: Description

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its predicates beside the category: the type of the sentence."""
        return tuple(predicate.kind for predicate in self.predicates if predicate.kind != "category")


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
    "upper left": ("in the upper left", "on the upper left", "in the upper left part of the image"),
    "upper right": ("in the upper right", "on the upper right", "in the upper right part of the image"),
    "lower left": ("in the lower left", "on the lower left", "in the lower left part of the image"),
    "lower right": ("in the lower right", "on the lower right", "in the lower right part of the image"),
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
            f"in the overhead picture of {LANDSCAPES[theme]}",
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
