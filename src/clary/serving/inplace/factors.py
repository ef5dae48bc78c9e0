"""Factorization machines over rows: a score, and the label that follows from it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clary.serving.inplace.base import room, usual
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels import csv, factors

MOST_USUAL = 64
"""Columns of a row that are usually not zero, at most: machines are for sparse rows."""
LINKS = ("identity", "sigmoid")


class Scorer:
    """Weights and factors with their buffers."""

    def __init__(self, weights: Any, bias: float, link: str, threshold: float) -> None:
        self._weights, self._bias, self._link, self._threshold = weights, bias, link, threshold
        self.rows = room(len(weights))
        self._scores = np.empty((len(self.rows), 1), np.float32)
        self.n_outputs = 1 + (link == "sigmoid")
        self.n_bytes = weights.nbytes + self.rows.nbytes + self._scores.nbytes

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Score the rows of a body."""
        return self.score(csv.parse(body, self.rows))

    def usual(self, name: str) -> bytes:
        """Return a body of one row."""
        return usual(name, len(self._weights), min(len(self._weights), MOST_USUAL))

    def score(self, n_rows: int) -> Sequence[float] | None:
        """Score the first of `rows`."""
        if n_rows < 1:
            return None
        factors.answer(self.rows[:n_rows], self._weights, self._bias, self._link, self._scores)
        found: list[float] = self._scores[:n_rows, 0].tolist()
        if self.n_outputs == 1:
            return found
        return [value for score in found for value in (score, score >= self._threshold)]


def load(flat: Flat) -> Scorer:
    """Check weights and make them ready."""
    link, weights = str(flat.numbers.get("link")), flat.arrays["weights"]
    if link not in LINKS:
        raise FlatError(f"link {link!r}")
    if weights.dtype != np.float64 or weights.ndim != 2 or len(weights) != flat.n_features:
        raise FlatError(f"weights are {weights.dtype} {weights.shape}")
    if not weights.size:
        raise FlatError("there are no weights")
    return Scorer(weights, float(flat.numbers["bias"]), link, float(flat.numbers.get("threshold", 0.5)))
