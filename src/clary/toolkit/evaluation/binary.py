"""Two classes: scores against labels, and what the two errors cost."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.evaluation import _pictures, _tables
from clary.toolkit.evaluation._bootstrap import Draws
from clary.toolkit.evaluation._costs import Costs
from clary.toolkit.evaluation._counts import Counts, Sweep, counts_at
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

CURVE_POINTS = 400
"""Points of a curve in the document and the pictures; the figures come from all of them."""
_TEXTS = {"true": "1", "false": "0", "1.0": "1", "0.0": "0"}


def evaluate(rows: pd.DataFrame, options: Options) -> Evaluation:
    """Judge the scores of two classes."""
    labels = _labels(rows, options)
    scores = numeric(rows, options.score[0], "score")
    weights = weights_of(rows, options)
    costs = Costs.read(options.costs)
    return judge(labels, scores, weights, costs, options, rows)


def judge(
    labels: NDArray[np.bool_],
    scores: Vector,
    weights: Vector,
    costs: Costs | None,
    options: Options,
    rows: pd.DataFrame | None = None,
) -> Evaluation:
    """Judge scores that are arrays already; `rows` are for slices."""
    sweep = Sweep.of(labels, scores, weights)
    chosen = float(sweep.thresholds[costs.best(sweep)]) if costs else options.threshold
    measured = measure(labels, scores, weights, costs, options, chosen)
    at_usual = counts_at(options.threshold, labels, scores, weights)
    at_chosen = counts_at(chosen, labels, scores, weights)
    extras: dict[str, Any] = {}
    if costs:
        extras["costs"] = _cost_document(costs, options, measured, chosen, at_usual, at_chosen)
    slices = _slices(rows, options, labels, scores, weights, costs, chosen)
    if slices:
        extras["slices"] = slices
    return Evaluation(
        kind="binary",
        n_rows=len(labels),
        metrics=measured,
        quality=_quality(sweep, at_usual),
        extras=extras,
        decision=_decision(options, chosen, costs, at_chosen),
        verdict=_verdict(measured, options, chosen, costs, len(labels)),
        tiles=_tiles(measured, chosen, costs),
        figures=_figures(sweep, labels, scores, weights, costs, options, chosen),
        sheets=_sheets(measured, options, chosen, costs, at_usual, at_chosen, slices),
        notes=_notes(measured, costs, options),
    )


def _labels(rows: pd.DataFrame, options: Options) -> NDArray[np.bool_]:
    found = column(rows, options.label, "label").map(lambda value: _TEXTS.get(str(value).lower(), str(value)))
    positive = _TEXTS.get(options.positive.lower(), options.positive)
    classes = sorted(set(found))
    if len(classes) > 2:
        raise ValueError(f"label: column {options.label!r} has {len(classes)} classes; use kind multiclass")
    if positive not in classes and len(classes) == 2:
        raise ValueError(f"positive {positive!r}: column {options.label!r} has {' and '.join(classes)}")
    answer: NDArray[np.bool_] = (found == positive).to_numpy(dtype=bool)
    return answer


def measure(
    labels: NDArray[np.bool_],
    scores: Vector,
    weights: Vector,
    costs: Costs | None,
    options: Options,
    chosen: float,
) -> dict[str, Metric]:
    """Return every figure with its spread; those of SageMaker's form are at the usual threshold."""
    sweep = Sweep.of(labels, scores, weights)
    thresholds = (options.threshold, chosen)
    draws = Draws.of(labels, scores, weights, thresholds=thresholds, n=options.n_resamples, seed=options.seed)
    usual, drawn = counts_at(options.threshold, labels, scores, weights), draws.at(options.threshold)
    found = {
        name: Metric.of(float(value), drawn_figures(drawn)[name])
        for name, value in drawn_figures(usual).items()
    }
    found["auc"] = Metric.of(sweep.auc, draws.auc())
    found["average_precision"] = Metric(sweep.average_precision)
    found |= _constant(labels, weights)
    if costs:
        total = float(weights.sum())
        best, best_drawn = counts_at(chosen, labels, scores, weights), draws.at(chosen)
        for name, value, samples in (
            ("expected_cost", costs.of(usual), costs.of(drawn) / drawn.total),
            ("expected_cost_best", costs.of(best), costs.of(best_drawn) / best_drawn.total),
        ):
            found[name] = Metric.of(float(value) / total, samples)
        saved = (costs.of(usual) - costs.of(best)) / total
        found["saving"] = Metric.of(float(saved), (costs.of(drawn) - costs.of(best_drawn)) / best_drawn.total)
        found["recall_best"] = Metric.of(float(best.recall), best_drawn.recall)
        found["precision_best"] = Metric.of(float(best.precision), best_drawn.precision)
    if _is_probability(scores):
        found["brier"] = Metric(float(np.average((scores - labels) ** 2, weights=weights)))
    return found


