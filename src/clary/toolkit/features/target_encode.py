"""Target encoding: a category becomes the mean of the label over its rows, out of fold where it is fitted."""

# ruff: noqa: N803 - scikit-learn's names

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.features.base import Learned, Replay, replay


class TargetEncode(Learned):
    """The mean label of each value's rows, drawn to the mean of all where the rows are few.

    Rows that it was fitted on get the mean of the other folds (`fit_transform`, `features.fit_transform`), so
    that no row sees its own label. The fold of a row is its number modulo `n_folds`. New and missing values
    get the mean of all.

    Parameters
    ----------
    smoothing : float
        Rows that the mean of all counts for.

    Source
    ------
    Micci-Barreca (2001), doi:10.1145/507533.507538; out of fold as scikit-learn's `TargetEncoder`.
    """

    def __init__(self, *, smoothing: float = 10.0, n_folds: int = 5) -> None:
        self.smoothing = smoothing
        self.n_folds = n_folds

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> Any:
        """Fit, and return the same rows encoded out of fold."""
        self.fit(X, y)
        with Replay():
            return self.transform(X)

    def _begin(self) -> None:
        if self.n_folds < 2:
            raise ValueError(f"n_folds {self.n_folds}: it must be at least 2")
        self.sums_: list[dict[Any, NDArray[np.float64]]] = [{} for _ in self.columns_]
        self.totals_ = np.zeros((2, self.n_folds))

    def _gather(self, rows: pd.DataFrame, y: NDArray[Any] | None) -> None:
        if y is None:
            raise ValueError("TargetEncode needs the labels: fit(X, y)")
        labels = np.asarray(y, dtype=np.float64)
        folds = self._folds(self.n_rows_, len(rows))
        self.totals_ += _sums(folds, labels, self.n_folds)
        for sums, name in zip(self.sums_, self.columns_, strict=True):
            codes, values = pd.factorize(rows[name].astype(object))
            seen = codes >= 0
            cells = codes[seen] * self.n_folds + folds[seen]
            found = _sums(cells, labels[seen], len(values) * self.n_folds).reshape(
                2, len(values), self.n_folds
            )
            for n, value in enumerate(values):
                before = sums.get(value)
                sums[value] = found[:, n] if before is None else before + found[:, n]

    def _folds(self, first: int, n_rows: int) -> NDArray[np.int64]:
        return np.arange(first, first + n_rows) % self.n_folds

    def _settle(self) -> None:
        self.mean_ = self.totals_[1].sum() / max(self.totals_[0].sum(), 1)
        self.values_ = [pd.Index(list(sums), dtype=object) for sums in self.sums_]
        self.codings_, self.out_of_fold_ = [], []
        others = self.totals_.sum(axis=1, keepdims=True) - self.totals_
        fold_means = others[1] / np.maximum(others[0], 1)
        for sums in self.sums_:
            found = np.stack(list(sums.values())) if sums else np.zeros((0, 2, self.n_folds))
            whole = found.sum(axis=2)
            self.codings_.append(
                np.append(
                    (whole[:, 1] + self.smoothing * self.mean_) / (whole[:, 0] + self.smoothing), self.mean_
                )
            )
            left = whole[:, :, None] - found
            coded = (left[:, 1] + self.smoothing * fold_means) / (left[:, 0] + self.smoothing)
            self.out_of_fold_.append(np.vstack([coded, fold_means]))

    def _apply(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        now = replay()
        folds = None if now is None else self._folds(now.advance(self, len(rows)), len(rows))
        columns = []
        for n, name in enumerate(self.columns_):
            codes = self.values_[n].get_indexer(rows[name].astype(object))  # -1, the last, is what is new
            codes[rows[name].isna().to_numpy()] = -1
            columns.append(self.codings_[n][codes] if folds is None else self.out_of_fold_[n][codes, folds])
        return np.column_stack(columns)


def _sums(cells: NDArray[np.int64], labels: NDArray[np.float64], n_cells: int) -> NDArray[np.float64]:
    """Return how many labels fall into each cell, and their sum."""
    counts = np.bincount(cells, minlength=n_cells).astype(np.float64)
    return np.stack([counts, np.bincount(cells, labels, minlength=n_cells)])
