"""What a model is worth on parts of the rows, and how often its scores come true."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.console import pictures
from clary.console.pictures import Axis
from clary.toolkit.evaluation import Costs, Sweep

MOST = 20
"""Slices shown: the largest."""
BINS = 10


def by(
    column: pd.Series,
    positive: NDArray[np.bool_],
    scores: NDArray[np.float64],
    costs: Costs,
    threshold: float,
) -> list[dict[str, Any]]:
    """Return the figures of each value of a column, at one threshold for all."""
    found = []
    values = column.astype(str).to_numpy()
    for value in column.astype(str).value_counts().index[:MOST]:
        here = values == value
        labels, given = positive[here], scores[here]
        called = given >= threshold
        tp, fp = int((called & labels).sum()), int((called & ~labels).sum())
        fn = int((~called & labels).sum())
        is_judged = bool(labels.any() and not labels.all())
        found.append(
            {
                "value": value,
                "n_rows": len(labels),
                "rate": float(labels.mean()),
                "auc": Sweep.of(labels, given, np.ones(len(labels))).auc if is_judged else None,
                "recall": tp / (tp + fn) if tp + fn else None,
                "precision": tp / (tp + fp) if tp + fp else None,
                "cost": fn * costs.missed + fp * costs.alarm,
            }
        )
    return found


def calibration(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[Any, float]:
    """Return the picture of calibration in bins of equally many rows, and its expected error."""
    order = np.argsort(scores, kind="stable")
    bins = [each for each in np.array_split(order, BINS) if len(each)]
    predicted = [float(scores[each].mean()) for each in bins]
    observed = [float(positive[each].mean()) for each in bins]
    sizes = [len(each) for each in bins]
    error = float(np.average(np.abs(np.subtract(predicted, observed)), weights=sizes))
    points = [
        pictures.Point(x, y, f"{n} rows: {x:.4g} predicted, {y:.4g} observed")
        for x, y, n in zip(predicted, observed, sizes, strict=True)
    ]
    low, high = min(0.0, *predicted), max(1.0, *predicted)
    x = Axis("predicted", low, high)
    return pictures.scatter("Calibration", x, Axis("observed"), points, [(0, 0), (1, 1)]), error
