"""What finders of outliers share: rows dropped when fitting, values clipped, or a column that marks them."""

# ruff: noqa: N803 - scikit-learn's names

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.features.base import Learned, Mask, frame

ACTIONS = ("remove", "mark", "clip")


class Outliers(Learned):
    """Rows unlike the others, found in some columns of a table whose other columns pass as they are.

    `action` says what becomes of them. `remove`: where rows are fitted (`features.fit`) they are left out
    with their labels; new rows always pass. `mark`: a column `is_outlier` is added. `clip`: values
    are moved to the bound they cross.
    """

    def __init__(self, *, columns: Sequence[str] | None = None, action: str = "remove") -> None:
        self.columns = columns
        self.action = action

    def keep(self, X: Any) -> Mask:
        """Return which rows are like the others."""
        self.settle()
        rows = frame(X, self.columns_)
        return ~self._outlying(rows)

    def remove(self, X: Any, *aligned: Any) -> tuple[Any, ...]:
        """Return the rows that are like the others, and the same rows of what is aligned: labels."""
        kept = self.keep(X)
        return tuple(
            each.loc[kept] if isinstance(each, pd.DataFrame | pd.Series) else np.asarray(each)[kept]
            for each in (X, *aligned)
        )

    def _begin(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r}: it must be one of {', '.join(ACTIONS)}")
        if self.columns is not None:
            missing = [each for each in self.columns if each not in self.columns_]
            if missing:
                raise ValueError(f"columns {missing} are not in the table; it has {self.columns_}")

    def _looked_at(self, rows: pd.DataFrame) -> pd.DataFrame:
        if self.columns is not None:
            return rows[list(self.columns)]
        numeric = [each for each in rows.columns if pd.api.types.is_numeric_dtype(rows[each])]
        if not hasattr(self, "looked_at_"):
            self.looked_at_ = numeric or list(rows.columns)
        return rows[self.looked_at_]

    def _outlying(self, rows: pd.DataFrame) -> Mask:
        raise NotImplementedError

    def _clipped(self, rows: pd.DataFrame) -> pd.DataFrame:
        raise NotImplementedError

    def _apply(self, rows: pd.DataFrame) -> pd.DataFrame:
        if self.action == "clip":
            return self._clipped(rows)
        if self.action == "mark":
            return rows.assign(is_outlier=self._outlying(rows).astype(np.float64))
        return rows

    def _names(self, given: list[str]) -> list[str]:
        return [*given, "is_outlier"] if self.action == "mark" else given


class Bounds(Outliers):
    """Outliers by a lower and an upper bound of each column."""

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise NotImplementedError

    def _settle(self) -> None:
        self.low_, self.high_ = self._bounds()

    def _outlying(self, rows: pd.DataFrame) -> Mask:
        values = self._looked_at(rows).to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            crossed: Mask = (values < self.low_) | (values > self.high_)
        found: Mask = np.any(crossed, axis=1)
        return found

    def _clipped(self, rows: pd.DataFrame) -> pd.DataFrame:
        looked = self._looked_at(rows)
        values = np.clip(looked.to_numpy(dtype=np.float64, na_value=np.nan), self.low_, self.high_)
        return rows.assign(**{str(name): values[:, n] for n, name in enumerate(looked.columns)})
