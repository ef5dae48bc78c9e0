"""Forests of random cuts over rows: how much of an anomaly each is."""

from collections.abc import Sequence

import numpy as np

from clary.algorithms.randomcutforest.forest import Forest
from clary.kernel.errors import CustomerError
from clary.serving.inplace.base import room, usual
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels import csv


class Scorer:
    """Trees with their buffer."""

    n_outputs = 1

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self.rows = room(forest.points.shape[2])
        self.n_bytes = self.rows.nbytes + sum(array.nbytes for array in forest.trees)

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Score the rows of a body."""
        return self.score(csv.parse(body, self.rows))

    def usual(self, name: str) -> bytes:
        """Return a body of one row."""
        return usual(name, self.rows.shape[1])

    def score(self, n_rows: int) -> Sequence[float] | None:
        """Score the first of `rows`."""
        rows = self.rows[: max(n_rows, 0)]
        if n_rows < 1 or not np.isfinite(rows).all():
            return None
        found: list[float] = self._forest.score(rows).tolist()
        return found


def load(flat: Flat) -> Scorer:
    """Check trees, and draw their boxes."""
    try:
        forest = Forest.of(flat.arrays)
    except CustomerError as error:
        raise FlatError(str(error)) from error
    if forest.points.shape[2] != flat.n_features:
        raise FlatError(f"points are {forest.points.shape}")
    return Scorer(forest)
