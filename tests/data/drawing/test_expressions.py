"""Sentences are checked by a reader of its own, with plain thresholds, against what the scene file records."""

import collections
import itertools
import math
import re

import numpy as np
import pytest

from harness.data.drawing.expressions import describe
from harness.data.drawing.predicates import Predicate, holds, singles_out
from harness.data.drawing.scene import Thing
from harness.data.drawing.shapes import SHAPES
from harness.data.drawing.synthetic import make_scene

SENTENCES = 400
COLOURS = ("white", "gray", "black", "red", "orange", "yellow", "green", "blue", "brown")
ALIKE = ({"red", "orange"}, {"red", "brown"}, {"orange", "brown"}, {"orange", "yellow"}, {"gray", "black"})


@pytest.fixture(scope="module")
def spoken():
    return [make_scene(i, 96, 21) for i in range(1, SENTENCES + 1)]


def read(predicates, things, *, shift, mix_colours):
    """Indices of the things that a reader finds: cuts moved by `shift`, similar colours taken for one if told so."""

    def is_colour(thing, name):
        return thing.colour == name or (mix_colours and {thing.colour, name} in ALIKE)

    def center(i):
        box = things[i].box
        return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2

    def accepts(i, kind, value, anchor):
        thing = things[i]
        x, y = center(i)
        if kind == "category":
            return thing.category == value
        if kind == "colour":
            return is_colour(thing, value)
        if kind == "size":
            areas = [t.area for t in things if t.category == thing.category]
            middle = math.sqrt(min(areas) * max(areas))
            return (thing.area > middle) == (value == "large")
        if kind == "extreme":
            said = {p.kind: p.value for p in predicates}
            kin = [
                t.area
                for t in things
                if t.category == said["category"] and ("colour" not in said or is_colour(t, said["colour"]))
            ]
            return thing.area == (max(kin) if value == "largest" else min(kin))
        if kind == "position":
            cut = 0.45 + shift
            sides = {"left": x < cut, "right": x > 1 - cut, "top": y < cut, "bottom": y > 1 - cut}
            if value in sides:
                return sides[value]
            if value == "middle":
                return max(abs(x - 0.5), abs(y - 0.5)) < 0.18 + shift
            vertical, horizontal = value.split()
            return sides[{"upper": "top", "lower": "bottom"}[vertical]] and sides[horizontal]
        assert kind == "relation"
        (other,) = read(anchor, things, shift=shift, mix_colours=mix_colours)
        if other == i:
            return False
        if value == "next to":
            a, b = thing.box, things[other].box
            return max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3]) < 0.16 + shift
        ox, oy = center(other)
        bearing = math.degrees(math.atan2(y - oy, x - ox))
        toward = {
            "right of": 0,
            "lower right of": 45,
            "below": 90,
            "lower left of": 135,
            "left of": 180,
            "upper left of": -135,
            "above": -90,
            "upper right of": -45,
        }[value]
        width = 45 if len(value.split()) < 3 and value != "next to" else 30
        return abs((bearing - toward + 180) % 360 - 180) < width + shift * 100

    return [
        i
        for i in range(len(things))
        if all(accepts(i, p.kind, p.value, p.anchor) for p in predicates)
    ]  # fmt: skip


@pytest.mark.parametrize("shift", [-0.04, 0.0, 0.04])
@pytest.mark.parametrize("mix_colours", [False, True])
def test_every_sentence_means_one_object_to_any_reader(spoken, shift: float, mix_colours: bool) -> None:
    for scene, target, expression in spoken:
        found = read(expression.predicates, scene.things, shift=shift, mix_colours=mix_colours)
        assert found == [target], expression


def test_words_say_the_predicates_and_nothing_else(spoken) -> None:
    def flat(predicates):
        return [p for outer in predicates for p in (outer, *flat(outer.anchor))]

    for _, _, expression in spoken:
        text = expression.text.lower()
        said = flat(expression.predicates)
        values = collections.defaultdict(list)
        for predicate in said:
            values[predicate.kind].append(predicate.value)
        assert sorted(re.findall("|".join(COLOURS), text)) == sorted(values["colour"])
        names = "|".join(rf"\b{SHAPES[name].words}\b" for name in SHAPES)
        assert sorted(re.findall(names, text)) == sorted(SHAPES[name].words for name in values["category"])
        sizes = re.findall(r"\b(?:big|large|small|bigg?est|largest|smallest)\b", text)
        sizes = [word.replace("biggest", "largest").replace("big", "large") for word in sizes]
        assert sorted(sizes) == sorted(values["size"] + values["extreme"])
        places = " ".join(values["position"] + values["relation"])
        sides = re.findall(r"\b(?:left|right)\b", text)
        assert sorted(sides) == sorted(re.findall(r"\b(?:left|right)\b", places))
        relations = re.findall(r"\b(?:above|below)\b", text)
        assert sorted(relations) == sorted(re.findall(r"\b(?:above|below)\b", places))
        assert len(re.findall(r"\b(?:next to|near|close to)\b", text)) == places.count("next to")
        assert text[0] in "ait"
        assert expression.text[0].isupper()
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  |\ban? (?:largest|smallest|biggest)", text)


