"""Metrics that the service's container adds to the library's: from counts, so that hosts can add them up.

Source: open `sagemaker-xgboost-container`, custom_metrics.py; the definitions are scikit-learn's, zero where
a denominator is zero. `f1` is the macro mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from xgboost import collective

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xgboost
    from numpy.typing import NDArray

    Evaluate = Callable[[NDArray[Any], xgboost.DMatrix], list[tuple[str, float]]]

_THRESHOLDS = {"binary:logitraw": 0.0}
"""Above it a prediction means class 1; 0.5 for the others, which predict probabilities or classes."""


def evaluator(names: Sequence[str], objective: str, n_classes: int) -> Evaluate | None:
    """Return what computes `names` for `xgboost.train(custom_metric=…)`; None if there are none."""
    if not names:
        return None

    def evaluate(predicted: NDArray[Any], data: xgboost.DMatrix) -> list[tuple[str, float]]:
        labels = data.get_label()
        found: dict[str, float] = {}
        if set(names) - {"mse", "r2"}:
            classes = classes_of(predicted, objective)
            found |= from_confusion(_summed(confusion(labels, classes, n_classes)))
        if {"mse", "r2"} & set(names):
            found |= from_moments(_summed(_moments(labels, predicted)))
        return [(name, found[name]) for name in names]

    return evaluate


def classes_of(predicted: NDArray[Any], objective: str) -> NDArray[np.int64]:
    """Return the class that each prediction means, shape (n_rows,)."""
    if predicted.ndim == 2:
        return np.asarray(predicted.argmax(axis=1), np.int64)
    if objective.startswith("multi:"):
        return predicted.astype(np.int64)
    return (predicted > _THRESHOLDS.get(objective, 0.5)).astype(np.int64)


def confusion(labels: NDArray[Any], classes: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Count rows by label (first axis) and predicted class, shape (n_classes, n_classes)."""
    truth = np.rint(labels).astype(np.int64)
    counts = np.bincount(truth * n_classes + classes, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.float64)


def from_confusion(counts: NDArray[np.float64]) -> dict[str, float]:
    """Return every metric of predicted classes."""
    hits, truth, guessed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    seen, labelled = truth + guessed > 0, truth > 0
    recall = _share(hits, truth)
    precision = _share(hits, guessed)
    f1 = _share(2 * hits, truth + guessed)
    accuracy = float(hits.sum() / max(counts.sum(), 1.0))
    return {
        "accuracy": accuracy,
        "balanced_accuracy": _mean(recall[labelled]),
        "f1": _mean(f1[seen]),
        "f1_macro": _mean(f1[seen]),
        "f1_binary": float(f1[1]),
        "precision": float(precision[1]),
        "precision_macro": _mean(precision[seen]),
        "precision_micro": accuracy,
        "recall": float(recall[1]),
        "recall_macro": _mean(recall[seen]),
        "recall_micro": accuracy,
    }


def from_moments(sums: NDArray[np.float64]) -> dict[str, float]:
    """Return mean squared error and coefficient of determination."""
    n_rows, error, total, squares = sums
    spread = squares - total * total / max(n_rows, 1.0)
    r2 = 1 - error / spread if spread > 0 else float(error == 0)
    return {"mse": float(error / max(n_rows, 1.0)), "r2": float(r2)}


def _moments(labels: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    truth = labels.astype(np.float64)
    error = truth - predicted
    return np.array([truth.size, (error * error).sum(), truth.sum(), (truth * truth).sum()])


def _summed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the counts of all hosts."""
    if not collective.is_distributed():
        return counts
    return np.asarray(collective.allreduce(counts.ravel(), collective.Op.SUM)).reshape(counts.shape)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
