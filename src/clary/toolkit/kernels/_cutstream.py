"""Trees of random cuts that follow a stream: a row put in, a row taken out, boxes kept right on the way.

A tree after any number of both is distributed as one grown anew on the rows that it has (theorems 2 and 3 of
Guha, Mishra, Roy and Schrijvers, 2016).
"""

from typing import Any

import numpy as np

from clary.toolkit.kernels._cuts import BOXES, FLOATS, INTS, NODES, ROWS, SUMS, between, cover, widest
from clary.toolkit.kernels._numba import kernel, types

ROOT, N_FREE_INNER, N_FREE_LEAVES = range(3)
"""Members of a tree's state."""


@kernel(types.void(types.int64, types.int64, NODES, INTS))
def weigh(node: Any, sign: Any, parents: Any, masses: Any) -> Any:
    """Add `sign` to the masses of a node and of all above it."""
    at = node
    while at >= 0:
        masses[at] += sign
        at = np.int64(parents[at, 0])


@kernel(types.void(INTS, NODES, NODES, types.int64, types.int64))
def replace(state: Any, nodes: Any, parents: Any, old: Any, new: Any) -> Any:
    """Hang a node where another was."""
    above = np.int64(parents[old, 0])
    parents[new, 0] = above
    if above < 0:
        state[ROOT] = new
    else:
        nodes[above, 1 if nodes[above, 1] == old else 2] = new


@kernel(types.int64(FLOATS, SUMS, INTS, NODES, FLOATS, INTS, ROWS, BOXES, FLOATS, NODES, INTS))
def put(
    row: Any,
    draws: Any,
    state: Any,
    nodes: Any,
    cuts: Any,
    masses: Any,
    points: Any,
    boxes: Any,
    spans: Any,
    parents: Any,
    free: Any,
) -> Any:
    """Put a row in, and return its leaf: a new one, or that of an equal row.

    `free` has the unused inner nodes, then the unused leaves; `draws` two numbers for each level.
    """
    n_inner, n_columns = nodes.shape[0], row.shape[0]
    if state[ROOT] < 0:
        state[N_FREE_LEAVES] -= 1
        leaf = np.int64(free[n_inner + state[N_FREE_LEAVES]])
        points[leaf - n_inner] = row
        state[ROOT], parents[leaf, 0], masses[leaf] = leaf, -1, 1
        return leaf
    low, high = np.empty(n_columns, np.float32), np.empty(n_columns, np.float32)
    at, place = np.int64(state[ROOT]), 0
    while True:
        for column in range(n_columns):
            if at < n_inner:
                low[column], high[column] = boxes[at, 0, column], boxes[at, 1, column]
            else:
                low[column] = high[column] = points[at - n_inner, column]
            low[column], high[column] = min(low[column], row[column]), max(high[column], row[column])
        column = widest(low, high, draws[place % draws.shape[0]])
        if column < 0:  # an equal row
            weigh(at, 1, parents, masses)
            return at
        cut = between(low[column], high[column], draws[(place + 1) % draws.shape[0]])
        place += 2
        first = boxes[at, 0, column] if at < n_inner else points[at - n_inner, column]
        last = boxes[at, 1, column] if at < n_inner else points[at - n_inner, column]
        if row[column] <= cut < first or last <= cut < row[column]:
            break
        at = np.int64(nodes[at, 1] if row[nodes[at, 0]] <= cuts[at] else nodes[at, 2])
    state[N_FREE_LEAVES] -= 1
    leaf = np.int64(free[n_inner + state[N_FREE_LEAVES]])
    state[N_FREE_INNER] -= 1
    node = np.int64(free[state[N_FREE_INNER]])
    points[leaf - n_inner] = row
    replace(state, nodes, parents, at, node)
    nodes[node, 0], cuts[node] = column, cut
    nodes[node, 1], nodes[node, 2] = (leaf, at) if row[column] <= cut else (at, leaf)
    parents[leaf, 0] = parents[at, 0] = node
    masses[leaf], masses[node] = 0, masses[at]
    weigh(leaf, 1, parents, masses)
    while node >= 0:
        cover(node, nodes, points, boxes, spans)
        node = np.int64(parents[node, 0])
    return leaf


@kernel(types.void(types.int64, INTS, NODES, INTS, ROWS, BOXES, FLOATS, NODES, INTS))
def take(
    leaf: Any,
    state: Any,
    nodes: Any,
    masses: Any,
    points: Any,
    boxes: Any,
    spans: Any,
    parents: Any,
    free: Any,
) -> Any:
    """Take one row of a leaf out."""
    n_inner = nodes.shape[0]
    weigh(leaf, -1, parents, masses)
    if masses[leaf] > 0:
        return
    free[n_inner + state[N_FREE_LEAVES]] = leaf
    state[N_FREE_LEAVES] += 1
    above = np.int64(parents[leaf, 0])
    if above < 0:
        state[ROOT] = -1
        return
    other = np.int64(nodes[above, 2] if nodes[above, 1] == leaf else nodes[above, 1])
    replace(state, nodes, parents, above, other)
    masses[above] = 0
    free[state[N_FREE_INNER]] = above
    state[N_FREE_INNER] += 1
    at = np.int64(parents[other, 0])
    while at >= 0:
        cover(at, nodes, points, boxes, spans)
        at = np.int64(parents[at, 0])
