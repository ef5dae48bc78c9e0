"""Fitting pipelines block by block: each pass over the blocks feeds all transformers that can learn by then.

Pipeline            one pass a step, its rows taken through the steps before
ColumnTransformer   all branches in the same pass
a transformer       `partial_fit` of every block
"""

# ruff: noqa: N803, N806 - scikit-learn's names

import logging
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from clary.toolkit.features._blocks import Block, Table
from clary.toolkit.features.base import Replay

HEAD_ROWS = 64
"""Rows by which a fitted column transformer learns its columns' places."""
TELL_EVERY_S = 2.0
log = logging.getLogger(__name__)
Progress = Callable[[str], None]
_Learning = Generator[None, Block | None, Any]


class Settled(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted transformer that fitting again leaves as it is."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __sklearn_clone__(self) -> "Settled":
        """Stay the same."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it is fitted: always."""
        return True

    def fit(self, X: Any, y: Any = None) -> "Settled":
        """Do nothing."""
        return self

    def transform(self, X: Any) -> Any:
        """Return what the fitted transformer does."""
        return self.inner.transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns that `transform` returns."""
        return self.inner.get_feature_names_out(input_features)


def fit_in_blocks(estimator: Any, blocks: Iterable[Block], *, progress: Progress | None = None) -> Any:
    """Return a copy of a pipeline, column transformer or transformer, fitted on all blocks.

    Parameters
    ----------
    blocks : iterable of (DataFrame, labels or None)
        Iterated once a pass: a `Table`, or a list.
    progress : callable, optional
        Takes a line of text every two seconds; `print` shows it in the job's log.

    Raises
    ------
    TypeError
        A transformer cannot learn from blocks, and there are several.
    """
    learning = _learn(estimator)
    next(learning)
    types: dict[str, str] = {}
    number = 0
    while True:
        number += 1
        n_rows, told = 0, time.monotonic()
        for X, y in blocks:
            if not types and isinstance(X, pd.DataFrame):
                types = {str(name): str(dtype) for name, dtype in X.dtypes.items()}
            learning.send((X, y))
            n_rows += len(X)
            if progress is not None and time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                progress(_line(number, n_rows, blocks))
        if not n_rows:
            raise ValueError("there are no rows to fit")
        if progress is not None:
            progress(f"fit: pass {number} done, {n_rows:,} rows")
        try:
            learning.send(None)
        except StopIteration as end:
            fitted = end.value
            fitted.input_types_ = types
            return fitted


def _line(number: int, n_rows: int, blocks: Iterable[Block]) -> str:
    share = f", {blocks.share:.0%}" if isinstance(blocks, Table) else ""
    return f"fit: pass {number}, {n_rows:,} rows{share}"


def through(steps: Sequence[tuple[str, Any]], X: Any, y: Any) -> tuple[Any, Any]:
    """Take fitted rows through fitted steps; rows that a step drops go with their labels."""
    for _, step in steps:
        if step is None or step == "passthrough":
            continue
        if drops(step):
            kept = step.keep(X)
            X = X.loc[kept] if isinstance(X, pd.DataFrame) else X[kept]
            y = y if y is None else y[kept]
        X = step.transform(X)
    return X, y


def drops(step: Any) -> bool:
    """Say whether a step leaves rows out where it is fitted."""
    return hasattr(step, "keep") and getattr(step, "action", "") == "remove"


def _learn(estimator: Any) -> _Learning:
    """Take blocks, None at the end of each pass; return the fitted copy when enough passes are over."""
    if isinstance(estimator, Pipeline):
        return _learn_pipeline(estimator)
    if isinstance(estimator, ColumnTransformer):
        return _learn_columns(estimator)
    return _learn_one(estimator)


def _learn_one(estimator: Any) -> _Learning:
    fresh = clone(estimator)
    is_blockwise = hasattr(fresh, "partial_fit") and hasattr(fresh, "transform")
    first: Block | None = None
    is_fitted = isinstance(fresh, FunctionTransformer)  # it learns nothing
    while (block := (yield)) is not None:
        if is_blockwise:
            fresh.partial_fit(*block)
        elif first is not None and not is_fitted:
            raise TypeError(
                f"{type(fresh).__name__} cannot learn from blocks, as it has no partial_fit; fit it in "
                "memory, or use one of clary.toolkit.features"
            )
        first = first or block
    if not is_blockwise and first is not None:
        fresh.fit(*first)
    return fresh


def _learn_pipeline(estimator: Pipeline) -> _Learning:
    done: list[tuple[str, Any]] = []
    for name, step in estimator.steps:
        if step is None or step == "passthrough":
            done.append((name, step))
            continue
        inner = _learn(step)
        next(inner)
        fitted = None
        while fitted is None:
            seen = Replay()
            while (block := (yield)) is not None:
                with seen:
                    rows = through(done, *block)
                inner.send(rows)
            try:
                inner.send(None)
            except StopIteration as end:
                fitted = end.value
        done.append((name, fitted))
    return clone(estimator).set_params(steps=done)


def _learn_columns(estimator: ColumnTransformer) -> _Learning:
    """Feed every branch in the same pass; branches that have learned enough wait for the others."""
    head: Block | None = None
    columns: dict[str, Any] = {}
    active: dict[str, _Learning] = {}
    fitted: dict[str, Any] = {}
    while head is None or active:
        while (block := (yield)) is not None:
            X, y = block
            if head is None:
                head = (X[:HEAD_ROWS], y if y is None else y[:HEAD_ROWS])
                for name, branch, chosen in estimator.transformers:
                    columns[name] = chosen(X) if callable(chosen) else chosen
                    if isinstance(branch, str):
                        fitted[name] = branch
                    elif drops(branch):
                        raise TypeError(f"{name}: rows can be removed by a step of a Pipeline only")
                    else:
                        active[name] = _learn(branch)
                        next(active[name])
            for name, learning in active.items():
                learning.send((_select(X, columns[name]), y))
        for name in list(active):
            try:
                active[name].send(None)
            except StopIteration as end:
                fitted[name] = Settled(end.value)
                del active[name]
    assert head is not None
    transformers = [(name, fitted[name], columns[name]) for name, _, _ in estimator.transformers]
    # clones keep what is settled: what is fitted here is only where the columns lie
    return clone(estimator).set_params(transformers=transformers).fit(*head)


def _select(X: Any, columns: Any) -> Any:
    if isinstance(X, pd.DataFrame):
        if isinstance(columns, str):
            return X[columns]
        is_named = not len(columns) or isinstance(columns[0], str)
        return X.loc[:, columns] if is_named or not isinstance(columns[0], int) else X.iloc[:, columns]
    return X[:, columns]