def test_most_sentences_are_needed(spoken) -> None:
    """The category's name alone fits more than one object in most scenes."""
    ambiguous = sum(
        sum(t.category == scene.things[target].category for t in scene.things) > 1
        for scene, target, _ in spoken
    )
    assert ambiguous / len(spoken) > 0.8


def test_sentences_vary_in_kind_and_length(spoken) -> None:
    kinds = collections.Counter(kind for _, _, e in spoken for kind in e.kinds)
    for kind, least in (
        ("colour", 0.3),
        ("position", 0.25),
        ("relation", 0.2),
        ("size", 0.1),
        ("extreme", 0.05),
    ):
        assert kinds[kind] / SENTENCES > least, kind
    relations = {p.value for _, _, e in spoken for p in e.predicates if p.kind == "relation"}
    assert relations >= {
        "left of",
        "right of",
        "above",
        "below",
        "next to",
        "upper left of",
        "lower right of",
    }
    lengths = np.array([len(e.text.split()) for _, _, e in spoken])
    assert 5 < lengths.mean() < 11
    assert 0.002 < (lengths > 20).mean() < 0.04
    assert len({e.text for _, _, e in spoken}) > 0.8 * SENTENCES


def test_objects_of_one_look_are_told_apart_by_place(spoken) -> None:
    """In scenes with two of a category and colour, the sentence says more than category and colour."""
    hard = 0
    for scene, target, expression in spoken:
        thing = scene.things[target]
        if sum((t.category, t.colour) == (thing.category, thing.colour) for t in scene.things) > 1:
            hard += 1
            assert set(expression.kinds) - {"colour"}
    assert hard > 20


def ship(x: float, y: float, *, colour: str = "red", side: float = 0.1) -> Thing:
    return Thing("ship", colour, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), side**2 / 2)


SHIP = Predicate("category", "ship")


@pytest.mark.parametrize(
    ("x", "y", "yes", "no"),
    [
        (0.2, 0.5, {"left"}, {"right", "middle", "upper right", "lower right"}),
        (0.2, 0.2, {"left", "top", "upper left"}, {"right", "bottom", "middle", "lower right", "lower left"}),
        (0.5, 0.52, {"middle"}, set()),
        (
            0.8,
            0.9,
            {"right", "bottom", "lower right"},
            {"left", "top", "middle", "upper right", "lower left"},
        ),
    ],
)
def test_positions(x: float, y: float, yes: set[str], no: set[str]) -> None:
    places = ("left", "right", "top", "bottom", "middle")
    places += tuple(f"{v} {h}" for v, h in itertools.product(("upper", "lower"), ("left", "right")))
    thing = ship(x, y)
    answers = {place: holds(Predicate("position", place), thing, [thing], ()) for place in places}
    assert {place for place in places if answers[place] is True} == yes
    assert {place for place in places if answers[place] is False} >= no


def test_a_place_near_the_middle_line_is_neither_left_nor_right() -> None:
    thing = ship(0.47, 0.2)
    assert holds(Predicate("position", "left"), thing, [thing], ()) is None
    assert holds(Predicate("position", "right"), thing, [thing], ()) is False


def test_similar_colours_do_not_tell_objects_apart() -> None:
    red, orange, blue = ship(0.2, 0.2), ship(0.8, 0.2, colour="orange"), ship(0.5, 0.8, colour="blue")
    assert not singles_out((SHIP, Predicate("colour", "red")), red, [red, orange])
    assert singles_out((SHIP, Predicate("colour", "red")), red, [red, blue])


def test_largest_needs_a_margin_and_compares_within_the_colour() -> None:
    large, near, blue = (
        ship(0.2, 0.2, side=0.2),
        ship(0.8, 0.2, side=0.19),
        ship(0.5, 0.8, side=0.3, colour="blue"),
    )
    largest = Predicate("extreme", "largest")
    assert not singles_out((SHIP, largest), large, [large, near])
    assert singles_out((SHIP, largest), blue, [large, near, blue])
    small = ship(0.8, 0.2, side=0.1)
    assert singles_out((SHIP, Predicate("colour", "red"), largest), large, [large, small, blue])
    assert not singles_out((SHIP, largest), large, [large, small, blue])


def test_an_object_of_middling_size_is_neither_large_nor_small() -> None:
    things = [ship(0.2, 0.2, side=0.1), ship(0.5, 0.2, side=0.14), ship(0.8, 0.2, side=0.2)]
    answers = [[holds(Predicate("size", v), t, things, ()) for t in things] for v in ("large", "small")]
    assert answers == [[False, None, True], [True, None, False]]


def test_relation_to_an_ambiguous_object_is_no_description() -> None:
    target, first, second = ship(0.2, 0.5, colour="blue"), ship(0.5, 0.5), ship(0.8, 0.5)
    vague = Predicate("relation", "left of", (SHIP, Predicate("colour", "red")))
    assert holds(vague, target, [target, first, second], ()) is None
    assert holds(vague, target, [target, first], ()) is True


def test_twins_on_one_spot_of_the_scale_get_no_sentence() -> None:
    """Two equal ships, neither clearly on a side nor clearly beside the other: nothing to say."""
    first, second = ship(0.5, 0.46, side=0.04), ship(0.5, 0.51, side=0.04)
    assert describe([first, second], first, "coast", np.random.default_rng(0)) is None
