"""Small trainings of Linear Learner that together print all its metrics; rows are drawn with a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from clary.algorithms.base import Example

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_N_ROWS = 400
_BINARY = ("binary_classification_accuracy", "binary_f_beta", "precision", "recall", "roc_auc_score")
_CLASSES = (
    "multiclass_accuracy",
    "multiclass_top_k_accuracy",
    "dcg",
    "macro_f_beta",
    "macro_precision",
    "macro_recall",
)
_NUMBERS = ("mse", "rmse", "absolute_loss")
_ALWAYS = (
    "train:objective_loss",
    "train:objective_loss:final",
    "validation:objective_loss",
    "validation:objective_loss:final",
    "test:objective_loss",
    "train:progress",
    "train:throughput",
)


def _rows(label: Callable[[Sequence[float]], float], n_rows: int, seed: int) -> list[tuple[float, str]]:
    draw = random.Random(seed)  # noqa: S311 - example data
    rows = []
    for _ in range(n_rows):
        row = [round(draw.gauss(2 * place, place + 1), 4) for place in range(3)]
        rows.append((label([*row, draw.gauss(0, 0.2)]), ",".join(map(str, row))))
    return rows


def _example(
    name: str,
    doc: str,
    label: Callable[[Sequence[float]], float],
    metrics: tuple[str, ...],
    **hyperparameters: str,
) -> Example:
    channels = {
        channel: tuple(f"{value:g},{row}\n".encode() for value, row in _rows(label, n_rows, seed))
        for channel, n_rows, seed in (("train", _N_ROWS, 1), ("validation", 100, 2), ("test", 100, 3))
    }
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "feature_dim": "3",
            "mini_batch_size": "50",
            "epochs": "4",
            "num_models": "8",
            **hyperparameters,
        },
        content_type="text/csv",
        channels=channels,
        metrics=(*_ALWAYS, *(f"{channel}:{each}" for channel in channels for each in metrics)),
        request_type="text/csv",
        requests=tuple(row.encode() for _, row in _rows(label, 6, 4)),
        shuffle_tolerance=0.3,
    )


EXAMPLES = (
    _example(
        "binary",
        "Two classes; the threshold is the one of the best F score.",
        lambda row: float(row[0] + row[1] / 2 - row[2] / 3 + row[3] > 0),
        _BINARY,
        predictor_type="binary_classifier",
        binary_classifier_model_selection_criteria="f_beta",
    ),
    _example(
        "classes",
        "Three classes.",
        lambda row: float((row[0] + row[3] > 0) + (row[1] > 2)),
        _CLASSES,
        predictor_type="multiclass_classifier",
        num_classes="3",
        accuracy_top_k="2",
    ),
    _example(
        "numbers",
        "A number.",
        lambda row: 3 * row[0] - row[1] + row[3],
        _NUMBERS,
        predictor_type="regressor",
        loss="squared_loss",
    ),
)
"""All of them."""
