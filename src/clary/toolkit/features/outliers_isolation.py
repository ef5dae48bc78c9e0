"""Outliers by an isolation forest: rows that few random cuts set apart."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from clary.toolkit.features._outliers import Outliers
from clary.toolkit.features.base import Mask, numbers

SAMPLE_ROWS = 100_000
"""Rows that are kept to grow the forest from: each tree takes 256 of them."""


class OutliersIsolation(Outliers):
    """Rows that an isolation forest sets apart sooner than the others; missing values count as the median.

    In blocks the forest grows from a sample of `SAMPLE_ROWS` rows, all of them where there are no more.

    Source
    ------
    Liu, Ting, Zhou (2008), "Isolation Forest", doi:10.1109/ICDM.2008.17; sampling by Vitter (1985),
    doi:10.1145/3147.3165.
    """

    def __init__(
        self,
        *,
        columns: Sequence[str] | None = None,
        action: str = "remove",
        contamination: float | str = 0.01,
        n_estimators: int = 100,
        random_state: int = 0,
    ) -> None:
        super().__init__(columns=columns, action=action)
        self.contamination = contamination
        self.n_estimators = n_estimators
        self.random_state = random_state

    def _begin(self) -> None:
        super()._begin()
        if self.action == "clip":
            raise ValueError("action 'clip': a forest has no bounds to clip to; it must be remove or mark")

    def _gather(self, rows: pd.DataFrame, y: NDArray[np.float64] | None) -> None:
        values = numbers(self._looked_at(rows), self)
        if not hasattr(self, "sample_"):
            self.sample_, self.random_ = values[:0], np.random.default_rng(self.random_state)
        room = SAMPLE_ROWS - len(self.sample_)
        self.sample_ = np.concatenate([self.sample_, values[:room]])
        rest = values[max(room, 0) :]
        places = self.random_.integers(0, self.n_rows_ + max(room, 0) + np.arange(len(rest)) + 1)
        chosen = places < SAMPLE_ROWS
        self.sample_[places[chosen]] = rest[chosen]

    def _settle(self) -> None:
        self.medians_ = np.nan_to_num(np.nanmedian(self.sample_, axis=0))
        self.forest_ = IsolationForest(
            n_estimators=self.n_estimators, contamination=self.contamination, random_state=self.random_state
        ).fit(self._filled(self.sample_))

    def _filled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.isnan(values), self.medians_, values)

    def _outlying(self, rows: pd.DataFrame) -> Mask:
        found: Mask = self.forest_.predict(self._filled(numbers(self._looked_at(rows), self))) < 0
        return found
