"""Outliers by the z-score: far from the mean in standard deviations."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from clary.toolkit.features._outliers import Bounds
from clary.toolkit.features.base import numbers


class OutliersZScore(Bounds):
    """Values more than `limit` standard deviations from the mean of their column."""

    def __init__(
        self, *, columns: Sequence[str] | None = None, action: str = "remove", limit: float = 3.0
    ) -> None:
        super().__init__(columns=columns, action=action)
        self.limit = limit

    def _gather(self, rows: pd.DataFrame, y: NDArray[np.float64] | None) -> None:
        if not hasattr(self, "moments_"):
            self.moments_ = StandardScaler()
        self.moments_.partial_fit(numbers(self._looked_at(rows), self))

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        spread = self.limit * np.sqrt(self.moments_.var_)
        return self.moments_.mean_ - spread, self.moments_.mean_ + spread
