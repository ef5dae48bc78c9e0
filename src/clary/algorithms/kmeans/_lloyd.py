"""The arithmetic of k-means: distances, seeding, Lloyd's iterations, and the stream of mini-batches.

    rows ─▶ placed ─▶ sums_of centres ─▶ means, again and again ─▶ taken

Where there is a GPU, what lies between is `_device`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _gpu
from clary.algorithms.kmeans import _device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

BLOCK_ROWS = 4096
"""Rows whose distances to all centres are held at once."""


class Sums:
    """What a pass over rows leaves: weight, sum of rows and squared distance of every centre's rows."""

    def __init__(self, centres: NDArray[np.float32]) -> None:
        self._centres = centres
        self._norms = squares(centres)
        self.weight = np.zeros(len(centres))
        self.total = np.zeros(centres.shape)
        self.loss = np.zeros(len(centres))

    def add(
        self,
        rows: NDArray[np.float32],
        weights: NDArray[np.float32] | None = None,
        lengths: NDArray[np.float32] | None = None,
    ) -> None:
        """Add rows to the sums of their nearest centres."""
        from scipy import sparse  # noqa: PLC0415 - 40 ms that the server need not pay

        k = len(self._centres)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            labels, scores = nearest(block, self._centres, self._norms)
            size = len(block)
            own = np.ones(size, np.float32) if weights is None else weights[start : start + size]
            lengths_here = squares(block) if lengths is None else lengths[start : start + size]
            distances = np.maximum(scores + lengths_here, 0) * own
            chooser = sparse.csc_matrix((own, labels, np.arange(size + 1)), shape=(k, size))
            self.total += chooser @ block
            self.weight += np.bincount(labels, own, k)
            self.loss += np.bincount(labels, distances, k)

    def means(self) -> NDArray[np.float32]:
        """Return the means of every centre's rows; a centre without rows stays."""
        found = self.weight > 0
        means = self._centres.copy()
        means[found] = self.total[found] / self.weight[found, None]
        return means

    def taken(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return sums of rows, weights and losses."""
        return self.total, self.weight, self.loss


def sums_of(centres: Any) -> Sums | _device.Sums:
    """Return empty sums where rows are added up: on the processor, or on the device that there is."""
    gpu = _gpu.find()
    return Sums(centres) if gpu is None else _device.Sums(gpu, centres)


def placed(values: Any) -> Any:
    """Return an array where it is computed with: as it is, or as a tensor on the device."""
    gpu = _gpu.find()
    return values if gpu is None else _device.placed(gpu, values)


def taken(values: Any) -> NDArray[Any]:
    """Return what was placed as an array."""
    gpu = _gpu.find()
    return np.asarray(values) if gpu is None else gpu.take(values)


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


def squares(rows: Any) -> Any:
    """Return every row's squared length."""
    return np.einsum("ij,ij->i", rows, rows) if isinstance(rows, np.ndarray) else _device.squares(rows)


def seed(
    rows: Any,
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
    rows : ndarray, shape (n_rows, n_columns), or the same placed
        float32, C order, no missing values.
    n_candidates : int, optional
        Candidates for each centre, of which the best is taken; 2 + log(k) if not given.

    Source
    ------
    Arthur and Vassilvitskii (2007), "k-means++: the advantages of careful seeding", with greedy choice.
    """
    share = None if weights is None else weights / weights.sum(dtype=np.float64)
    if method == "random" or k >= len(rows):
        places = draw.choice(len(rows), min(k, len(rows)), replace=False, p=share)
        return taken(placed(rows)[placed(places)])
    first = int(draw.choice(len(rows), p=share))
    draws = draw.random((k - 1, n_candidates or 2 + int(np.log(k))))
    gpu, rows, weights = _gpu.find(), placed(rows), placed(weights)
    if gpu is not None:
        return gpu.take(_device.apart(gpu, rows, weights, first, draws))
    return np.asarray(_apart(rows, weights, first, draws))


def _apart(
    rows: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    first: int,
    draws: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return rows that are far from each other, the first as given.

    Parameters
    ----------
    draws : ndarray, shape (n_wanted - 1, n_candidates)
        From 0 to 1, one for each candidate.
    """
    lengths = squares(rows)
    chosen = np.full(len(draws) + 1, first, np.int64)
    closest = _from(rows, lengths, chosen[:1])[0]
    for number in range(1, len(chosen)):
        mass = closest if weights is None else closest * weights
        ladder = np.cumsum(mass, dtype=np.float64)
        places = np.searchsorted(ladder, draws[number - 1] * ladder[-1])
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
    rows: Any,
    centres: NDArray[np.float32],
    weights: NDArray[np.float32] | None = None,
    *,
    n_most: int = 300,
    tolerance: float = 1e-4,
) -> tuple[NDArray[np.float32], float]:
    """Move centres to the means of their rows until the loss hardly falls; return them and the last loss."""
    rows, here, weights = placed(rows), placed(centres), placed(weights)
    lengths = squares(rows)
    before = np.inf
    while True:
        sums = sums_of(here)
        sums.add(rows, weights, lengths)
        loss = float(sums.loss.sum())
        n_most -= 1
        if n_most < 0 or loss >= before * (1 - tolerance):
            return taken(here), loss
        here, before = sums.means(), loss


def best_of(
    rows: Any,
    weights: NDArray[np.float32] | None,
    seeds: Iterable[NDArray[np.float32]],
    *,
    n_most: int,
    tolerance: float,
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield loss and centres after each of several starts, the best so far."""
    best: tuple[float, NDArray[np.float32]] | None = None
    for start in seeds:
        centres, loss = lloyd(rows, start, weights, n_most=n_most, tolerance=tolerance)
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
        self._half_life = half_life
        self.restore(centres.copy(), np.zeros(len(centres)))

    def add(self, rows: NDArray[np.float32]) -> float:
        """Move the centres by one mini-batch; return its squared distances' sum, before the move."""
        sums = Sums(self._centres)
        sums.add(rows)
        if self._half_life:
            self._weight *= 0.5 ** (len(rows) / self._half_life)
        self._weight += sums.weight
        seen = self._weight > 0
        share = (sums.weight[seen] / self._weight[seen])[:, None]
        self._centres[seen] = (1 - share) * self._centres[seen] + share * sums.means()[seen]
        return float(sums.loss.sum())

    def state(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the centres, and what each has seen."""
        return self._centres, self._weight

    def restore(self, centres: NDArray[np.float32], weight: NDArray[np.float64]) -> None:
        """Go on from a state."""
        self._centres, self._weight = centres, weight


def stream_of(centres: NDArray[np.float32], half_life: int = 0) -> Stream | _device.Stream:
    """Return a stream where mini-batches are added up: on the processor, or on the device that there is."""
    gpu = _gpu.find()
    return Stream(centres, half_life) if gpu is None else _device.Stream(gpu, centres, half_life)
