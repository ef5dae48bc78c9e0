"""Forests of trees over CSV rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clary.serving.inplace.base import room, usual
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels.forest import LINKS, Forest


class Scorer:
    """A forest with its buffers."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self.rows = room(forest.n_features)
        self._scores = np.empty((len(self.rows), forest.base.shape[0]), np.float32)
        self.n_outputs = forest.n_outputs
        arrays = (forest.nodes, forest.splits, forest.values, forest.trees, self.rows, self._scores)
        self.n_bytes = sum(array.nbytes for array in arrays)

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Score the rows of a body."""
        n_rows = self._forest.answer(body, self.rows, self._scores)
        if n_rows < 1:
            return None
        found: list[float] = self._scores[:n_rows, : self.n_outputs].ravel().tolist()
        return found

    def usual(self, name: str) -> bytes:
        """Return a body of one row."""
        return usual(name, self._forest.n_features)

    def score(self, n_rows: int) -> Sequence[float]:
        """Score the first of `rows`."""
        found: list[float] = self._forest.score(self.rows[:n_rows]).ravel().tolist()
        return found


def load(flat: Flat) -> Scorer:
    """Check a forest and make it ready."""
    link = flat.numbers.get("link")
    if link not in LINKS:
        raise FlatError(f"link {link!r}")
    arrays: dict[str, Any] = {
        name: flat.arrays[name] for name in ("nodes", "splits", "values", "trees", "base")
    }
    forest = Forest(**arrays, link=str(link), n_features=flat.n_features)
    forest.check()
    return Scorer(forest)
