"""The threshold of a binary classifier, exactly: every cut between two scores, from one sorted pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params


def choose(scores: Any, labels: Any, params: Params, middle: float) -> tuple[float, float]:
    """Return the best threshold and what it reaches; a row is positive where its score is at least that.

    Parameters
    ----------
    scores : ndarray, shape (n_rows,)
    labels : ndarray, shape (n_rows,)
        0 and 1.
    middle : float
        The threshold where the criterion does not ask for another, or no cut can reach its target.
    """
    order = np.argsort(-scores, kind="stable")
    found, truth = scores[order].astype(np.float64), labels[order] > 0.5
    ends = np.append(np.flatnonzero(found[1:] != found[:-1]), len(found) - 1)  # the last row of equal ones
    true = np.concatenate(([0], np.cumsum(truth)[ends])).astype(np.float64)
    taken = np.concatenate(([0], ends + 1)).astype(np.float64)
    n_positive = float(truth.sum())
    reached = _criterion(true, taken, n_positive, float(len(found)), params)
    best = int(np.argmax(reached))
    if not np.isfinite(reached[best]):
        return middle, -np.inf
    return _cut(found, taken, best, middle), float(reached[best])


def _criterion(true: Any, taken: Any, n_positive: float, n_rows: float, params: Params) -> Any:
    """Return what every cut reaches; minus infinity where it misses the target."""
    name = params.text("binary_classifier_model_selection_criteria")
    precision = np.divide(true, taken, out=np.zeros_like(true), where=taken > 0)
    recall = true / max(n_positive, 1.0)
    if name in {"f_beta", "f1"}:
        square = 1.0 if name == "f1" else params.float("f_beta") ** 2
        return (1 + square) * true / np.maximum(taken + square * n_positive, 1e-12)
    if name == "precision_at_target_recall":
        return np.where(recall >= params.float("target_recall") - 1e-12, precision, -np.inf)
    if name == "recall_at_target_precision":
        is_in = (precision >= params.float("target_precision") - 1e-12) & (taken > 0)
        return np.where(is_in, recall, -np.inf)
    n_right = true + (n_rows - n_positive) - (taken - true)
    return n_right / n_rows


def _cut(found: Any, taken: Any, best: int, middle: float) -> float:
    """Return a threshold between the last score that is taken and the next."""
    n_taken = int(taken[best])
    if n_taken == 0:
        return max(middle, float(np.nextafter(np.float32(found[0]), np.float32(np.inf))))
    if n_taken == len(found):
        return min(middle, float(found[-1]))
    low, high = float(found[n_taken]), float(found[n_taken - 1])
    return middle if low < middle <= high else (low + high) / 2
