"""A uniform sample of rows that come once, in blocks, on several hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts


class Sample:
    """A uniform sample of a stream: each row draws a number, and the rows of the smallest are kept.

    Samples of several streams merge into one of all of them, whatever their lengths.
    """

    def __init__(self, n_most: int, n_columns: int, draw: np.random.Generator) -> None:
        self._n_most = n_most
        self._draw = draw
        self._keys = np.zeros(0)
        self._rows: list[NDArray[np.float32]] = [np.zeros((0, n_columns), np.float32)]
        self._limit = np.inf

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take part of some rows."""
        keys = self._draw.random(len(rows))
        if self._limit < np.inf:
            found = np.flatnonzero(keys < self._limit)
            keys, rows = keys[found], rows[found]
        self._keys = np.concatenate((self._keys, keys))
        self._rows.append(rows)
        if self._keys.size > 2 * self._n_most:
            self._shrink()

    def _shrink(self) -> None:
        rows = np.concatenate(self._rows)
        if self._keys.size > self._n_most:
            kept = np.sort(np.argpartition(self._keys, self._n_most)[: self._n_most])
            rows, self._keys = rows[kept], self._keys[kept]
            self._limit = float(self._keys.max())
        self._rows = [rows]

    def merged(self, hosts: Hosts) -> NDArray[np.float32]:
        """Return the sample of all hosts' rows."""
        self._shrink()
        keys = np.concatenate(hosts.arrays(self._keys))
        rows = np.concatenate(hosts.arrays(self._rows[0]))
        if len(keys) > self._n_most:
            rows = rows[np.sort(np.argpartition(keys, self._n_most)[: self._n_most])]
        return np.ascontiguousarray(rows)
