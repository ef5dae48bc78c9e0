"""Linear models over CSV rows: scores, and the label that follows from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clary.serving.inplace.base import room, usual
from clary.toolkit.flat import Flat, FlatError
from clary.toolkit.kernels import linear

LABELS = ("none", "threshold", "best")
"""What follows the scores of a row: nothing, whether it reaches the threshold, where the largest is."""


class Scorer:
    """Weights with their buffers."""

    def __init__(self, weights: Any, bias: Any, link: str, label: str, threshold: float) -> None:
        self._weights, self._bias, self._link = weights, bias, link
        self._label, self._threshold = label, threshold
        n_scores, n_features = weights.shape
        self.rows = room(n_features)
        self._scores = np.empty((len(self.rows), n_scores), np.float32)
        self.n_outputs = n_scores + (label != "none")
        arrays = (weights, bias, self.rows, self._scores)
        self.n_bytes = sum(array.nbytes for array in arrays)

    def answer(self, body: bytes) -> Sequence[float] | None:
        """Score the rows of a body."""
        return self._found(
            linear.answer(body, self._weights, self._bias, self._link, self.rows, self._scores)
        )

    def usual(self, name: str) -> bytes:
        """Return a body of one row."""
        return usual(name, self.rows.shape[1])

    def score(self, n_rows: int) -> Sequence[float] | None:
        """Score the first of `rows`."""
        linear.score(self.rows[:n_rows], self._weights, self._bias, self._link, self._scores)
        return self._found(n_rows)

    def _found(self, n_rows: int) -> Sequence[float] | None:
        if n_rows < 1:
            return None
        scores = self._scores[:n_rows]
        if self._label == "none":
            found: list[float] = scores.ravel().tolist()
        elif self.n_outputs == 2:
            found = []
            for score in scores.ravel().tolist():
                found += (score, score >= self._threshold)
        else:
            found = np.column_stack((scores, scores.argmax(axis=1))).ravel().tolist()
        return found


def load(flat: Flat) -> Scorer:
    """Check weights and make them ready."""
    link, label = str(flat.numbers.get("link")), str(flat.numbers.get("label"))
    threshold = float(flat.numbers.get("threshold", 0.0))
    weights, bias = flat.arrays["weights"], flat.arrays["bias"]
    if link not in linear.LINKS or label not in LABELS:
        raise FlatError(f"link {link!r}, label {label!r}")
    if weights.dtype != np.float64 or weights.ndim != 2 or weights.shape[1] != flat.n_features:
        raise FlatError(f"weights are {weights.dtype} {weights.shape}")
    if bias.dtype != np.float64 or bias.shape != weights.shape[:1] or not bias.size:
        raise FlatError(f"bias is {bias.dtype} {bias.shape}")
    if label == "threshold" and len(bias) != 1:
        raise FlatError("a threshold is of one score")
    return Scorer(weights, bias, link, label, threshold)
