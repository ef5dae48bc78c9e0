"""Cross validation: `_kfold` models, a line of mean metrics, and the predictions on rows held out.

Source: open `sagemaker-xgboost-container`, train.py and prediction_utils.py, whose watch lists are the whole
data; ours are the fold's two parts, so that `validation` is measured on rows held out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PREDICTIONS = "predictions.csv"


def parts(
    labels: NDArray[Any], n_folds: int, n_repeats: int, seed: int | None, *, by_class: bool
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return rows to learn from and rows held out, of every fold of every repeat.

    Raises
    ------
    CustomerError
        There are fewer rows, or fewer of a class, than folds.
    """
    from sklearn.model_selection import (  # noqa: PLC0415 - only cross validation needs it
        RepeatedKFold,
        RepeatedStratifiedKFold,
    )

    splitter = (RepeatedStratifiedKFold if by_class else RepeatedKFold)(
        n_splits=n_folds, n_repeats=n_repeats, random_state=seed
    )
    try:
        return list(splitter.split(np.zeros(labels.size), labels if by_class else None))
    except ValueError as error:
        raise CustomerError(
            f"Hyperparameter _kfold: value {n_folds} does not suit the data: {error}"
        ) from error


def mean_line(n_rounds: int, logs: Sequence[Any], shown: Callable[[str], str]) -> str:
    """Spell the mean of the folds' last metrics."""
    first = logs[0]
    line = f"[{n_rounds}]"
    for metric in first["train"]:
        for channel in first:
            mean = np.mean([log[channel][metric][-1] for log in logs])
            line += f"\t{channel}-{shown(metric)}:{mean:.5f}"
    return line


class HeldOut:
    """Predictions on rows held out, one for every repeat."""

    def __init__(self, labels: NDArray[Any], n_repeats: int, *, is_classification: bool) -> None:
        self._labels = labels
        self._is_classification = is_classification
        self._classes = np.zeros((labels.size, n_repeats))
        self._scores = np.zeros((labels.size, n_repeats))
        self._seen = np.zeros(labels.size, np.int64)

    def add(self, rows: NDArray[np.int64], predicted: NDArray[Any]) -> None:
        """Take one fold's predictions."""
        repeat = self._seen[rows]
        if predicted.ndim == 2:
            classes = predicted.argmax(axis=1)
            self._classes[rows, repeat] = classes
            self._scores[rows, repeat] = predicted[np.arange(rows.size), classes]
        else:
            self._classes[rows, repeat] = predicted > 0.5
            self._scores[rows, repeat] = predicted
        self._seen[rows] += 1

    def save(self, folder: Path) -> None:
        """Write `predictions.csv`: label, mean score and, for classes, the class most often predicted."""
        columns = [self._labels, self._scores.mean(axis=1)]
        if self._is_classification:
            columns.append(np.array([np.bincount(row.astype(np.int64)).argmax() for row in self._classes]))
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / PREDICTIONS, np.column_stack(columns), delimiter=",", fmt="%f")
