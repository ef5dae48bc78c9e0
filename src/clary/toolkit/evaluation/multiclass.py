"""Several classes: called classes or their probabilities against labels, and what each error costs."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.evaluation import _pictures, _tables
from clary.toolkit.evaluation._bootstrap import row_samples
from clary.toolkit.evaluation._costs import cost_matrix
from clary.toolkit.evaluation._counts import Sweep, share
from clary.toolkit.evaluation.base import (
    Evaluation,
    Figure,
    Metric,
    Options,
    Sheet,
    Vector,
    column,
    numeric,
    weights_of,
)

MOST_CURVES = 8
_BY_COSTS = "With costs, a row is called the class whose expected cost under its probabilities is least."


def evaluate(rows: pd.DataFrame, options: Options) -> Evaluation:
    """Judge predictions of several classes.

    `options.score` is one column of called classes, or a column of probabilities for each class, named as the
    class or `<anything>_<class>`.
    """
    labels = column(rows, options.label, "label").map(str).to_numpy(dtype=object)
    weights = weights_of(rows, options)
    probabilities, classes = _probabilities(rows, options, labels)
    actual = np.searchsorted(classes, labels)
    costs = cost_matrix(options.costs, classes)
    if probabilities is None:
        usual = np.searchsorted(
            classes, column(rows, options.score[0], "score").map(str).to_numpy(dtype=object)
        )
        best = usual
    else:
        usual = probabilities.argmax(axis=1)
        best = usual if costs is None else (probabilities @ costs).argmin(axis=1)
    cells = _cells(actual, usual, weights, len(classes))
    metrics = _metrics(cells, _samples(actual, usual, weights, len(classes), options))
    extras: dict[str, Any] = {}
    if costs is not None:
        metrics, extras = _with_costs(metrics, costs, (actual, usual, best), weights, options, classes)
    sheets = [_tables.matrix("Confusion matrix", classes, cells)]
    if costs is not None and (best != usual).any():
        chosen = _cells(actual, best, weights, len(classes))
        sheets.append(_tables.matrix("Confusion matrix of least cost", classes, chosen))
    sheets += [_per_class(classes, cells), _tables.figures(metrics, "Figures")]
    slices = _slices(rows, options, actual, usual, weights, len(classes))
    if slices:
        extras["slices"] = slices
        sheets += [_tables.of_slice(name, found) for name, found in slices.items()]
    decision = {"kind": "multiclass", "classes": classes} | (
        {} if costs is None else {"cost_matrix": costs.tolist()}
    )
    return Evaluation(
        kind="multiclass",
        n_rows=len(actual),
        metrics=metrics,
        quality={"confusion_matrix": _named(cells, classes)},
        extras=extras,
        decision=decision if probabilities is not None else None,
        verdict=_verdict(metrics, classes, costs, can_choose=probabilities is not None),
        tiles=_tiles(metrics, classes, costs, can_choose=probabilities is not None),
        figures=_figures(actual, probabilities, weights, classes),
        sheets=sheets,
        notes=[
            f"Intervals hold 95 % of {options.n_resamples} bootstrap samples (seed {options.seed}).",
            *([_BY_COSTS] if costs is not None and probabilities is not None else []),
        ],
    )


def _probabilities(
    rows: pd.DataFrame, options: Options, labels: NDArray[Any]
) -> tuple[Vector | None, list[str]]:
    if len(options.score) == 1:
        called = column(rows, options.score[0], "score").map(str)
        return None, sorted({*labels, *called})
    named = {_class_of(name, set(labels)): name for name in options.score}
    missing = sorted(set(labels) - set(named))
    if missing:
        raise ValueError(f"score: no column for class {missing[0]!r}; there are {', '.join(options.score)}")
    classes = sorted(named)
    return np.column_stack([numeric(rows, named[each], "score") for each in classes]), classes


def _class_of(name: str, labels: set[Any]) -> str:
    ends = [each for each in labels if name == each or name.endswith(f"_{each}")]
    return max(ends, key=len) if ends else name


def _cells(actual: NDArray[Any], called: NDArray[Any], weights: Vector, n: int) -> Vector:
    cells: Vector = np.bincount(actual * n + called, weights, minlength=n * n).astype(np.float64)
    return cells.reshape(n, n)


def _samples(actual: NDArray[Any], called: NDArray[Any], weights: Vector, n: int, options: Options) -> Vector:
    """Return bootstrap confusion matrices, drawn cell by cell: shape (samples, n, n)."""
    counts = _cells(actual, called, np.ones(len(actual)), n).ravel()
    mass = _cells(actual, called, weights, n).ravel()
    means = np.divide(mass, counts, out=np.zeros(n * n), where=counts > 0)
    random = np.random.default_rng(options.seed)
    drawn = random.multinomial(len(actual), counts / counts.sum(), size=options.n_resamples)
    found: Vector = np.asarray(drawn * means, dtype=np.float64).reshape(-1, n, n)
    return found


def _figures_of(cells: Vector) -> dict[str, Vector]:
    """Return the figures of confusion matrices, by the names of SageMaker's form."""
    right = np.diagonal(cells, axis1=-2, axis2=-1)
    actual, called, total = cells.sum(axis=-1), cells.sum(axis=-2), cells.sum(axis=(-2, -1))
    recall, precision = share(right, actual), share(right, called)
    part = share(actual, np.broadcast_to(total[..., None], actual.shape))
    found = {
        "accuracy": share(right.sum(axis=-1), total),
        "weighted_recall": (recall * part).sum(axis=-1),
        "weighted_precision": (precision * part).sum(axis=-1),
    }
    for name, beta in (("weighted_f0_5", 0.5), ("weighted_f1", 1.0), ("weighted_f2", 2.0)):
        square = beta * beta
        each = share((1 + square) * precision * recall, square * precision + recall)
        found[name] = (each * part).sum(axis=-1)
    f1 = share(2 * precision * recall, precision + recall)
    found["macro_f1"] = f1.mean(axis=-1)
    return found


