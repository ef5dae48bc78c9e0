"""Trees of random cuts: a leaf a row, and a row's score by how near the top it would be cut off.

    nodes   (n_trees, n_rows - 1, 3)       int32    column of the cut, places of the children
    cuts    (n_trees, n_rows - 1)          float32  a row goes to the first child up to it
    masses  (n_trees, 2 n_rows - 1)        int32    rows below a node; 0 where there is none
    points  (n_trees, n_rows, n_features)  float32  leaf n_rows - 1 + i is the row points[tree, i]
    boxes   (n_trees, n_rows - 1, 2, n_features)    corners of the box around the rows below a node

Inner nodes lie before their children. With numba a row takes 20 us (100 trees of 256, 48 columns).

Source: Guha, Mishra, Roy and Schrijvers (2016), "Robust random cut forest based anomaly detection on
streams".
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

BLOCK_ROWS = 4096
"""Rows that meet one tree before the next: a tree's boxes then stay near."""
SLOW_BLOCK_ROWS = 256


@cache
def compiled() -> ModuleType | None:
    """Return the compiled half; None without numba."""
    try:
        from clary.toolkit.kernels import _cuts  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _cuts


def build(rows: NDArray[Any], draws: NDArray[Any]) -> tuple[Any, Any, Any]:
    """Grow a tree on rows, which are put in the order of its leaves.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_features)
        Float32, C order, finite; reordered.
    draws : ndarray, shape (n_rows, 2)
        From the uniform distribution on [0, 1): a node's column and its cut.

    Returns
    -------
    nodes, cuts, masses : ndarray
        As the module has them, of one tree.
    """
    n_rows = len(rows)
    nodes = np.zeros((n_rows - 1, 3), np.int32)
    cuts, masses = np.zeros(n_rows - 1, np.float32), np.zeros(2 * n_rows - 1, np.int32)
    kernel = compiled()
    if kernel is not None:
        kernel.build(rows, draws, nodes, cuts, masses)
        return nodes, cuts, masses
    waiting, n_nodes = [(0, n_rows, -1, 0)], 0
    while waiting:
        start, end, parent, side = waiting.pop()
        part = rows[start:end]
        low, high = part.min(axis=0), part.max(axis=0)
        ladder = np.cumsum(high.astype(np.float64) - low)
        is_leaf = ladder[-1] <= 0
        node = n_rows - 1 + start if is_leaf else n_nodes
        masses[node] = end - start
        if parent >= 0:
            nodes[parent, side] = node
        if is_leaf:
            continue
        column = int(np.searchsorted(ladder, draws[node, 0] * ladder[-1], side="right"))
        cut = np.float32(low[column] + draws[node, 1] * (np.float64(high[column]) - low[column]))
        cut = cut if cut < high[column] else low[column]
        nodes[node, 0], cuts[node] = column, cut
        is_first = part[:, column] <= cut
        rows[start:end] = np.concatenate((part[is_first], part[~is_first]))
        middle = start + int(is_first.sum())
        waiting += [(middle, end, node, 2), (start, middle, node, 1)]
        n_nodes += 1
    return nodes, cuts, masses


def enclose(nodes: Any, points: Any, masses: Any) -> tuple[Any, Any]:
    """Return the boxes of a tree's nodes, and the sums of their extents."""
    n_inner, n_columns = len(nodes), points.shape[1]
    boxes, spans = np.zeros((n_inner, 2, n_columns), np.float32), np.zeros(n_inner, np.float32)
    kernel = compiled()
    if kernel is not None:
        kernel.enclose(nodes, points, masses, boxes, spans)
        return boxes, spans
    for node in range(n_inner - 1, -1, -1):
        if masses[node]:
            corners = [boxes[c] if c < n_inner else points[[c - n_inner] * 2] for c in nodes[node, 1:]]
            np.minimum(corners[0][0], corners[1][0], out=boxes[node, 0])
            np.maximum(corners[0][1], corners[1][1], out=boxes[node, 1])
    return boxes, (boxes[:, 1] - boxes[:, 0]).sum(axis=1)


def score(rows: NDArray[Any], trees: tuple[Any, ...], sums: NDArray[np.float64]) -> None:
    """Add to `sums` what trees say of rows; a row is told the same whatever others are asked with it.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_features)
        Float32, C order, finite.
    trees : tuple of ndarray
        Their roots (int64), nodes, cuts, masses, points, boxes, spans.
    """
    kernel = compiled()
    n_block = SLOW_BLOCK_ROWS if kernel is None else BLOCK_ROWS
    for start in range(0, len(rows), n_block):
        part = slice(start, start + n_block)
        if kernel is not None:
            kernel.ask(rows[part], *trees, sums[part])
            continue
        for tree in zip(*trees, strict=True):
            sums[part] += _scored(rows[part], *tree)


def _scored(
    rows: Any, root: int, nodes: Any, cuts: Any, masses: Any, points: Any, boxes: Any, spans: Any
) -> Any:
    """Return what the kernel adds, all rows a level at a time."""
    n_rows, n_inner = len(rows), len(nodes)
    at, depth = np.full(n_rows, root), np.zeros(n_rows)
    rest, found = np.ones(n_rows), np.zeros(n_rows)
    while (moving := np.flatnonzero(at < n_inner)).size:
        here, own = at[moving], rows[moving]
        corners = boxes[here]
        away = np.maximum(np.maximum(corners[:, 0] - own, own - corners[:, 1]), 0).sum(
            axis=1, dtype=np.float64
        )
        depth[moving] += 1
        share = away / np.where(away > 0, spans[here] + away, 1)
        found[moving] += rest[moving] * share / depth[moving]
        rest[moving] *= 1 - share
        goes_first = own[np.arange(len(own)), nodes[here, 0]] <= cuts[here]
        at[moving] = np.where(goes_first, nodes[here, 1], nodes[here, 2])
    mass = masses[at]
    is_known = (points[at - n_inner] == rows).all(axis=1)
    known = (1 - 0.5 * mass / masses[root]) / (depth + np.log2(mass + 1.0))
    found += rest * np.where(is_known, known, 1 / (depth + 1))
    return found * np.log2(masses[root] + 1.0)
