"""Quantiles of a stream: exact while it is short, within a bound of ranks when it is long.

Source
------
Karnin, Lang, Liberty (2016), "Optimal quantile approximation in streams", doi:10.1109/FOCS.2016.17;
without the shrinking of the lower levels.
"""

import numpy as np
from numpy.typing import NDArray

K = 8192
"""Values that a level holds before every second one goes up; exact up to so many rows. The error in rank is
about `log2(n / K) / K`: 0.08 % for ten million rows."""


class Sketch:
    """What is remembered of one column."""

    def __init__(self, k: int = K, seed: int = 0) -> None:
        self._k = k
        self._levels: list[NDArray[np.float64]] = [np.empty(0)]
        self._random = np.random.default_rng(seed)
        self.n = 0
        self.low, self.high = np.inf, -np.inf

    def add(self, values: NDArray[np.float64]) -> None:
        """Take some more values; NaN count for nothing."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        self.n += len(values)
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())
        self._levels[0] = np.concatenate([self._levels[0], values])
        level = 0
        while len(self._levels[level]) > self._k:
            if level + 1 == len(self._levels):
                self._levels.append(np.empty(0))
            found = np.sort(self._levels[level])
            odd = found[len(found) - len(found) % 2 :]
            kept = found[int(self._random.integers(2)) : len(found) - len(odd) : 2]
            self._levels[level] = odd
            self._levels[level + 1] = np.concatenate([self._levels[level + 1], kept])
            level += 1

    def quantiles(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at shares of the ranks, as `numpy.quantile` does; NaN where nothing was seen."""
        if not self.n:
            return np.full(len(at), np.nan)
        if len(self._levels) == 1:
            return np.quantile(self._levels[0], at)
        values = np.concatenate(self._levels)
        weights = np.concatenate([np.full(len(each), 2.0**n) for n, each in enumerate(self._levels)])
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        middles = np.cumsum(weights) - weights / 2
        found = np.interp(np.asarray(at) * weights.sum(), middles, values)
        return np.where(at <= 0, self.low, np.where(at >= 1, self.high, found))
