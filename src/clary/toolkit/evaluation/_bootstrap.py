"""Bootstrap of figures that depend on the order of scores: rows are counted in cells, cells are drawn.

Source
------
Efron, Tibshirani (1993), "An Introduction to the Bootstrap". Drawing counts of cells from a multinomial is
drawing rows with replacement; only scores in the same cell, of at most 4,096, are not told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.evaluation._counts import Counts
from clary.toolkit.evaluation.base import Vector

CELLS = 4096


@dataclass(frozen=True)
class Draws:
    """Bootstrap samples, one a row; columns are cells of descending score."""

    positive: Vector
    negative: Vector
    floors: Vector
    """Lowest score that a cell may hold."""

    @classmethod
    def of(
        cls,
        labels: NDArray[np.bool_],
        scores: Vector,
        weights: Vector,
        *,
        thresholds: Sequence[float],
        n: int,
        seed: int,
    ) -> "Draws":
        """Draw `n` samples; cells never straddle one of `thresholds`."""
        steps = np.unique(scores)
        if len(steps) > CELLS:
            steps = np.unique(np.quantile(scores, np.linspace(0, 1, CELLS + 1)[:-1], method="lower"))
        floors = np.unique(np.concatenate([steps, np.asarray(thresholds, dtype=np.float64), [scores.min()]]))
        place = np.searchsorted(floors, scores, side="right") - 1
        cells = 2 * place + labels
        n_cells = 2 * len(floors)
        counts = np.bincount(cells, minlength=n_cells)
        mass = np.bincount(cells, weights, minlength=n_cells)
        means = np.divide(mass, counts, out=np.zeros(n_cells), where=counts > 0)
        there = np.flatnonzero(counts)
        drawn = np.zeros((n, n_cells))
        random = np.random.default_rng(seed)
        drawn[:, there] = random.multinomial(len(scores), counts[there] / len(scores), size=n) * means[there]
        return cls(positive=drawn[:, 1::2][:, ::-1], negative=drawn[:, ::2][:, ::-1], floors=floors[::-1])

    def auc(self) -> Vector:
        """Return the area under each sample's ROC curve; NaN over one class."""
        below = self.negative.sum(axis=1, keepdims=True) - np.cumsum(self.negative, axis=1)
        wins = (self.positive * (below + self.negative / 2)).sum(axis=1)
        pairs = self.positive.sum(axis=1) * self.negative.sum(axis=1)
        areas: Vector = np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        return areas

    def at(self, threshold: float) -> Counts:
        """Return each sample's counts at one of the thresholds."""
        called = self.floors >= threshold
        tp, fp = self.positive[:, called].sum(axis=1), self.negative[:, called].sum(axis=1)
        return Counts(tp=tp, fp=fp, fn=self.positive.sum(axis=1) - tp, tn=self.negative.sum(axis=1) - fp)


def row_samples(n_rows: int, n: int, seed: int, *, at_once: int = 4_000_000) -> list[NDArray[np.int64]]:
    """Return the numbers of times that each row is drawn, in blocks of samples: shape (samples, n_rows)."""
    random = np.random.default_rng(seed)
    size = max(1, min(n, at_once // max(n_rows, 1)))
    blocks = []
    for at in range(0, n, size):
        drawn = random.integers(0, n_rows, size=(min(size, n - at), n_rows))
        offsets = np.arange(len(drawn))[:, None] * n_rows
        blocks.append(np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape))
    return blocks
