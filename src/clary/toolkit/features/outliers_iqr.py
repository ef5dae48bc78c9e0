"""Outliers by the interquartile range: Tukey's fences."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.features._outliers import Bounds
from clary.toolkit.features._quantiles import Sketch
from clary.toolkit.features.base import numbers


class OutliersIQR(Bounds):
    """Values more than `factor` interquartile ranges below the first quartile or above the third.

    Source
    ------
    Tukey (1977), "Exploratory Data Analysis"; 1.5 is his fence, 3 his far one.
    """

    def __init__(
        self, *, columns: Sequence[str] | None = None, action: str = "remove", factor: float = 1.5
    ) -> None:
        super().__init__(columns=columns, action=action)
        self.factor = factor

    def _gather(self, rows: pd.DataFrame, y: NDArray[np.float64] | None) -> None:
        values = numbers(self._looked_at(rows), self)
        if not hasattr(self, "sketches_"):
            self.sketches_ = [Sketch(seed=n) for n in range(values.shape[1])]
        for sketch, column in zip(self.sketches_, values.T, strict=True):
            sketch.add(column)

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        first, third = np.array([each.quantiles(np.array([0.25, 0.75])) for each in self.sketches_]).T
        return first - self.factor * (third - first), third + self.factor * (third - first)
