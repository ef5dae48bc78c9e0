"""The seam of the transformations, and what those that learn from blocks of rows share.

in memory   fit(X, y)                          ─▶ gather, settle
in blocks   partial_fit(X, y) … partial_fit(…) ─▶ gather, gather, … settle, at the first use
"""

# ruff: noqa: N803 - scikit-learn's names

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

Mask = NDArray[np.bool_]


@runtime_checkable
class Transformation(Protocol):
    """A scikit-learn transformer that also learns from blocks.

    Promises
    --------
    - It fits a `Pipeline` and a `ColumnTransformer`: `get_params`, `clone` and `get_feature_names_out` work.
    - `partial_fit` over blocks of the rows gives what `fit` gives over all: the same to the last digits where
      sums or counts are learned, within 0.1 % of the ranks where quantiles are, and a forest from a sample.
    - `transform` keeps every row, in order. What drops rows says which by `keep`, and only when fitting.
    - NaN and None are missing values; no transformation but `Impute` makes values of them.
    """

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from all rows."""
        ...

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Learn from some more rows."""
        ...

    def transform(self, X: Any) -> Any:
        """Return the rows, transformed."""
        ...

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns that `transform` returns."""
        ...


class Replay:
    """Says that rows pass in the order in which they were fitted: what is out of fold must know.

    Within `with Replay():` a transformer that asks for the number of its first row gets it.
    """

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def __enter__(self) -> "Replay":
        self._token = _REPLAY.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _REPLAY.reset(self._token)

    def advance(self, owner: object, n_rows: int) -> int:
        """Return how many rows `owner` has seen before these."""
        first = self._seen.get(id(owner), 0)
        self._seen[id(owner)] = first + n_rows
        return first


_REPLAY: ContextVar[Replay | None] = ContextVar("replay", default=None)


def replay() -> Replay | None:
    """Return the pass in which fitted rows are transformed; None for rows that are new."""
    return _REPLAY.get()


class Learned(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer that gathers statistics block by block, and settles once all are seen.

    A member of the folder writes `_begin`, `_gather`, `_settle` and `_apply`; columns arrive as a DataFrame.
    """

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from all rows, and from nothing before them."""
        for name in [each for each in vars(self) if each.endswith("_") and not each.startswith("__")]:
            delattr(self, name)
        return self.partial_fit(X, y)

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Learn from some more rows; their columns are those of the first."""
        rows = frame(X, getattr(self, "columns_", None))
        if not hasattr(self, "columns_"):
            self.columns_ = list(rows.columns)
            self.n_features_in_ = len(self.columns_)
            if isinstance(X, pd.DataFrame):
                self.feature_names_in_ = np.asarray(self.columns_, dtype=object)
            self.n_rows_ = 0
            self._begin()
        self._gather(rows, None if y is None else np.asarray(y))
        self.n_rows_ += len(rows)
        self.is_settled_ = False
        return self

    def transform(self, X: Any) -> Any:
        """Return the rows, transformed, in their order."""
        self.settle()
        return self._apply(frame(X, self.columns_))

    def settle(self) -> Any:
        """Turn what was gathered into what `transform` needs; does nothing the second time."""
        if not hasattr(self, "columns_"):
            raise ValueError(f"{type(self).__name__} is not fitted; call fit or partial_fit first")
        if not self.is_settled_:
            self._settle()
            self.is_settled_ = True
        return self

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns that `transform` returns."""
        self.settle()
        given = self.columns_ if input_features is None else list(input_features)
        return np.asarray(self._names([str(each) for each in given]), dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it has seen rows."""
        return hasattr(self, "columns_")

    def _begin(self) -> None:
        """Make empty statistics for `columns_`."""

    def _gather(self, rows: pd.DataFrame, y: NDArray[Any] | None) -> None:
        """Add a block to the statistics."""

    def _settle(self) -> None:
        """Make of the statistics what `_apply` needs."""

    def _apply(self, rows: pd.DataFrame) -> Any:
        raise NotImplementedError

    def _names(self, given: list[str]) -> list[str]:
        return given


def frame(X: Any, columns: Sequence[Any] | None = None) -> pd.DataFrame:
    """Return rows as a DataFrame of the columns that were fitted.

    Raises
    ------
    ValueError
        A fitted column is missing, or there are more or fewer than were fitted.
    """
    if isinstance(X, pd.DataFrame):
        if columns is None or list(X.columns) == list(columns):
            return X
        missing = [each for each in columns if each not in X.columns]
        if not missing:
            return X[list(columns)]
        if len(X.columns) != len(columns) or not all(str(each).startswith("x") for each in missing):
            raise ValueError(
                f"the columns {missing} were fitted and are missing; there are {list(X.columns)}"
            )
        return X.set_axis(list(columns), axis=1)
    values = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
    if values.ndim == 1:
        values = values.reshape(-1, 1)
    names = list(columns) if columns is not None else [f"x{n}" for n in range(values.shape[1])]
    if len(names) != values.shape[1]:
        raise ValueError(f"{values.shape[1]} columns, but {len(names)} were fitted: {names}")
    return pd.DataFrame(values, columns=names)


def numbers(rows: pd.DataFrame, owner: object) -> NDArray[np.float64]:
    """Return all columns as float64, missing values as NaN.

    Raises
    ------
    ValueError
        A column is text.
    """
    try:
        return rows.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        for name in rows.columns:
            found = pd.to_numeric(rows[name], errors="coerce")
            wrong = rows[name][found.isna() & rows[name].notna()]
            if len(wrong):
                raise ValueError(
                    f"{type(owner).__name__} needs numbers, and column {name!r} has {wrong.iloc[0]!r}"
                ) from error
        raise
