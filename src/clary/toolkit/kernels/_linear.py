"""The compiled half of `linear`: products of rows and weights, each number only where it is certain.

How a sum is added up changes its last bits. Each is taken in float64 with a bound of what any order could
make of it; where both ends round to the same float32, that is what any other product says, too. Where they do
not (once in millions), the answer is left to whoever has the model's own code.

Source: Higham (2002), "Accuracy and Stability of Numerical Algorithms", 3.1: |error| <= n u sum |x w|.
"""

from typing import Any

import numpy as np

from clary.toolkit.kernels._csv import BODY, parse
from clary.toolkit.kernels._numba import kernel, types

ROWS = types.Array(types.float32, 2, "C")
WEIGHTS = types.Array(types.float64, 2, "C", readonly=True)
BIAS = types.Array(types.float64, 1, "C", readonly=True)
SUMS = types.Array(types.float64, 2, "C")
IDENTITY, SIGMOID, SOFTMAX = range(3)
ROUNDING = 2.0**-51
"""Twice the unit roundoff: the other sum is as far off as ours."""
SPREAD = 2.0**-47
"""What libraries make of exp, sqrt and quotients differs by a few units of 2^-52."""
MOST = 80.0
"""Margins of a sigmoid beyond it are taken for it, as the algorithms do."""


@kernel(types.float32(types.float64, types.float64))
def certain(low: Any, high: Any) -> Any:
    """Return the float32 that both ends round to; NaN where they differ."""
    first, last = np.float32(low), np.float32(high)
    return first if first == last else np.float32(np.nan)


@kernel(types.float64(types.float64))
def sigmoid(margin: Any) -> Any:
    """Return 1 / (1 + exp(-margin))."""
    return 1.0 / (1.0 + np.exp(-min(max(margin, -MOST), MOST)))


@kernel(types.void(WEIGHTS, BIAS, ROWS, types.int64, SUMS))
def sums(weights: Any, bias: Any, rows: Any, row: Any, found: Any) -> Any:
    """Write each output's sum, and how far off another order may be, to the two rows of `found`."""
    n_outputs, n_features = weights.shape
    for output in range(n_outputs):
        total, size = bias[output], abs(bias[output])
        for feature in range(n_features):
            term = np.float64(rows[row, feature]) * weights[output, feature]
            total += term
            size += abs(term)
        found[0, output] = total
        found[1, output] = size * (n_features + 2) * ROUNDING


@kernel(types.void(types.int64, types.int64, SUMS, ROWS))
def linked(link: Any, row: Any, found: Any, scores: Any) -> Any:
    """Turn a row's sums into scores."""
    n_outputs = found.shape[1]
    if link == IDENTITY:
        for output in range(n_outputs):
            total, slack = found[0, output], found[1, output]
            scores[row, output] = certain(total - slack, total + slack)
    elif link == SIGMOID:
        for output in range(n_outputs):
            total, slack = found[0, output], found[1, output]
            low, high = sigmoid(total - slack), sigmoid(total + slack)
            scores[row, output] = certain(low * (1.0 - SPREAD), high * (1.0 + SPREAD))
    else:
        most, slack = found[0, 0], found[1, 0]
        for output in range(1, n_outputs):
            most = max(most, found[0, output])
            slack = max(slack, found[1, output])
        total = 0.0
        for output in range(n_outputs):
            total += np.exp(found[0, output] - most)
        for output in range(n_outputs):
            share = np.exp(found[0, output] - most) / total
            wide = share * (4.0 * slack + SPREAD + n_outputs * ROUNDING)
            scores[row, output] = certain(share - wide, share + wide)


@kernel(types.void(WEIGHTS, BIAS, types.int64, ROWS, types.int64, SUMS, ROWS))
def score(weights: Any, bias: Any, link: Any, rows: Any, n_rows: Any, found: Any, scores: Any) -> Any:
    """Score the first rows."""
    for row in range(n_rows):
        sums(weights, bias, rows, row, found)
        linked(link, row, found, scores)


@kernel(types.int64(BODY, WEIGHTS, BIAS, types.int64, ROWS, SUMS, ROWS))
def answer(body: Any, weights: Any, bias: Any, link: Any, rows: Any, found: Any, scores: Any) -> Any:
    """Read CSV and score it; return the rows, or -1 for what the kernel does not read."""
    n_rows = parse(body, 0x2C, rows)
    score(weights, bias, link, rows, n_rows, found, scores)
    return n_rows


@kernel(types.void(WEIGHTS, ROWS, types.int64, ROWS))
def measure(centres: Any, rows: Any, n_rows: Any, scores: Any) -> Any:
    """Write which centre is nearest to each row, and how far it is; NaN where another may be as near."""
    n_centres, n_features = centres.shape
    for row in range(n_rows):
        first, second, place, size = np.inf, np.inf, 0, 0.0
        for centre in range(n_centres):
            total, length = 0.0, 0.0
            for feature in range(n_features):
                value = np.float64(rows[row, feature])
                apart = value - centres[centre, feature]
                total += apart * apart
                length += abs(value * centres[centre, feature]) + centres[centre, feature] ** 2
            size = max(size, length)
            if total < first:
                first, second, place = total, first, centre
            else:
                second = min(second, total)
        rounding = (n_features + 4) * ROUNDING
        is_certain = n_centres == 1 or second - first > 4.0 * (size + second) * rounding
        low, high = np.sqrt(first) * (1.0 - rounding), np.sqrt(first) * (1.0 + rounding)
        scores[row, 0] = np.float32(place) if is_certain else np.float32(np.nan)
        scores[row, 1] = certain(low, high)


@kernel(types.int64(BODY, WEIGHTS, ROWS, ROWS))
def nearest(body: Any, centres: Any, rows: Any, scores: Any) -> Any:
    """Read CSV and measure it; return the rows, or -1 for what the kernel does not read."""
    n_rows = parse(body, 0x2C, rows)
    measure(centres, rows, n_rows, scores)
    return n_rows
