"""Tables of the report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clary.toolkit.evaluation._costs import Costs
from clary.toolkit.evaluation._counts import Counts
from clary.toolkit.evaluation.base import Metric, Sheet

OF_SLICES = (
    "auc",
    "accuracy",
    "precision",
    "recall",
    "expected_cost",
    "expected_cost_best",
    "mae",
    "rmse",
    "r2",
)
SLICE_VALUES = 20
"""Values of a slice column that get a row; the rest share one."""
REST = "(others)"
WORDS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "f0_5": "F0.5",
    "f1": "F1",
    "f2": "F2",
    "weighted_f0_5": "weighted F0.5",
    "weighted_f1": "weighted F1",
    "weighted_f2": "weighted F2",
    "macro_f1": "F1, all classes alike",
    "brier": "Brier score",
    "expected_cost": "cost a row",
    "expected_cost_best": "least cost a row",
    "saving": "saved a row",
    "mae": "mean absolute error",
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "mean_percentage_error": "mean absolute error in %",
    "map": "mean average precision",
    "mrr": "mean reciprocal rank",
}
_HIDDEN = (
    "true_positive_rate",
    "false_negative_rate",
    "_best_constant_classifier",
    "recall_best",
    "precision_best",
)


def money(value: float) -> str:
    """Return an amount in as many digits as matter."""
    digits = 0 if abs(value) >= 100 or value == int(value) else 2 if abs(value) >= 1 else 4
    return f"{value:,.{digits}f}"


def words(name: str) -> str:
    """Return a metric's name as people read it."""
    return WORDS.get(name, name.replace("_", " "))


def number(value: float) -> str:
    """Return a figure for a table."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def confusion(title: str, counts: Counts, costs: Costs | None) -> Sheet:
    """Return the confusion matrix of two classes, and what its cells cost."""
    cells = [[float(counts.tp), float(counts.fn)], [float(counts.fp), float(counts.tn)]]
    names = [["found", "missed"], ["false alarms", "let be"]]
    prices = [[costs.hit, costs.missed], [costs.alarm, costs.rejection]] if costs else None
    rows = []
    for n, actual in enumerate(("is positive", "is negative")):
        shown = []
        for k in range(2):
            cost = f"|cost {money(cells[n][k] * prices[n][k])}" if prices and prices[n][k] else ""
            shown.append(f"{cells[n][k]:,.0f}|{names[n][k]}{cost}")
        rows.append([actual, *shown])
    facts = f"precision {float(counts.precision):.1%}, recall {float(counts.recall):.1%}"
    if costs:
        facts += f", cost {money(float(costs.of(counts)))}"
    return Sheet(
        title, ("", "called positive", "called negative"), rows, facts, is_matrix=True, shades=_shades(cells)
    )


def matrix(title: str, classes: Sequence[str], cells: Any, text: str = "") -> Sheet:
    """Return the confusion matrix of several classes."""
    rows = [[name, *(f"{value:,.0f}" for value in row)] for name, row in zip(classes, cells, strict=True)]
    return Sheet(title, ("is \\ called", *classes), rows, text, is_matrix=True, shades=_shades(cells))


def _shades(cells: Any) -> list[list[float]]:
    values = np.asarray(cells, dtype=np.float64)
    totals = values.sum(axis=1, keepdims=True)
    shares: list[list[float]] = np.divide(
        values, totals, out=np.zeros_like(values), where=totals > 0
    ).tolist()
    return shares


def figures(measured: Mapping[str, Metric], title: str) -> Sheet:
    """Return every figure with its interval."""
    rows = [
        [
            words(name),
            number(each.value),
            f"{number(each.low)} to {number(each.high)}" if math.isfinite(each.low) else "",
        ]
        for name, each in measured.items()
        if each.is_defined and not name.endswith(_HIDDEN)
    ]
    return Sheet(title, ("", "value", "95 % interval"), rows)


def slice_values(values: pd.Series) -> pd.Series:
    """Return a slice column as texts: numbers of many values in quarters, rare values together."""
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > SLICE_VALUES:
        cut = pd.qcut(values, 4, duplicates="drop")
        texts = cut.map(lambda each: f"{each.left:.4g} to {each.right:.4g}").astype(object)
        return texts.where(values.notna(), "(missing)")
    texts = values.astype(object).where(values.notna(), "(missing)").map(str)
    frequent = texts.value_counts().index[:SLICE_VALUES]
    return texts.where(texts.isin(frequent), REST)


def of_slice(name: str, found: Mapping[str, Mapping[str, Any]]) -> Sheet:
    """Return the figures of each value of a slice column."""
    shown = [each for each in OF_SLICES if any(each in value for value in found.values())]
    has_share = any("positive_share" in value for value in found.values())
    rows = []
    for value, figures_ in sorted(found.items(), key=lambda pair: -pair[1]["item_count"]):
        row = [value, f"{figures_['item_count']:,}"]
        if has_share:
            row.append(f"{figures_['positive_share']:.1%}")
        row += [_with_spread(figures_[each]) if each in figures_ else "-" for each in shown]
        rows.append(row)
    head = ("", "rows", *(("positive",) if has_share else ()), *(words(each) for each in shown))
    return Sheet(f"By {name}", head, rows, "± one standard deviation of the bootstrap.")


def _with_spread(figure: Mapping[str, Any]) -> str:
    spread = figure["standard_deviation"]
    return number(figure["value"]) if spread == "NaN" else f"{number(figure['value'])}|± {number(spread)}"
