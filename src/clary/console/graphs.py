"""Graphs drawn on the server: boxes in columns as data flows, each a link where there is a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

BOX_W, BOX_H, GAP_X, GAP_Y, EDGE = 196, 46, 48, 14, 10
LONGEST = 24
"""Characters of a box's line."""


@dataclass(frozen=True, slots=True)
class Node:
    """One box."""

    key: str
    title: str
    kind: str
    """Its second line."""
    href: str = ""
    is_here: bool = False


def layered(title: str, nodes: Sequence[Node], edges: Sequence[tuple[str, str]]) -> Markup:
    """Return boxes in columns, sources first; an arrow a pair of keys, from left to right."""
    columns = _columns([each.key for each in nodes], edges)
    places: dict[str, tuple[int, int]] = {}
    heights: dict[int, int] = {}
    for node in nodes:
        column = columns[node.key]
        row = heights.get(column, 0)
        heights[column] = row + 1
        places[node.key] = (EDGE + column * (BOX_W + GAP_X), EDGE + row * (BOX_H + GAP_Y))
    width = 2 * EDGE + (max(columns.values(), default=0) + 1) * (BOX_W + GAP_X) - GAP_X
    height = 2 * EDGE + max(heights.values(), default=1) * (BOX_H + GAP_Y) - GAP_Y
    inner = [_arrow(places[a], places[b]) for a, b in edges if a in places and b in places]
    inner += [_box(node, *places[node.key]) for node in nodes]
    return Markup(  # noqa: S704 - every text in it is escaped where it is put in
        f'<svg class="graph" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="group" aria-label="{escape(title)}">{"".join(inner)}</svg>'
    )


def _columns(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return each node's column: one more than its furthest source's; a circle is cut where it closes."""
    sources: Mapping[str, list[str]] = {key: [a for a, b in edges if b == key and a in keys] for key in keys}
    depth: dict[str, int] = {}

    def of(key: str, seen: frozenset[str]) -> int:
        if key not in depth:
            seen |= {key}
            depth[key] = max((of(each, seen) + 1 for each in sources[key] if each not in seen), default=0)
        return depth[key]

    return {key: of(key, frozenset()) for key in keys}


def _arrow(a: tuple[int, int], b: tuple[int, int]) -> str:
    x1, y1, x2, y2 = a[0] + BOX_W, a[1] + BOX_H / 2, b[0] - 6, b[1] + BOX_H / 2
    bend = max(24.0, (x2 - x1) / 2)
    path = f"M{x1} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2} {y2:.0f}"
    head = f"M{x2} {y2 - 4:.0f}l6 4l-6 4z"
    return f'<path class="line" d="{path}"/><path class="head" d="{head}"/>'


def _box(node: Node, x: int, y: int) -> str:
    title = node.title if len(node.title) <= LONGEST else f"…{node.title[1 - LONGEST :]}"
    box = (
        f'<g class="box{" here" if node.is_here else ""}"><title>{escape(node.title)}</title>'
        f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="8"/>'
        f'<text class="name" x="{x + 10}" y="{y + 19}">{escape(title)}</text>'
        f'<text x="{x + 10}" y="{y + 36}">{escape(node.kind)}</text></g>'
    )
    return f'<a href="{escape(node.href)}">{box}</a>' if node.href else box