def drawn_figures(counts: Counts) -> dict[str, Vector]:
    """Return the figures of counts, by the names of SageMaker's form."""
    return {
        "accuracy": counts.accuracy,
        "precision": counts.precision,
        "recall": counts.recall,
        "true_positive_rate": counts.recall,
        "true_negative_rate": 1 - counts.false_positive_rate
        if np.any(counts.fp + counts.tn)
        else counts.recall * 0,
        "false_positive_rate": counts.false_positive_rate,
        "false_negative_rate": 1 - counts.recall if np.any(counts.tp + counts.fn) else counts.recall * 0,
        "f0_5": counts.f(0.5),
        "f1": counts.f(1),
        "f2": counts.f(2),
    }


def _constant(labels: NDArray[np.bool_], weights: Vector) -> dict[str, Metric]:
    """Return what always calling the more frequent class would reach."""
    positive, total = float(weights[labels].sum()), float(weights.sum())
    is_positive = positive * 2 >= total
    called = np.full(len(labels), 1.0 if is_positive else 0.0)
    counts = counts_at(0.5, labels, called, weights)
    figures = drawn_figures(counts)
    names = ("accuracy", "precision", "recall", "f0_5", "f1", "f2")
    return {f"{name}_best_constant_classifier": Metric(float(figures[name])) for name in names}


def _is_probability(scores: Vector) -> bool:
    return bool(scores.min() >= 0 and scores.max() <= 1)


def _thin(n: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, CURVE_POINTS)).astype(np.int64))


def _quality(sweep: Sweep, counts: Counts) -> dict[str, Any]:
    at = _thin(len(sweep.thresholds))
    return {
        "confusion_matrix": {
            "0": {"0": _number(counts.tn), "1": _number(counts.fp)},
            "1": {"0": _number(counts.fn), "1": _number(counts.tp)},
        },
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": sweep.counts.false_positive_rate[at].tolist(),
            "true_positive_rates": sweep.counts.recall[at].tolist(),
        },
        "precision_recall_curve": {
            "precisions": sweep.counts.precision[at].tolist(),
            "recalls": sweep.counts.recall[at].tolist(),
        },
    }


def _number(value: Vector) -> float | int:
    number = float(value)
    return int(number) if number == int(number) else number


def _cost_document(
    costs: Costs,
    options: Options,
    measured: Mapping[str, Metric],
    chosen: float,
    at_usual: Counts,
    at_chosen: Counts,
) -> dict[str, Any]:
    return {
        "cost_matrix": costs.matrix,
        "break_even_probability": costs.break_even,
        "threshold": options.threshold,
        "best_threshold": chosen,
        "expected_cost": measured["expected_cost"].document(),
        "expected_cost_best": measured["expected_cost_best"].document(),
        "saving": measured["saving"].document(),
        "total_cost": float(costs.of(at_usual)),
        "total_cost_best": float(costs.of(at_chosen)),
    }


def _decision(options: Options, chosen: float, costs: Costs | None, counts: Counts) -> dict[str, Any]:
    answer: dict[str, Any] = {"kind": "binary", "threshold": chosen, "positive": options.positive}
    if costs:
        answer |= {"cost_matrix": costs.matrix, "expected_cost": float(costs.of(counts) / counts.total)}
    return answer