def _metrics(cells: Vector, samples: Vector) -> dict[str, Metric]:
    drawn = _figures_of(samples)
    found = {name: Metric.of(float(value), drawn[name]) for name, value in _figures_of(cells).items()}
    constant = np.zeros_like(cells)
    constant[:, int(cells.sum(axis=1).argmax())] = cells.sum(axis=1)
    for name, value in _figures_of(constant).items():
        found[f"{name}_best_constant_classifier"] = Metric(float(value))
    return found


def _with_costs(
    metrics: dict[str, Metric],
    costs: Vector,
    called: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    weights: Vector,
    options: Options,
    classes: list[str],
) -> tuple[dict[str, Metric], dict[str, Any]]:
    actual, usual, best = called
    paid, least = costs[actual, usual], costs[actual, best]
    samples: list[Vector] = []
    for drawn in row_samples(len(actual), options.n_resamples, options.seed):
        mass = drawn * weights
        total = mass.sum(axis=1)
        samples.append(np.stack([mass @ paid / total, mass @ least / total, mass @ (paid - least) / total]))
    spread = np.concatenate(samples, axis=1) if samples else np.zeros((3, 0))
    names = ("expected_cost", "expected_cost_best", "saving")
    found = {
        name: Metric.of(float(np.average(values, weights=weights)), spread[n])
        for n, (name, values) in enumerate(zip(names, (paid, least, paid - least), strict=True))
    }
    document = {"classes": classes, "cost_matrix": costs.tolist()}
    return metrics | found, {"costs": document | {name: each.document() for name, each in found.items()}}


def _named(cells: Vector, classes: list[str]) -> dict[str, dict[str, float]]:
    return {
        name: {other: float(value) for other, value in zip(classes, row, strict=True)}
        for name, row in zip(classes, cells, strict=True)
    }


