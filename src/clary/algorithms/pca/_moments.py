"""Sums over rows from which principal components follow: mergeable, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms._gpu import Gpu
    from clary.algorithms._hosts import Hosts

BLOCK_ROWS = 1024
"""Rows multiplied in single precision before they are added up in double."""


class Moments:
    """Number, sum and scatter of rows about a point near their mean, lest differences of large sums are lost.

    Only what `directions` ask for is summed of the scatter: all of it without, else its product with them.
    """

    def __init__(
        self,
        about: NDArray[np.float32],
        directions: NDArray[np.float32] | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        """Begin with no rows; on a device, sums stay there until `merge` takes them."""
        n_columns = len(about)
        self.about = about
        self.n_rows = 0.0
        self.total = np.zeros(n_columns)
        self.scatter = np.zeros((n_columns, n_columns if directions is None else directions.shape[1]))
        self._directions = directions
        self._gpu = gpu
        put: Any = np.asarray if gpu is None else gpu.put
        self._sums = put(self.total), put(self.scatter)
        self._ones, self._about = put(np.ones(BLOCK_ROWS, np.float32)), put(about)
        self._towards = None if directions is None else put(directions)

    def add(self, rows: Any) -> None:
        """Add rows, shape (n_rows, n_columns), float32: an array, or a tensor of the device."""
        (total, scatter), towards = self._sums, self._towards
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS] - self._about
            total += self._ones[: len(block)] @ block
            scatter += block.T @ (block if towards is None else block @ towards)
        self.n_rows += len(rows)

    def merge(self, hosts: Hosts) -> None:
        """Add up over all hosts, which have the same `about`."""
        if self._gpu is not None:
            self.total, self.scatter = map(self._gpu.take, self._sums)
        if hosts.n_hosts == 1:
            return
        packed = hosts.sum(np.concatenate(([self.n_rows], self.total, self.scatter.ravel())))
        n_columns = len(self.total)
        self.n_rows = float(packed[0])
        self.total = packed[1 : n_columns + 1]
        self.scatter = packed[n_columns + 1 :].reshape(self.scatter.shape)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of all rows."""
        return self.about + self.total / self.n_rows

    def product(self, *, centred: bool) -> NDArray[np.float64]:
        """Return the scatter about the mean, or about zero; times the directions, if there are any."""
        eye_or = self._directions
        mean = self.total / self.n_rows
        if centred:
            moved = self.total if eye_or is None else self.total @ eye_or
            return np.asarray(self.scatter - np.outer(mean, moved))
        about = self.about.astype(np.float64)
        if not about.any():
            return self.scatter
        weights_of_about = about if eye_or is None else about @ eye_or
        weights_of_total = self.total if eye_or is None else self.total @ eye_or
        return np.asarray(
            self.scatter
            + np.outer(about, weights_of_total)
            + np.outer(self.total, weights_of_about)
            + self.n_rows * np.outer(about, weights_of_about)
        )


def leading(
    scatter: NDArray[np.float64], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues, ascending, and their vectors in columns, of a symmetric matrix."""
    from scipy import linalg  # noqa: PLC0415 - 40 ms that the server need not pay

    size = len(scatter)
    values, vectors = linalg.eigh(
        (scatter + scatter.T) / 2, subset_by_index=(size - n_components, size - 1), check_finite=False
    )
    return np.maximum(values, 0), vectors


def signed(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors with the sign that makes the largest entry of each positive: one of the two, always."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return np.asarray(vectors * np.where(signs == 0, 1, signs))
