"""The compiled half of `cuts`: rows cut apart at random, boxes around them, how soon a row is cut off."""

from typing import Any

import numpy as np

from clary.toolkit.kernels._numba import kernel, types

ROWS = types.Array(types.float32, 2, "C")
GIVEN = types.Array(types.float32, 2, "C", readonly=True)
NODES = types.Array(types.int32, 2, "C")
FLOATS = types.Array(types.float32, 1, "C")
INTS = types.Array(types.int32, 1, "C")
SUMS = types.Array(types.float64, 1, "C")
DRAWS = types.Array(types.float64, 2, "C")
BOXES = types.Array(types.float32, 3, "C")
ROOTS = types.Array(types.int64, 1, "C")
LOOSE = {"nnan", "ninf", "nsz", "reassoc", "contract"}
"""Rows have finite numbers alone; sums over columns may take any order, the same for every row."""


@kernel(types.void(ROWS, types.int64, types.int64))
def swap(rows: Any, one: Any, other: Any) -> Any:
    """Exchange two rows."""
    for column in range(rows.shape[1]):
        rows[one, column], rows[other, column] = rows[other, column], rows[one, column]


@kernel(types.int64(FLOATS, FLOATS, types.float64))
def widest(low: Any, high: Any, draw: Any) -> Any:
    """Choose a column with a probability that is its share of a box's extent; -1 where the box is a point."""
    total, last = 0.0, -1
    for column in range(low.shape[0]):
        total += np.float64(high[column]) - np.float64(low[column])
    rest = draw * total
    for column in range(low.shape[0]):
        extent = np.float64(high[column]) - np.float64(low[column])
        if extent > 0.0:
            last = column
            rest -= extent
            if rest < 0.0:
                break
    return last


@kernel(types.float32(types.float32, types.float32, types.float64))
def between(low: Any, high: Any, draw: Any) -> Any:
    """Return a place at or above `low` and below `high`."""
    cut = np.float32(np.float64(low) + draw * (np.float64(high) - np.float64(low)))
    return cut if cut < high else low


@kernel(types.void(ROWS, types.int64, types.int64, FLOATS, FLOATS))
def around(rows: Any, start: Any, end: Any, low: Any, high: Any) -> Any:
    """Write the corners of the box around some rows."""
    for column in range(rows.shape[1]):
        low[column] = high[column] = rows[start, column]
    for row in range(start + 1, end):
        for column in range(rows.shape[1]):
            low[column] = min(low[column], rows[row, column])
            high[column] = max(high[column], rows[row, column])


@kernel(types.void(ROWS, DRAWS, NODES, FLOATS, INTS))
def build(rows: Any, draws: Any, nodes: Any, cuts: Any, masses: Any) -> Any:
    """Cut rows apart until equal ones are left, and put them in the order of the leaves."""
    n_inner = nodes.shape[0]
    low, high = np.empty(rows.shape[1], np.float32), np.empty(rows.shape[1], np.float32)
    waiting = np.empty((rows.shape[0] + 1, 4), np.int64)  # of each: rows from and to, parent, its column
    waiting[0] = np.array([0, rows.shape[0], -1, 0])
    n_waiting, n_nodes = 1, 0
    while n_waiting:
        n_waiting -= 1
        start, end, parent, side = waiting[n_waiting]
        around(rows, start, end, low, high)
        column = widest(low, high, draws[n_nodes, 0])
        node = n_inner + start if column < 0 else n_nodes
        masses[node] = end - start
        if parent >= 0:
            nodes[parent, side] = node
        if column < 0:
            continue
        cut = between(low[column], high[column], draws[node, 1])
        nodes[node, 0], cuts[node] = column, cut
        middle = start
        for row in range(start, end):
            if rows[row, column] <= cut:
                swap(rows, row, middle)
                middle += 1
        waiting[n_waiting] = np.array([middle, end, node, 2])
        waiting[n_waiting + 1] = np.array([start, middle, node, 1])
        n_nodes, n_waiting = n_nodes + 1, n_waiting + 2


@kernel(types.void(types.int64, NODES, ROWS, BOXES, FLOATS))
def cover(node: Any, nodes: Any, points: Any, boxes: Any, spans: Any) -> Any:
    """Draw a node's box around those of its children."""
    n_inner, total = nodes.shape[0], np.float32(0.0)
    for column in range(points.shape[1]):
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for side in range(1, 3):
            child = nodes[node, side]
            if child < n_inner:
                low, high = min(low, boxes[child, 0, column]), max(high, boxes[child, 1, column])
            else:
                value = points[child - n_inner, column]
                low, high = min(low, value), max(high, value)
        boxes[node, 0, column], boxes[node, 1, column] = low, high
        total += high - low
    spans[node] = total


@kernel(types.void(NODES, ROWS, INTS, BOXES, FLOATS))
def enclose(nodes: Any, points: Any, masses: Any, boxes: Any, spans: Any) -> Any:
    """Draw all boxes of a tree whose nodes lie before their children."""
    for node in range(nodes.shape[0] - 1, -1, -1):
        if masses[node] > 0:
            cover(node, nodes, points, boxes, spans)


@kernel(
    types.void(GIVEN, types.int64, NODES, FLOATS, INTS, ROWS, BOXES, FLOATS, SUMS),
    fastmath=LOOSE,
)
def score(
    rows: Any, root: Any, nodes: Any, cuts: Any, masses: Any, points: Any, boxes: Any, spans: Any, sums: Any
) -> Any:
    """Add to `sums` how near the top of one tree each row would be cut off, on average over all cuts."""
    n_inner, n_columns = nodes.shape[0], rows.shape[1]
    scale = np.log2(masses[root] + 1.0)
    for row in range(rows.shape[0]):
        at, depth, rest, found = np.int64(root), 0, 1.0, 0.0
        while at < n_inner:
            away = np.float32(0.0)
            for column in range(n_columns):
                value = rows[row, column]
                away += max(boxes[at, 0, column] - value, value - boxes[at, 1, column], np.float32(0.0))
            depth += 1
            if away > 0.0:
                share = np.float64(away) / (np.float64(spans[at]) + np.float64(away))
                found += rest * share / depth
                rest *= 1.0 - share
            at = np.int64(nodes[at, 1] if rows[row, nodes[at, 0]] <= cuts[at] else nodes[at, 2])
        is_known = True
        for column in range(n_columns):
            is_known = is_known and points[at - n_inner, column] == rows[row, column]
        if is_known:
            mass = np.float64(masses[at])
            found += rest * (1.0 - 0.5 * mass / masses[root]) / (depth + np.log2(mass + 1.0))
        else:
            found += rest / (depth + 1)
        sums[row] += found * scale


@kernel(
    types.void(
        GIVEN,
        ROOTS,
        types.Array(types.int32, 3, "C"),
        types.Array(types.float32, 2, "C"),
        types.Array(types.int32, 2, "C"),
        types.Array(types.float32, 3, "C"),
        types.Array(types.float32, 4, "C"),
        types.Array(types.float32, 2, "C"),
        SUMS,
    )
)
def ask(
    rows: Any, roots: Any, nodes: Any, cuts: Any, masses: Any, points: Any, boxes: Any, spans: Any, sums: Any
) -> Any:
    """Add to `sums` what all trees say of rows, tree after tree."""
    for tree in range(roots.shape[0]):
        score(
            rows,
            roots[tree],
            nodes[tree],
            cuts[tree],
            masses[tree],
            points[tree],
            boxes[tree],
            spans[tree],
            sums,
        )