def _per_class(classes: list[str], cells: Vector) -> Sheet:
    right, actual, called = np.diagonal(cells), cells.sum(axis=1), cells.sum(axis=0)
    recall, precision = share(right, actual), share(right, called)
    f1 = share(2 * precision * recall, precision + recall)
    rows = [
        [name, f"{actual[n]:,.0f}", f"{precision[n]:.1%}", f"{recall[n]:.1%}", f"{f1[n]:.3f}"]
        for n, name in enumerate(classes)
    ]
    return Sheet("By class", ("", "rows", "precision", "recall", "F1"), rows)


def _slices(
    rows: pd.DataFrame,
    options: Options,
    actual: NDArray[Any],
    called: NDArray[Any],
    weights: Vector,
    n: int,
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in options.slices:
        values = _tables.slice_values(column(rows, name, "slice"))
        found[name] = {}
        for value in pd.unique(values):
            at = (values == value).to_numpy()
            cells = _cells(actual[at], called[at], weights[at], n)
            samples = _samples(actual[at], called[at], weights[at], n, options)
            accuracy = Metric.of(float(_figures_of(cells)["accuracy"]), _figures_of(samples)["accuracy"])
            found[name][str(value)] = {"item_count": int(at.sum()), "accuracy": accuracy.document()}
    return found


def _verdict(
    metrics: dict[str, Metric], classes: list[str], costs: Vector | None, *, can_choose: bool
) -> str:
    text = f"Of {len(classes)} classes, {metrics['accuracy'].value:.1%} of the rows are called right"
    if costs is None:
        return f"{text}."
    before, saved = metrics["expected_cost"].value, metrics["saving"].value
    if not can_choose:
        return f"{text}, at a cost of {_tables.money(before)} a row."
    if saved <= 0:
        return f"{text}, at a cost of {_tables.money(before)} a row; deciding by costs saves nothing."
    return (
        f"{text}. Deciding by costs saves {_tables.money(saved * 1000)} per 1,000 rows, {saved / before:.0%}."
    )


def _tiles(
    metrics: dict[str, Metric], classes: list[str], costs: Vector | None, *, can_choose: bool
) -> list[tuple[str, str]]:
    tiles = [
        (f"{metrics['accuracy'].value:.1%}", "accuracy"),
        (f"{metrics['macro_f1'].value:.3f}", "F1, all classes alike"),
        (str(len(classes)), "classes"),
    ]
    if costs is not None and not can_choose:
        tiles.insert(0, (_tables.money(metrics["expected_cost"].value), "cost of a row"))
    elif costs is not None:
        before = metrics["expected_cost"].value
        share_ = metrics["saving"].value / before if before > 0 else 0.0
        tiles.insert(0, (f"{share_:.0%}", "of the cost saved by deciding by costs"))
    return tiles


def _figures(
    actual: NDArray[Any], probabilities: Vector | None, weights: Vector, classes: list[str]
) -> list[Figure]:
    if probabilities is None:
        return []
    curves = {}
    frequent = np.argsort(-np.bincount(actual, weights, minlength=len(classes)))[:MOST_CURVES]
    for n in sorted(frequent):
        sweep = Sweep.of(actual == n, probabilities[:, n], weights)
        if np.isfinite(sweep.auc):
            at = np.unique(np.linspace(0, len(sweep.thresholds) - 1, 200).astype(int))
            curves[classes[n]] = (sweep.counts.false_positive_rate[at], sweep.counts.recall[at], sweep.auc)
    figures = [_pictures.one_against_all(curves)] if curves else []
    is_right = probabilities.argmax(axis=1) == actual
    highest = probabilities.max(axis=1)
    if highest.max() <= 1 and highest.min() >= 0:
        figures.append(_pictures.calibration(is_right, highest, weights))
    return figures
