"""Numbers: predictions against what came true."""

from typing import Any

import numpy as np
import pandas as pd

from clary.toolkit.evaluation import _pictures, _tables
from clary.toolkit.evaluation._bootstrap import row_samples
from clary.toolkit.evaluation.base import (
    Evaluation,
    Metric,
    Options,
    Vector,
    column,
    numeric,
    weights_of,
)


def evaluate(rows: pd.DataFrame, options: Options) -> Evaluation:
    """Judge predicted numbers."""
    actual = numeric(rows, options.label, "label")
    predicted = numeric(rows, options.score[0], "score")
    weights = weights_of(rows, options)
    metrics = measure(actual, predicted, weights, options)
    extras: dict[str, Any] = {}
    slices: dict[str, dict[str, Any]] = {}
    for name in options.slices:
        values = _tables.slice_values(column(rows, name, "slice"))
        slices[name] = {}
        for value in pd.unique(values):
            at = (values == value).to_numpy()
            part = measure(actual[at], predicted[at], weights[at], options)
            slices[name][str(value)] = {"item_count": int(at.sum())} | {
                key: each.document()
                for key, each in part.items()
                if key in _tables.OF_SLICES and each.is_defined
            }
    if slices:
        extras["slices"] = slices
    r2 = metrics["r2"]
    explained = f", and {r2.value:.1%} of the variance is explained" if r2.is_defined else ""
    return Evaluation(
        kind="regression",
        n_rows=len(actual),
        metrics=metrics,
        quality={},
        extras=extras,
        verdict=f"A prediction is off by {metrics['mae'].value:,.4g} on average{explained}.",
        tiles=[
            (f"{metrics['mae'].value:,.4g}", "mean absolute error"),
            (f"{metrics['rmse'].value:,.4g}", "root mean squared error"),
            (f"{r2.value:.3f}" if r2.is_defined else "none", "R²"),
            (f"{float(np.average(predicted - actual, weights=weights)):+,.4g}", "mean error"),
        ],
        figures=[
            _pictures.density(actual, predicted),
            _pictures.residuals(predicted - actual, weights),
            _pictures.by_tenth(predicted, predicted - actual),
        ],
        sheets=[
            _tables.figures(metrics, "Figures"),
            *(_tables.of_slice(name, found) for name, found in slices.items()),
        ],
        notes=[f"Intervals hold 95 % of {options.n_resamples} bootstrap samples (seed {options.seed})."],
    )


def measure(actual: Vector, predicted: Vector, weights: Vector, options: Options) -> dict[str, Metric]:
    """Return every figure with its spread."""
    error = predicted - actual
    centred = actual - np.average(actual, weights=weights)  # else the squares below would cancel out
    sums = np.column_stack([np.ones(len(error)), np.abs(error), error**2, centred, centred**2])
    whole = _figures(weights[None, :] @ sums)
    drawn = [
        _figures((each * weights) @ sums)
        for each in row_samples(len(error), options.n_resamples, options.seed)
    ]
    samples = {name: np.concatenate([each[name] for each in drawn]) for name in whole} if drawn else {}
    none = np.empty(0)
    found = {name: Metric.of(float(value[0]), samples.get(name, none)) for name, value in whole.items()}
    if np.abs(actual).min() > 1e-9 * max(float(np.abs(actual).max()), 1e-9):
        share = np.average(np.abs(error / actual), weights=weights)
        found["mean_percentage_error"] = Metric(float(share) * 100)
    return found


def _figures(sums: Vector) -> dict[str, Vector]:
    """Return the figures of weighted sums: shape (samples, 5)."""
    n, absolute, square, actual, actual_square = np.asarray(sums, dtype=np.float64).T
    with np.errstate(invalid="ignore", divide="ignore"):
        mse = square / n
        scatter = actual_square - actual**2 / n
        r2 = np.where(scatter > 1e-12 * np.maximum(actual_square, 1e-300), 1 - square / scatter, np.nan)
        return {"mae": absolute / n, "mse": mse, "rmse": np.sqrt(mse), "r2": r2}
