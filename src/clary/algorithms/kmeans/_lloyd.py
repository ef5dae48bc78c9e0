"""The arithmetic of k-means: distances, seeding, Lloyd's iterations, and the stream of mini-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

BLOCK_ROWS = 4096
"""Rows whose distances to all centres are held at once."""


class Sums:
    """What a pass over rows leaves: weight, sum of rows and squared distance of every centre's rows."""

    def __init__(self, k: int, n_columns: int) -> None:
        self.weight = np.zeros(k)
        self.total = np.zeros((k, n_columns))
        self.loss = np.zeros(k)

    def means(self, centres: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the means of every centre's rows; a centre without rows stays."""
        found = self.weight > 0
        means = centres.copy()
        means[found] = self.total[found] / self.weight[found, None]
        return means


def nearest(
    rows: NDArray[np.float32], centres: NDArray[np.float32], norms: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest centre of every row, and `|row - centre|^2 - |row|^2`.

    Parameters
    ----------
    norms : ndarray, shape (k,)
        Squared lengths of the centres.
    """
    scores = rows @ (-2.0 * centres.T)
    scores += norms
    labels = scores.argmin(axis=1)
    return labels, scores[np.arange(len(rows)), labels]


def squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return every row's squared length."""
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def add(
    sums: Sums,
    rows: NDArray[np.float32],
    centres: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
    lengths: NDArray[np.float32] | None = None,
) -> None:
    """Add rows to the sums of their nearest centres."""
    from scipy import sparse  # noqa: PLC0415 - 40 ms that the server need not pay

    norms = squares(centres)
    k = len(centres)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        labels, scores = nearest(block, centres, norms)
        size = len(block)
        own = np.ones(size, np.float32) if weights is None else weights[start : start + size]
        lengths_here = squares(block) if lengths is None else lengths[start : start + size]
        distances = np.maximum(scores + lengths_here, 0) * own
        chooser = sparse.csc_matrix((own, labels, np.arange(size + 1)), shape=(k, size))
        sums.total += chooser @ block
        sums.weight += np.bincount(labels, own, k)
        sums.loss += np.bincount(labels, distances, k)


def seed(
    rows: NDArray[np.float32],
    k: int,
    draw: np.random.Generator,
    weights: NDArray[np.float32] | None = None,
    *,
    n_candidates: int | None = None,
    method: str = "kmeans++",
) -> NDArray[np.float32]:
    """Choose rows as centres, at random or far from each other.

    Parameters
    ----------
    n_candidates : int, optional
        Candidates for each centre, of which the best is taken; 2 + log(k) if not given.

    Source
    ------
    Arthur and Vassilvitskii (2007), "k-means++: the advantages of careful seeding", with greedy choice.
    """
    share = None if weights is None else weights / weights.sum(dtype=np.float64)
    if method == "random" or k >= len(rows):
        return rows[draw.choice(len(rows), min(k, len(rows)), replace=False, p=share)]
    n_candidates = n_candidates or 2 + int(np.log(k))
    lengths = squares(rows)
    chosen = np.empty(k, np.int64)
    chosen[0] = draw.choice(len(rows), p=share)
    closest = _from(rows, lengths, chosen[:1])[0]
    for number in range(1, k):
        mass = closest if weights is None else closest * weights
        ladder = np.cumsum(mass, dtype=np.float64)
        places = np.searchsorted(ladder, draw.random(n_candidates) * ladder[-1])
        candidates = np.minimum(places, len(rows) - 1)
        distances = np.minimum(_from(rows, lengths, candidates), closest)
        losses = distances.sum(axis=1) if weights is None else distances @ weights
        best = int(losses.argmin())
        chosen[number], closest = candidates[best], distances[best]
    return rows[chosen]


def _from(
    rows: NDArray[np.float32], lengths: NDArray[np.float32], chosen: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return squared distances of all rows from some of them, shape (n_chosen, n_rows)."""
    distances = (-2.0 * rows[chosen]) @ rows.T
    distances += lengths
    distances += lengths[chosen, None]
    return np.maximum(distances, 0, out=distances)


def lloyd(
    rows: NDArray[np.float32],
    centres: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
    *,
    n_most: int = 300,
    tolerance: float = 1e-4,
) -> tuple[NDArray[np.float32], Sums]:
    """Move centres to the means of their rows until the loss hardly falls; return them and the last sums."""
    lengths = squares(rows)
    before = np.inf
    while True:
        sums = Sums(len(centres), rows.shape[1])
        add(sums, rows, centres, weights, lengths)
        loss = sums.loss.sum()
        n_most -= 1
        if n_most < 0 or loss >= before * (1 - tolerance):
            return centres, sums
        centres, before = sums.means(centres), loss


def best_of(
    rows: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    seeds: Iterable[NDArray[np.float32]],
    *,
    n_most: int,
    tolerance: float,
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield loss and centres after each of several starts, the best so far."""
    best: tuple[float, NDArray[np.float32]] | None = None
    for start in seeds:
        centres, sums = lloyd(rows, start, weights, n_most=n_most, tolerance=tolerance)
        loss = float(sums.loss.sum())
        if best is None or loss < best[0]:
            best = (loss, centres)
        yield best


class Stream:
    """Centres that follow mini-batches: each moves towards its new rows by their share of all it has seen.

    Source
    ------
    Sculley (2010), doi:10.1145/1772690.1772862; developer guide, "How K-Means Clustering Works", step 2.
    """

    def __init__(self, centres: NDArray[np.float32], half_life: int = 0) -> None:
        """Begin where nothing was seen yet; rows weigh half after `half_life` more, if that is not 0."""
        self.centres = centres.copy()
        self.weight = np.zeros(len(centres))
        self._half_life = half_life

    def add(self, rows: NDArray[np.float32]) -> float:
        """Move the centres by one mini-batch; return its squared distances' sum, before the move."""
        sums = Sums(len(self.centres), rows.shape[1])
        add(sums, rows, self.centres)
        if self._half_life:
            self.weight *= 0.5 ** (len(rows) / self._half_life)
        self.weight += sums.weight
        seen = self.weight > 0
        share = (sums.weight[seen] / self.weight[seen])[:, None]
        means = sums.means(self.centres)[seen]
        self.centres[seen] = (1 - share) * self.centres[seen] + share * means
        return float(sums.loss.sum())
