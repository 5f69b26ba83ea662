"""What sentences say of an object, and when it is clear.

A description is a set of predicates. Each predicate answers True, False or None about an object: None where people
might disagree (an object just left of the middle, orange against red, a ship hardly larger than another). A
description singles an object out when every predicate is True of it and, for each other object, at least one is False.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.drawing.scene import Thing

# Margins, in shares of the image side or as ratios of areas: what is True on one side of them, False on the other.
LEFT_CLEAR, LEFT_NEVER = 0.36, 0.52  # x of "on the left"; mirrored for the other sides
CORNER_CLEAR, CORNER_NEVER = 0.36, 0.54  # both coordinates of "in the upper left"
MIDDLE_CLEAR, MIDDLE_NEVER = 0.13, 0.24  # larger distance from the centre of "in the middle"
BESIDE_CLEAR = 0.10  # least distance of the centres along the direction of "on the left of"
NEXT_CLEAR, NEXT_NEVER = 0.10, 0.22  # gap between the boxes of "next to"
LARGEST_RATIO = 1.3  # "largest" against every other of the kind
LARGE_RATIO = 1.6  # "large" and "small" are said when a category's largest and smallest differ by this much
ALIKE_RATIO = 1.25  # and of those that come this near to either

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
    """Near the largest or near the smallest of the category, where these differ enough; None for those between."""
    areas = [other.area for other in things if other.category == thing.category]
    largest, smallest = max(areas), min(areas)
    if largest < LARGE_RATIO * smallest:
        return None
    if thing.area >= largest / ALIKE_RATIO:
        return value == "large"
    return value == "small" if thing.area <= smallest * ALIKE_RATIO else None


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
