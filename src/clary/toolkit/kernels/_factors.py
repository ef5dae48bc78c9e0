"""The compiled half of `factors`: slopes of a mini-batch, a step against them; only columns that occur."""

from typing import Any

import numpy as np

from clary.toolkit.kernels._linear import IDENTITY, MOST, ROUNDING, linked
from clary.toolkit.kernels._numba import kernel, types

FLOATS = types.Array(types.float32, 1, "C")
COLUMNS = types.Array(types.int32, 1, "C")
STARTS = types.Array(types.int64, 1, "C")
TABLE = types.Array(types.float32, 2, "C")
SUMS = types.Array(types.float64, 1, "C")
WEIGHTS = types.Array(types.float64, 2, "C", readonly=True)
FOUND = types.Array(types.float64, 2, "C")
LOOSE = {"reassoc", "contract", "nsz"}


@kernel(
    types.UniTuple(types.float64, 2)(
        STARTS,
        COLUMNS,
        FLOATS,
        FLOATS,
        STARTS,
        TABLE,
        types.float32,
        types.boolean,
        COLUMNS,
        COLUMNS,
        TABLE,
        FLOATS,
    ),
    fastmath=LOOSE,
)
def slopes(
    starts: Any,
    columns: Any,
    values: Any,
    labels: Any,
    rows: Any,
    weights: Any,
    bias: Any,
    is_binary: Any,
    places: Any,
    touched: Any,
    slope: Any,
    scores: Any,
) -> Any:
    """Write scores and sums of slopes; return how many columns occur, and the bias's slope."""
    width = weights.shape[1]
    sums = np.empty(width, np.float32)
    n_touched, bias_slope = 0, 0.0
    for number in range(rows.shape[0]):
        row = rows[number]
        sums[:] = 0.0
        squares = np.float32(0.0)
        for at in range(starts[row], starts[row + 1]):
            value, own = values[at], weights[columns[at]]
            square = np.float32(0.0)
            sums[0] += value * own[0]
            for k in range(1, width):
                part = value * own[k]
                sums[k] += part
                square += part * part
            squares += square
        score = -squares
        for k in range(1, width):
            score += sums[k] * sums[k]
        score = bias + sums[0] + np.float32(0.5) * score
        if is_binary:
            score = np.float32(1.0) / (np.float32(1.0) + np.exp(-score))
        scores[number] = score
        apart = score - labels[row]
        bias_slope += apart
        for at in range(starts[row], starts[row + 1]):
            value, column = values[at], columns[at]
            place = places[column]
            if place < 0:
                place = n_touched
                places[column], touched[place] = place, column
                n_touched += 1
                slope[place] = 0.0
            own, into, share = weights[column], slope[place], apart * value
            into[0] += share
            for k in range(1, width):
                into[k] += share * (sums[k] - value * own[k])
    for place in range(n_touched):
        places[touched[place]] = -1
    return float(n_touched), bias_slope


@kernel(
    types.void(
        COLUMNS, TABLE, TABLE, SUMS, SUMS, SUMS, types.float64, types.float64, types.float64, types.float64
    ),
    fastmath=LOOSE,
)
def step(
    touched: Any,
    slope: Any,
    weights: Any,
    means: Any,
    rates: Any,
    decays: Any,
    scale: Any,
    most: Any,
    epsilon: Any,
    n_steps: Any,
) -> Any:
    """Move the weights of columns that occur; see `factors.step`."""
    n_rows, width = touched.shape[0], weights.shape[1]
    if n_rows == 0:
        return
    found = np.zeros(2)
    for place in range(n_rows):
        own, into = weights[touched[place]], slope[place]
        total = np.float32(0.0)
        for k in range(width):
            value = min(max(into[k] * np.float32(scale), np.float32(-most)), np.float32(most))
            into[k] = value + np.float32(decays[0 if k == 0 else 1]) * own[k]
            total += into[k] * into[k]
        found[0] += into[0] * into[0]
        found[1] += total - into[0] * into[0]
    moved = np.empty(2, np.float32)
    for group in range(2):
        count = n_rows * (1 if group == 0 else max(1, width - 1))
        means[group] = 0.999 * means[group] + 0.001 * found[group] / count
        moved[group] = rates[group] / (np.sqrt(means[group] / (1.0 - 0.999**n_steps)) + epsilon)
    for place in range(n_rows):
        own, into = weights[touched[place]], slope[place]
        own[0] -= moved[0] * into[0]
        for k in range(1, width):
            own[k] -= moved[1] * into[k]


@kernel(types.void(WEIGHTS, types.float64, types.int64, TABLE, types.int64, FOUND, TABLE))
def answer(weights: Any, bias: Any, link: Any, rows: Any, n_rows: Any, sums: Any, scores: Any) -> Any:
    """Score rows; NaN where the order of adding up would count, as `_linear` has it.

    Of `sums`, shape (2, 1 + n_factors), the second row is what the first would be if nothing cancelled out.
    """
    width, found = weights.shape[1], np.empty((2, 1))
    for row in range(n_rows):
        sums[:] = 0.0
        squares, n_terms = 0.0, width + 8
        for column in range(rows.shape[1]):
            value = np.float64(rows[row, column])
            if value == 0.0:
                continue
            n_terms += 1
            sums[0, 0] += value * weights[column, 0]
            sums[1, 0] += abs(value * weights[column, 0])
            for k in range(1, width):
                part = value * weights[column, k]
                sums[0, k] += part
                sums[1, k] += abs(part)
                squares += part * part
        total, size = bias + sums[0, 0] - 0.5 * squares, abs(bias) + sums[1, 0] + squares
        for k in range(1, width):
            total += 0.5 * sums[0, k] * sums[0, k]
            size += sums[1, k] * sums[1, k]
        found[0, 0], found[1, 0] = total, size * n_terms * ROUNDING
        linked(link, row, found, scores)
        if link != IDENTITY and abs(total) > MOST:
            scores[row, 0] = np.nan