def _slices(
    rows: pd.DataFrame | None,
    options: Options,
    labels: NDArray[np.bool_],
    scores: Vector,
    weights: Vector,
    costs: Costs | None,
    chosen: float,
) -> dict[str, dict[str, Any]]:
    """Return the figures of each value of each slice column, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for name in options.slices if rows is not None else ():
        assert rows is not None
        values = _tables.slice_values(column(rows, name, "slice"))
        found[name] = {}
        for value in pd.unique(values):
            at = (values == value).to_numpy()
            part = measure(labels[at], scores[at], weights[at], costs, options, chosen)
            found[name][str(value)] = {
                "item_count": int(at.sum()),
                "positive_share": float(np.average(labels[at], weights=weights[at]))
                if weights[at].sum()
                else 0.0,
                **{
                    key: each.document()
                    for key, each in part.items()
                    if key in _tables.OF_SLICES and each.is_defined
                },
            }
    return found


def _verdict(
    measured: Mapping[str, Metric], options: Options, chosen: float, costs: Costs | None, n_rows: int
) -> str:
    auc = measured["auc"]
    ranked = (
        f"The model ranks with an AUC of {auc.value:.3f}" if auc.is_defined else "There is one class only"
    )
    if not costs:
        return (
            f"{ranked}; at threshold {options.threshold:g} it is right on {measured['accuracy'].value:.1%}."
        )
    saved, before = measured["saving"], measured["expected_cost"].value
    if saved.value <= 0:
        return f"{ranked}. No threshold costs less than {options.threshold:g}: {_tables.money(before)} a row."
    share = f", {saved.value / before:.0%} of the cost" if before > 0 else ""
    return (
        f"{ranked}. Threshold {chosen:.3g} instead of {options.threshold:g} saves "
        f"{_tables.money(saved.value * 1000)} per 1,000 rows{share}."
    )


def _tiles(measured: Mapping[str, Metric], chosen: float, costs: Costs | None) -> list[tuple[str, str]]:
    auc = measured["auc"]
    tiles = [(f"{auc.value:.3f}" if auc.is_defined else "none", "area under the ROC curve")]
    if costs:
        before = measured["expected_cost"].value
        share = measured["saving"].value / before if before > 0 else 0.0
        tiles += [
            (f"{share:.0%}", "of the cost saved by the best threshold"),
            (f"{chosen:.3g}", "is that threshold"),
            (f"{measured['recall_best'].value:.0%}", "of the positives found there"),
        ]
    else:
        tiles += [(f"{measured[name].value:.1%}", name) for name in ("accuracy", "precision", "recall")]
    return tiles


def _figures(
    sweep: Sweep,
    labels: NDArray[np.bool_],
    scores: Vector,
    weights: Vector,
    costs: Costs | None,
    options: Options,
    chosen: float,
) -> list[Figure]:
    at = _thin(len(sweep.thresholds))
    marks = {f"threshold {options.threshold:g}": options.threshold}
    if costs:
        marks["least cost"] = chosen
    points = {name: counts_at(value, labels, scores, weights) for name, value in marks.items()}
    figures = []
    if costs:
        figures.append(_pictures.costs(sweep, costs, weights, marks))
    if math.isfinite(sweep.auc):
        figures.append(_pictures.roc(sweep, at, points))
        figures.append(_pictures.precision_recall(sweep, at, points))
    if _is_probability(scores):
        figures.append(_pictures.calibration(labels, scores, weights))
    figures.append(_pictures.scores(labels, scores, weights, marks))
    if math.isfinite(sweep.auc):
        figures.append(_pictures.lift(sweep, at))
    return figures


def _sheets(
    measured: Mapping[str, Metric],
    options: Options,
    chosen: float,
    costs: Costs | None,
    at_usual: Counts,
    at_chosen: Counts,
    slices: Mapping[str, Mapping[str, Any]],
) -> list[Sheet]:
    sheets = [_tables.confusion(f"Threshold {options.threshold:g}", at_usual, costs)]
    if costs:
        sheets.append(_tables.confusion(f"Threshold {chosen:.3g}, of least cost", at_chosen, costs))
    sheets.append(_tables.figures(measured, f"Figures at threshold {options.threshold:g}"))
    sheets += [_tables.of_slice(name, found) for name, found in slices.items()]
    return sheets


def _notes(measured: Mapping[str, Metric], costs: Costs | None, options: Options) -> list[str]:
    notes = [
        f"Intervals hold 95 % of {options.n_resamples} bootstrap samples (seed {options.seed})."
        if options.n_resamples
        else "No intervals were asked for."
    ]
    if not measured["auc"].is_defined:
        notes.append("All rows are of one class: curves and their areas are not defined.")
    if costs:
        notes.append(
            "The best threshold was chosen on these very rows; on others it saves a little less. Judge it on "
            "rows that neither training nor this choice has seen."
        )
    return notes
