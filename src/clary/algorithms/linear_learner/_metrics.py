"""Metrics of a chosen model, as the service names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params


def binary(scores: Any, labels: Any, threshold: float, params: Params) -> dict[str, tuple[str, float]]:
    """Return name, kind and value of every metric of two classes."""
    chosen, truth = scores >= threshold, labels > 0.5
    both = float((chosen & truth).sum())
    precision = both / max(float(chosen.sum()), 1.0)
    recall = both / max(float(truth.sum()), 1.0)
    beta = params.float("f_beta")
    return {
        "binary_classification_accuracy": ("score", float((chosen == truth).mean())),
        "precision": ("score", precision),
        "recall": ("score", recall),
        f"binary_f_{beta:.3f}": ("score", _f(precision, recall, beta)),
        "roc_auc_score": ("score", auc(scores, truth)),
    }


def classes(scores: Any, labels: Any, params: Params) -> dict[str, tuple[str, float]]:
    """Return name, kind and value of every metric of several classes; scores have a column for each."""
    truth = labels.astype(np.int64)
    chosen = scores.argmax(axis=1)
    n_classes = scores.shape[1]
    own = scores[np.arange(len(truth)), truth]
    rank = (scores > own[:, None]).sum(axis=1)
    counts = np.bincount(truth * n_classes + chosen, minlength=n_classes**2).reshape(n_classes, n_classes)
    right = np.diag(counts).astype(np.float64)
    precision = right / np.maximum(counts.sum(axis=0), 1)
    recall = right / np.maximum(counts.sum(axis=1), 1)
    beta, k = params.float("f_beta"), params.int("accuracy_top_k")
    f_scores = [_f(p, r, beta) for p, r in zip(precision, recall, strict=True)]
    return {
        "multiclass_accuracy": ("score", float((chosen == truth).mean())),
        f"multiclass_top_k_accuracy_{k}": ("score", float((rank < k).mean())),
        "dcg": ("score", float((1 / np.log2(rank + 2)).mean())),
        "macro_recall": ("score", float(recall.mean())),
        "macro_precision": ("score", float(precision.mean())),
        f"macro_f_{beta:.3f}": ("score", float(np.mean(f_scores))),
    }


def regression(scores: Any, labels: Any) -> dict[str, tuple[str, float]]:
    """Return name, kind and value of every metric of numbers."""
    apart = scores.astype(np.float64) - labels
    mse = float((apart * apart).mean())
    return {
        "mse": ("loss", mse),
        "rmse": ("loss", mse**0.5),
        "absolute_loss": ("loss", float(np.abs(apart).mean())),
    }


def auc(scores: Any, truth: Any) -> float:
    """Return the area under the ROC curve, ties counted half; 0.5 where there is one class alone."""
    n_positive = int(truth.sum())
    n_negative = len(truth) - n_positive
    if not n_positive or not n_negative:
        return 0.5
    order = np.argsort(scores, kind="stable")
    found = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], found[1:] != found[:-1])))
    ends = np.append(starts[1:], len(found))
    ranks = np.repeat((starts + ends + 1) / 2, ends - starts)
    rank_sum = float(ranks[truth[order]].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def _f(precision: float, recall: float, beta: float) -> float:
    below = beta * beta * precision + recall
    return float((1 + beta * beta) * precision * recall / below) if below else 0.0
