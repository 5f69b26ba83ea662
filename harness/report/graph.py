"""The pipeline as a drawing: stages in columns by how much comes before them, left to right."""

from collections.abc import Mapping, Sequence
from html import escape

from harness.report.pipeline import Pipeline, Stage

WIDTH, HEIGHT = 124, 52  # of a stage's box
STEP_X, STEP_Y = 158, 84  # from one column or row to the next
MARGIN = 8

Edge = tuple[str, str]


def columns(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest way to each stage from one without predecessor.

    Args:
        names: of the stages.
        edges: pairs (earlier, later). A stage that is on a cycle or behind one stands in the last column.
    """
    column = dict.fromkeys(names, 0)
    for _ in names:  # a way has fewer edges than there are stages
        for earlier, later in edges:
            column[later] = min(max(column[later], column[earlier] + 1), len(names) - 1)
    return column


def essential(edges: Sequence[Edge]) -> list[Edge]:
    """The edges that do not follow from others: no other way leads from one end to the other."""
    following: dict[str, list[str]] = {}
    for earlier, later in edges:
        following.setdefault(earlier, []).append(later)

    def reaches(start: str, goal: str) -> bool:
        waiting, seen = [other for other in following.get(start, ()) if other != goal], {start}
        while waiting:
            here = waiting.pop()
            if here == goal:
                return True
            if here not in seen:
                seen.add(here)
                waiting += following.get(here, ())
        return False

    return [edge for edge in edges if not reaches(*edge)]


def places(names: Sequence[str], edges: Sequence[Edge]) -> tuple[dict[str, tuple[int, int]], dict[Edge, int]]:
    """Column and row of every stage, and the row along which an edge passes the columns between its ends.

    A stage takes the first row that is free in its column, at or below that of its first predecessor. So do the edges
    that pass a column, after its stages, so that no line runs behind a box.
    """
    column = columns(names, edges)
    place: dict[str, tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    lanes: dict[Edge, int] = {}
    for at in range(max(column.values(), default=0) + 1):
        for name in (name for name in names if column[name] == at):
            rows = [
                lanes.get((earlier, later), place[earlier][1])
                for earlier, later in edges
                if later == name and earlier in place
            ]
            row = min(rows, default=0)
            while (at, row) in taken:
                row += 1
            place[name] = (at, row)
            taken.add((at, row))
        for edge in edges:
            if column[edge[0]] <= at < column[edge[1]] - 1:
                # One row for the whole length: free in every column that the line passes.
                row = lanes.get(edge, place[edge[0]][1])
                while (at + 1, row) in taken or _stands_at(names, column, at + 1, row):
                    row += 1
                lanes[edge] = row
                taken.add((at + 1, row))
    return place, lanes


def _stands_at(names: Sequence[str], column: Mapping[str, int], at: int, row: int) -> bool:
    """Whether the stages of a column need that row: the first rows are kept for them."""
    return row < sum(column[name] == at for name in names)


def draw(pipeline: Pipeline) -> str | None:
    """The graph as an <svg> element that follows light and dark; None without stages."""
    if not pipeline.stages:
        return None
    names = [stage.name for stage in pipeline.stages]
    edges = essential(pipeline.edges())
    place, lanes = places(names, edges)
    rows = 1 + max([row for _, row in place.values()] + list(lanes.values()))
    width = 2 * MARGIN + max(at for at, _ in place.values()) * STEP_X + WIDTH
    height = 2 * MARGIN + (rows - 1) * STEP_Y + HEIGHT
    words = "; ".join(f"{earlier} before {later}" for earlier, later in edges) or "no stage waits for another"
    parts = [
        f'<svg class="dag" viewBox="0 0 {width} {height}" role="img" aria-labelledby="dag-title dag-desc">',
        '<title id="dag-title">The stages of the pipeline</title>',
        f'<desc id="dag-desc">{escape(words)}</desc>',
    ]
    for earlier, later in edges:
        parts.append(_line(place[earlier], place[later], lanes.get((earlier, later))))
    parts += [_box(stage, *place[stage.name]) for stage in pipeline.stages]
    return "".join([*parts, "</svg>"])


def _line(start: tuple[int, int], end: tuple[int, int], lane: int | None) -> str:
    x, y = MARGIN + start[0] * STEP_X + WIDTH, MARGIN + start[1] * STEP_Y + HEIGHT // 2
    to_x, to_y = MARGIN + end[0] * STEP_X, MARGIN + end[1] * STEP_Y + HEIGHT // 2
    bend = (STEP_X - WIDTH) // 2
    path = f"M{x} {y}"
    if lane is not None:
        along = MARGIN + lane * STEP_Y + HEIGHT // 2
        first, last = x + 2 * bend, to_x - 2 * bend
        path += f"C{x + bend} {y} {x + bend} {along} {first} {along}H{last}"
        x, y = last, along
    path += f"C{x + bend} {y} {x + bend} {to_y} {to_x - 5} {to_y}"
    arrow = f"M{to_x - 7} {to_y - 4}L{to_x - 1} {to_y}L{to_x - 7} {to_y + 4}Z"
    return f'<path class="edge" d="{path}"/><path class="arrow" d="{arrow}"/>'


def _box(stage: Stage, column: int, row: int) -> str:
    x, y = MARGIN + column * STEP_X, MARGIN + row * STEP_Y
    times = f" × {len(stage.keys)}" if stage.keys is not None else ""
    return (
        f'<g class="{"stage own" if stage.own else "stage"}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" '
        f'rx="5"/><text class="stage-name" x="{x + WIDTH // 2}" y="{y + 22}">{escape(stage.name)}{times}</text>'
        f'<text class="stage-note" x="{x + WIDTH // 2}" y="{y + 39}">{escape(state(stage))}</text></g>'
    )


def state(stage: Stage) -> str:
    """How much of a stage is in dvc.lock, in words."""
    if stage.own:
        return "wrote these pages"
    planned, found = len(stage.commands), len(stage.recorded)
    if stage.keys is None:
        return "recorded" if found else "not recorded"
    return "all recorded" if found == planned else f"{found} of {planned} recorded"
