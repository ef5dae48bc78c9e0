"""Centres of clusters over CSV rows: which is nearest, and how far it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clary.serving.inplace.base import room, usual
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels import linear


class Scorer:
    """Centres with their buffers."""

    n_outputs = 2

    def __init__(self, centres: Any) -> None:
        self._centres = centres
        self.rows = room(centres.shape[1])
        self._scores = np.empty((len(self.rows), 2), np.float32)
        self.n_bytes = centres.nbytes + self.rows.nbytes + self._scores.nbytes

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Find the nearest centre of each row of a body."""
        return self._found(linear.nearest(body, self._centres, self.rows, self._scores))

    def usual(self, name: str) -> bytes:
        """Return a body of one row."""
        return usual(name, self.rows.shape[1])

    def score(self, n_rows: int) -> Sequence[float] | None:
        """Find the nearest centre of the first of `rows`."""
        linear.measure(self._centres, self.rows[:n_rows], self._scores)
        return self._found(n_rows)

    def _found(self, n_rows: int) -> Sequence[float] | None:
        if n_rows < 1:
            return None
        found: list[float] = self._scores[:n_rows].ravel().tolist()
        return found


def load(flat: Flat) -> Scorer:
    """Check centres and make them ready."""
    centres = flat.arrays["centres"]
    if centres.dtype != np.float64 or centres.ndim != 2 or centres.shape[1] != flat.n_features:
        raise FlatError(f"centres are {centres.dtype} {centres.shape}")
    if not centres.size:
        raise FlatError("there are no centres")
    return Scorer(centres)
