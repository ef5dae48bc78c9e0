"""The pictures of the report."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.evaluation import _tables
from clary.toolkit.evaluation._costs import Costs
from clary.toolkit.evaluation._counts import Counts, Sweep
from clary.toolkit.evaluation._svg import Chart
from clary.toolkit.evaluation.base import Figure, Vector

MARKS = ("bad", "good")
"""Colours of the usual and the best threshold."""
POINTS = 600


def costs(sweep: Sweep, prices: Costs, weights: Vector, marks: Mapping[str, float]) -> Figure:
    """Draw what every threshold costs."""
    total = float(weights.sum())
    cost = prices.of(sweep.counts) * 1000 / total
    order = np.argsort(sweep.thresholds)
    x, y = sweep.thresholds[order], cost[order]
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max())) if x.min() >= 0 else float(x.max())
    at = {name: float(y[min(int(np.searchsorted(x, value)), len(y) - 1)]) for name, value in marks.items()}
    floor = min(0.0, float(y.min()))
    # where everything passes the curve may leave the picture: what is chosen lies far below
    ceiling = min(float(y.max()), floor + 3.2 * (max(at.values()) - floor)) or 1.0
    xs, ys = _steps(x, y, (low, high))

    def drawn(is_wide: bool) -> Chart:
        limits = (floor, ceiling * (1.06 if is_wide else 1.3))  # words stand one above the other if need be
        chart = Chart("Cost by threshold", "threshold", "cost per 1,000 rows", (low, high), limits, is_wide)
        chart.area(xs, [floor] * len(xs), ys, "accent").line(xs, ys, "accent")
        shown = sorted(zip(marks.items(), MARKS, strict=False), key=lambda pair: pair[0][1])
        for n, ((name, value), colour) in enumerate(shown):
            room = (0.28 if is_wide else 0.6) * (high - low)
            is_near = n > 0 and abs(value - shown[0][0][1]) < room
            words = [name if name.endswith(f"{value:g}") else f"{name}: {value:.3g}", _tables.money(at[name])]
            chart.upright(value, colour).points([value], [at[name]], colour)
            chart.note(value, words, colour, rung=int(is_near))
        return chart

    text = f"Break-even probability of these costs: {prices.break_even:.3g}."
    return Figure("What every threshold costs", _both(drawn), text, is_wide=True)


def _both(drawn: Callable[[bool], Chart]) -> str:
    """Return a wide picture twice: as it is, and for a screen that is narrow."""
    return f'<div class="big">{drawn(True).svg()}</div><div class="small">{drawn(False).svg()}</div>'


def _steps(x: Vector, y: Vector, ends: tuple[float, float]) -> tuple[list[float], list[float]]:
    """Return the step function through thresholds, thinned: each span shows its highest and lowest."""
    if len(x) > POINTS:
        place = ((x - ends[0]) / (ends[1] - ends[0]) * POINTS / 2).astype(np.int64)
        parts = np.split(np.arange(len(x)), np.flatnonzero(np.diff(place)) + 1)
        keep = [
            each for part in parts for each in (part[np.argmin(y[part])], part[np.argmax(y[part])], part[-1])
        ]
        at = np.unique([0, *keep])
        x, y = x[at], y[at]
    xs = np.repeat(np.concatenate([[ends[0]], x]), 2)[1:]
    ys = np.repeat(np.append(y, y[-1]), 2)[:-1]
    return [*xs.tolist(), ends[1]], [*ys.tolist(), float(y[-1])]


def roc(sweep: Sweep, at: NDArray[np.int64], points: Mapping[str, Counts]) -> Figure:
    """Draw the ROC curve with the thresholds on it."""
    x, y = sweep.counts.false_positive_rate[at], sweep.counts.recall[at]
    chart = Chart("ROC curve", "false positive rate", "recall", (0, 1), (0, 1.02))
    chart.area(x, [0.0] * len(x), y, "accent").line(x, y, "accent", f"model, area {sweep.auc:.3f}")
    chart.line([0, 1], [0, 1], "plain", "chance", dashes="5 4")
    _mark(chart, {name: (each.false_positive_rate, each.recall) for name, each in points.items()})
    return Figure("ROC", chart.svg())


def precision_recall(sweep: Sweep, at: NDArray[np.int64], points: Mapping[str, Counts]) -> Figure:
    """Draw precision over recall."""
    counts = sweep.counts
    x, y = counts.recall[at][1:], counts.precision[at][1:]
    share = float(counts.tp[-1] / (counts.tp[-1] + counts.fp[-1]))
    chart = Chart("Precision and recall", "recall", "precision", (0, 1), (0, 1.02))
    chart.line(x, y, "accent", f"model, mean {sweep.average_precision:.3f}")
    chart.line([0, 1], [share, share], "plain", "chance", dashes="5 4")
    _mark(chart, {name: (each.recall, each.precision) for name, each in points.items()})
    return Figure("Precision and recall", chart.svg())


def _mark(chart: Chart, places: Mapping[str, tuple[Any, Any]]) -> None:
    for (name, (x, y)), colour in zip(places.items(), MARKS, strict=False):
        chart.points([float(x)], [float(y)], colour, name)


def calibration(labels: NDArray[np.bool_], scores_: Vector, weights: Vector, n: int = 10) -> Figure:
    """Draw how often a score comes true, in tenths of the rows."""
    predicted, observed, sizes = reliability(labels, scores_, weights, n)
    error = float(np.average(np.abs(predicted - observed), weights=sizes))
    chart = Chart("Calibration", "predicted", "observed", (0, 1), (0, 1.02))
    chart.line([0, 1], [0, 1], "plain", "perfect", dashes="5 4")
    chart.line(predicted, observed, "accent").points(predicted, observed, "accent", "tenths of the rows")
    return Figure("Calibration", chart.svg(), f"Expected calibration error {error:.3f}.")


def reliability(
    labels: NDArray[np.bool_], scores_: Vector, weights: Vector, n: int = 10
) -> tuple[Vector, Vector, Vector]:
    """Return the mean score, the share of positives and the weight of bins of equally many rows."""
    edges = np.unique(np.quantile(scores_, np.linspace(0, 1, n + 1)))
    place = np.clip(np.searchsorted(edges, scores_, side="right") - 1, 0, max(len(edges) - 2, 0))
    sizes: Vector = np.bincount(place, weights).astype(np.float64)
    there = sizes > 0
    predicted = np.bincount(place, weights * scores_)[there] / sizes[there]
    observed = np.bincount(place, weights * labels)[there] / sizes[there]
    return predicted, observed, sizes[there]


def scores(labels: NDArray[np.bool_], values: Vector, weights: Vector, marks: Mapping[str, float]) -> Figure:
    """Draw how the scores of the two classes spread."""
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    edges = np.linspace(low, high, 31)
    counts = [np.histogram(values[mask], edges, weights=weights[mask])[0] for mask in (~labels, labels)]
    top = max(float(each.max()) for each in counts) or 1.0
    chart = Chart(
        "Scores by class", "score", "rows (logarithmic)", (low, high), (0.8, top * 1.4), is_log=True
    )
    chart.bars(edges, counts[0], "plain", "negative").bars(edges, counts[1], "warm", "positive")
    for (name, value), colour in zip(marks.items(), MARKS, strict=False):
        chart.upright(value, colour, name)
    return Figure("Scores by class", chart.svg())


def lift(sweep: Sweep, at: NDArray[np.int64]) -> Figure:
    """Draw how much richer in positives the highest scores are than chance."""
    counts = sweep.counts
    called = counts.tp + counts.fp
    share = (called / called[-1])[at][1:]
    gain = (counts.precision / (counts.tp[-1] / called[-1]))[at][1:]
    keep = share >= 0.002
    share, gain = (share[keep], gain[keep]) if keep.any() else (share, gain)
    chart = Chart(
        "Lift", "share of rows, highest scores first", "times chance", (0, 1), (0, float(gain.max()) * 1.08)
    )
    chart.line(share, gain, "accent", "model").line([0, 1], [1, 1], "plain", "chance", dashes="5 4")
    tenth = float(np.interp(0.1, share, gain))
    return Figure(
        "Lift", chart.svg(), f"The highest tenth holds {tenth:.1f} times as many positives as chance."
    )


def density(actual: Vector, predicted: Vector) -> Figure:
    """Draw predicted over actual values, shaded by how many rows fall there."""
    both = np.concatenate([actual, predicted])
    low, high = (float(each) for each in np.quantile(both, [0.002, 0.998]))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    grid, _, _ = np.histogram2d(predicted, actual, bins=40, range=[(low, high), (low, high)])
    shares = np.log1p(grid) / max(float(np.log1p(grid.max())), 1e-9)
    chart = Chart("Predicted over actual", "actual", "predicted", (low, high), (low, high))
    chart.cells(shares.tolist(), "accent").line([low, high], [low, high], "warm", "perfect", dashes="5 4")
    return Figure("Predicted over actual", chart.svg(), "Shaded by the logarithm of the rows.")


def residuals(errors: Vector, weights: Vector) -> Figure:
    """Draw how the errors spread."""
    reach = float(np.quantile(np.abs(errors), 0.995)) or 1.0
    edges = np.linspace(-reach, reach, 42)
    heights = np.histogram(errors, edges, weights=weights)[0]
    chart = Chart(
        "Errors", "predicted - actual", "rows", (-reach, reach), (0, float(heights.max()) * 1.08 or 1.0)
    )
    chart.bars(edges, heights, "accent").upright(0.0, "plain").upright(
        float(np.average(errors, weights=weights)), "warm", "mean error"
    )
    return Figure("Errors", chart.svg())


def by_tenth(predicted: Vector, errors: Vector) -> Figure:
    """Draw the absolute error over the prediction, in tenths."""
    order = np.array_split(np.argsort(predicted, kind="stable"), min(10, len(predicted)))
    x = [float(predicted[each].mean()) for each in order]
    middle = [float(np.median(np.abs(errors[each]))) for each in order]
    high = [float(np.quantile(np.abs(errors[each]), 0.9)) for each in order]
    span = (min(x), max(x)) if max(x) > min(x) else (x[0] - 0.5, x[0] + 0.5)
    chart = Chart("Error by prediction", "predicted", "absolute error", span, (0, max(high) * 1.08 or 1.0))
    chart.area(x, middle, high, "accent").line(x, middle, "accent", "median").line(
        x, high, "plain", "nine in ten are below"
    )
    return Figure("Error by prediction", chart.svg())


def at_k(values: Sequence[float], low: Sequence[float], high: Sequence[float]) -> Figure:
    """Draw NDCG over the length of the list."""
    x = list(range(1, len(values) + 1))

    def drawn(is_wide: bool) -> Chart:
        chart = Chart("NDCG by length of the list", "length", "NDCG", (1, max(len(x), 2)), (0, 1.02), is_wide)
        chart.area(x, low, high, "accent").line(x, values, "accent", "mean")
        return chart.points(x, values, "accent", radius=3)

    title, text = "NDCG by length of the list", "Shaded: 95 % interval."
    return Figure(title, _both(drawn), text, is_wide=True)


def spread(values: Vector, name: str) -> Figure:
    """Draw how a figure spreads over queries."""
    edges = np.linspace(0, 1, 21)
    heights = np.histogram(values, edges)[0].astype(np.float64)
    top = float(heights.max()) * 1.08 or 1.0

    def drawn(is_wide: bool) -> Chart:
        return Chart(f"{name} by query", name, "queries", (0, 1), (0, top), is_wide).bars(
            edges, heights, "accent"
        )

    return Figure(f"{name} by query", _both(drawn), is_wide=True)


def one_against_all(curves: Mapping[str, tuple[Vector, Vector, float]]) -> Figure:
    """Draw the ROC curve of each class against the others."""
    chart = Chart("ROC of each class", "false positive rate", "recall", (0, 1), (0, 1.02))
    chart.line([0, 1], [0, 1], "plain", dashes="5 4")
    for n, (name, (x, y, area)) in enumerate(curves.items()):
        chart.line(x.tolist(), y.tolist(), f"s{n % 8}", f"{name}, area {area:.3f}")
    return Figure("ROC of each class against the others", chart.svg())
