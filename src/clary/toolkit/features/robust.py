"""Robust scaling: median and spread between quantiles, which outliers do not move."""

# ruff: noqa: N803 - scikit-learn's names

from typing import Any

import numpy as np
from sklearn.preprocessing import RobustScaler

from clary.toolkit.features._quantiles import Sketch
from clary.toolkit.features.base import frame, numbers


class Robust(RobustScaler):  # type: ignore[misc]
    """Take the median off each column and divide it by the range between two quantiles.

    scikit-learn's `RobustScaler`; in blocks the quantiles are those of a sketch, exact up to 8,192 rows.
    """

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from all rows."""
        self.__dict__.pop("sketches_", None)
        return super().fit(X, y)

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Learn from some more rows."""
        rows = frame(X)
        values = numbers(rows, self)
        if not hasattr(self, "sketches_"):
            super().fit(X, y)  # names, counts, parameters: all that is no statistic
            self.sketches_ = [Sketch(seed=n) for n in range(values.shape[1])]
        for sketch, column in zip(self.sketches_, values.T, strict=True):
            sketch.add(column)
        low, high = self.quantile_range
        found = np.array([each.quantiles(np.array([low, 50.0, high]) / 100) for each in self.sketches_])
        if self.with_centering:
            self.center_ = found[:, 1]
        if self.with_scaling:
            spread = found[:, 2] - found[:, 0]
            self.scale_ = np.where(spread < 10 * np.finfo(np.float64).eps, 1.0, spread)
            if self.unit_variance:
                from scipy import stats  # noqa: PLC0415 - seldom wanted

                self.scale_ /= stats.norm.ppf(high / 100) - stats.norm.ppf(low / 100)
        return self
