"""Trees as flat arrays: a model of any library of trees, walked by one kernel, loaded in milliseconds.

    nodes   (n_nodes, 2)  int32    feature << 1 | goes left when missing, place of the left child
    splits  (n_nodes,)    float32  a row goes left below it; NaN in a leaf
    values  (n_nodes,)    float32  of a leaf
    trees   (n_trees, 3)  int32    root, group, steps down (of each four trees, the first has their deepest)
    base    (n_groups,)   float32  what the sums begin with

The right child lies behind the left one, both behind their parent. A leaf is its own left child.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.kernels import csv

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

LINKS = ("identity", "sigmoid", "exponential", "hinge", "best", "softmax")
"""How margins become predictions; `best` is the index of the largest, as a number."""
WIDTH = 4
"""Trees that are walked together."""
DEEPEST = 4096


@cache
def compiled() -> ModuleType | None:
    """Return the compiled half; None without numba."""
    try:
        from clary.toolkit.kernels import _forest  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _forest


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees, ready to score. Whoever has the arrays from a stranger calls `check` first."""

    nodes: NDArray[np.int32]
    splits: NDArray[np.float32]
    values: NDArray[np.float32]
    trees: NDArray[np.int32]
    base: NDArray[np.float32]
    link: str
    n_features: int

    @property
    def n_outputs(self) -> int:
        """Numbers that are predicted for a row."""
        return 1 if self.link == "best" else int(self.base.shape[0])

    def check(self) -> None:
        """Make sure that no row can lead out of the arrays, or round in them.

        Raises
        ------
        ValueError
            The text says which rule is broken.
        """
        n_nodes, n_groups = self.nodes.shape[0], self.base.shape[0]
        shapes = {
            "nodes": (self.nodes, np.int32, (n_nodes, 2)),
            "splits": (self.splits, np.float32, (n_nodes,)),
            "values": (self.values, np.float32, (n_nodes,)),
            "trees": (self.trees, np.int32, (self.trees.shape[0], 3)),
            "base": (self.base, np.float32, (n_groups,)),
        }
        for name, (array, dtype, shape) in shapes.items():
            if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
        if self.link not in LINKS or n_groups < 1 or n_nodes < 1 or self.n_features < 1:
            raise ValueError(f"link {self.link!r}, {n_groups} groups, {n_nodes} nodes")
        places = np.arange(n_nodes, dtype=np.int64)
        features, left = self.nodes[:, 0].astype(np.int64) >> 1, self.nodes[:, 1].astype(np.int64)
        is_leaf = left == places
        if (features < 0).any() or (features >= self.n_features).any():
            raise ValueError("a node tests a feature that is not there")
        if not np.isnan(self.splits[is_leaf]).all() or not (self.nodes[is_leaf, 0] & 1).all():
            raise ValueError("a leaf has a split")
        if (left[~is_leaf] <= places[~is_leaf]).any() or (left[~is_leaf] >= n_nodes - 1).any():
            raise ValueError("a child does not lie behind its parent")
        roots, groups, depths = self.trees.T.astype(np.int64)
        if ((roots < 0) | (roots >= n_nodes) | (groups < 0) | (groups >= n_groups)).any():
            raise ValueError("a tree has no such root or group")
        if ((depths < 0) | (depths > DEEPEST)).any():
            raise ValueError(f"a tree is deeper than {DEEPEST}")

    def score(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Predict.

        Parameters
        ----------
        rows : ndarray, shape (n_rows, n_features)
            Float32, C order, NaN where missing.

        Returns
        -------
        ndarray, shape (n_rows, n_outputs)
            Float32.
        """
        n_rows = rows.shape[0]
        kernel = compiled()
        if kernel is None:
            scores = self.margins(rows)
            linked(self.link, scores)
        else:
            scores = np.empty((n_rows, self.base.shape[0]), np.float32)
            arrays = (self.nodes, self.splits, self.values, self.trees, self.base)
            kernel.margins(*arrays, rows, n_rows, scores)
            kernel.linked(LINKS.index(self.link), n_rows, scores)
        return scores[:, : self.n_outputs]

    def answer(self, body: bytes, rows: NDArray[Any], scores: NDArray[np.float32]) -> int:
        """Read CSV and predict, in one call.

        Parameters
        ----------
        rows : ndarray, shape (n_most, n_features)
            Room, float32, C order.
        scores : ndarray, shape (n_most, n_groups)
            Takes the predictions, float32, C order.

        Returns
        -------
        int
            Rows; -1 where `csv.parse` does not read the body.
        """
        kernel = compiled()
        if kernel is not None:
            link = LINKS.index(self.link)
            found: int = kernel.answer(
                body, self.nodes, self.splits, self.values, self.trees, self.base, link, rows, scores
            )
            return found
        n_rows = csv.parse(body, rows)
        if n_rows > 0:
            scores[:n_rows, : self.n_outputs] = self.score(rows[:n_rows])
        return n_rows

    def margins(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the sums of the leaves, shape (n_rows, n_groups), without numba, in the same bits.

        All trees are walked at once, level by level; leaves are added one tree after the other, as ever.
        """
        scores = np.empty((rows.shape[0], self.base.shape[0]), np.float32)
        roots, groups, depths = self.trees.T
        at = np.repeat(roots[None, :].astype(np.int64), rows.shape[0], axis=0)
        which = np.arange(rows.shape[0])[:, None]
        for _ in range(int(depths.max(initial=0))):
            tests = self.nodes[at, 0]
            values = rows[which, tests >> 1]
            goes_right = (values >= self.splits[at]) | (np.isnan(values) & (tests & 1 == 0))
            at = self.nodes[at, 1] + goes_right
        scores[:] = self.base
        leaves = self.values[at]
        for tree, group in enumerate(groups):
            scores[:, group] += leaves[:, tree]
        return scores


def linked(link: str, scores: NDArray[np.float32]) -> None:
    """Turn margins into predictions in place, in float32; within rounding what the kernel makes of them."""
    one, tiny = np.float32(1.0), np.float32(1e-16)
    if link == "sigmoid":
        scores[:] = one / (np.exp(np.minimum(-scores, np.float32(88.7))) + one + tiny)
    elif link == "exponential":
        scores[:] = np.exp(scores)
    elif link == "hinge":
        scores[:] = scores > 0
    elif link == "best":
        scores[:, 0] = scores.argmax(axis=1)
    elif link == "softmax":
        scores[:] = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
