"""A forest that follows a stream, as a plain library: score a row, then learn it.

    forest = StreamingForest(n_features=48, n_trees=100, n_rows=256, half_life=1000)
    for row in rows:
        score = forest.score(row)
        forest.update(row)

Needs the extra `kernels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clary.algorithms.randomcutforest.forest import Forest
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels import cuts as kernels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

N_DRAWS = 256


class StreamingForest:
    """Trees over samples of all rows so far, recent ones more often if a half-life is given.

    Source
    ------
    Guha, Mishra, Roy and Schrijvers (2016); the samples are Efraimidis and Spirakis's (2006),
    doi:10.1016/j.ipl.2005.11.003.
    """

    def __init__(
        self,
        n_features: int,
        *,
        n_trees: int = 100,
        n_rows: int = 256,
        half_life: float = np.inf,
        seed: int = 0,
    ) -> None:
        """Begin empty.

        Parameters
        ----------
        n_rows : int
            Rows of a tree, at most.
        half_life : float
            Rows after which a row is half as likely to be in a sample.

        Raises
        ------
        CustomerError
            numba is not installed.
        """
        if kernels.compiled() is None:
            raise CustomerError("A streaming forest needs numba: pip install 'clary[kernels]'")
        n_inner, n_nodes = n_rows - 1, 2 * n_rows - 1
        self.n_features = n_features
        self.n_seen = 0
        """Rows so far."""
        self._draw = np.random.default_rng(seed)
        self._decay = np.log(2) / half_life
        self._n_rows = n_rows
        self._state = np.tile(np.array([-1, n_inner, n_rows], np.int32), (n_trees, 1))
        self._free = np.tile(np.arange(n_nodes, dtype=np.int32), (n_trees, 1))
        self._nodes = np.zeros((n_trees, n_inner, 3), np.int32)
        self._cuts = np.zeros((n_trees, n_inner), np.float32)
        self._masses = np.zeros((n_trees, n_nodes), np.int32)
        self._points = np.zeros((n_trees, n_rows, n_features), np.float32)
        self._boxes = np.zeros((n_trees, n_inner, 2, n_features), np.float32)
        self._spans = np.zeros((n_trees, n_inner), np.float32)
        self._parents = np.full((n_trees, n_nodes, 1), -1, np.int32)
        self._keys = np.full((n_trees, n_rows), np.inf)
        self._leaves = np.zeros((n_trees, n_rows), np.int64)

    def score(self, row: ArrayLike) -> float:
        """Return how much of an anomaly a row is: 0 before the first, about 1 for a usual one."""
        asked = self._row(row)[None]
        sums = np.zeros(1)
        if not self.n_seen:
            return 0.0
        parts = (self._nodes, self._cuts, self._masses, self._points, self._boxes, self._spans)
        kernels.score(asked, (self._state[:, 0].astype(np.int64), *parts), sums)
        return float(sums[0] / len(self._state))

    def update(self, row: ArrayLike) -> None:
        """Learn a row: every tree whose sample takes it in lets another go."""
        from clary.toolkit.kernels import _cutstream  # noqa: PLC0415 - an extra

        given = self._row(row)
        keys = np.log(self._draw.exponential(size=len(self._state))) - self._decay * self.n_seen
        self.n_seen += 1
        slots = self._keys.argmax(axis=1)
        worst = self._keys[np.arange(len(slots)), slots]
        for tree in np.flatnonzero(keys < worst):
            slot = slots[tree]
            own = (self._nodes[tree], self._cuts[tree], self._masses[tree], self._points[tree])
            boxes = (self._boxes[tree], self._spans[tree], self._parents[tree], self._free[tree])
            if worst[tree] < np.inf:
                leaf = self._leaves[tree, slot]
                _cutstream.take(leaf, self._state[tree], own[0], *own[2:], *boxes)
            draws = self._draw.random(N_DRAWS)
            self._leaves[tree, slot] = _cutstream.put(given, draws, self._state[tree], *own, *boxes)
            self._keys[tree, slot] = keys[tree]

    def frozen(self) -> Forest:
        """Return a forest grown anew on the present samples, to be saved or asked in batches."""
        n_rows = min(self.n_seen, self._n_rows)
        if not n_rows:
            raise CustomerError("A streaming forest that has seen no row cannot be frozen")
        order = np.argsort(self._keys, axis=1)[:, :n_rows]
        leaves = np.take_along_axis(self._leaves, order, axis=1) - (self._n_rows - 1)
        return Forest.grow(np.take_along_axis(self._points, leaves[:, :, None], axis=1), self._draw)

    def _row(self, row: ArrayLike) -> NDArray[np.float32]:
        found = np.ascontiguousarray(row, np.float32)
        if found.shape != (self.n_features,) or not np.isfinite(found).all():
            raise CustomerError(f"A row must have {self.n_features} finite features")
        return found
