"""Products of rows and weights, and distances from centres: CSV in, scores out, in one call.

With numba or without it, a number is there only where any order of adding up gives the same float32.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.kernels import csv

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

LINKS = ("identity", "sigmoid", "softmax")
"""How sums become scores."""
ROUNDING, SPREAD, MOST = 2.0**-51, 2.0**-47, 80.0
"""As in the compiled half, which says why."""


@cache
def compiled() -> ModuleType | None:
    """Return the compiled half; None without numba."""
    try:
        from clary.toolkit.kernels import _linear  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _linear


def answer(
    body: bytes,
    weights: NDArray[Any],
    bias: NDArray[Any],
    link: str,
    rows: NDArray[Any],
    scores: NDArray[Any],
) -> int:
    """Read CSV, and write each row's scores.

    Parameters
    ----------
    weights : ndarray, shape (n_outputs, n_features)
        Float64, C order.
    bias : ndarray, shape (n_outputs,)
        Float64.
    link : str
        One of `LINKS`.
    rows : ndarray, shape (n_most, n_features)
        Room, float32, C order.
    scores : ndarray, shape (n_most, n_outputs)
        Float32, C order; written. NaN where the order of adding up would count, and where a field is missing.

    Returns
    -------
    int
        Rows; -1 where `csv.parse` does not read the body.
    """
    kernel = compiled()
    if kernel is not None:
        found: int = kernel.answer(
            body, weights, bias, LINKS.index(link), rows, np.empty((2, len(bias))), scores
        )
        return found
    n_rows = csv.parse(body, rows)
    if n_rows > 0:
        score(rows[:n_rows], weights, bias, link, scores)
    return n_rows


def score(
    rows: NDArray[Any], weights: NDArray[Any], bias: NDArray[Any], link: str, scores: NDArray[Any]
) -> None:
    """Write the scores of rows that are read already, as `answer` does."""
    kernel = compiled()
    if kernel is not None:
        kernel.score(weights, bias, LINKS.index(link), rows, len(rows), np.empty((2, len(bias))), scores)
        return
    values = rows.astype(np.float64)
    sums = values @ weights.T + bias
    slack = (np.abs(values) @ np.abs(weights.T) + np.abs(bias)) * ((weights.shape[1] + 2) * ROUNDING)
    scores[: len(rows)] = surely(link, sums, slack)


def nearest(body: bytes, centres: NDArray[Any], rows: NDArray[Any], scores: NDArray[Any]) -> int:
    """Read CSV, and write which centre is nearest to each row, and how far it is.

    Parameters
    ----------
    centres : ndarray, shape (n_centres, n_features)
        Float64, C order.
    scores : ndarray, shape (n_most, 2)
        Float32, C order; written. NaN where it is not certain.

    Returns
    -------
    int
        Rows; -1 where `csv.parse` does not read the body.
    """
    kernel = compiled()
    if kernel is not None:
        found: int = kernel.nearest(body, centres, rows, scores)
        return found
    n_rows = csv.parse(body, rows)
    if n_rows > 0:
        measure(centres, rows[:n_rows], scores)
    return n_rows


def measure(centres: NDArray[Any], rows: NDArray[Any], scores: NDArray[Any]) -> None:
    """Write what is nearest to rows that are read already, as `nearest` does."""
    kernel = compiled()
    if kernel is not None:
        kernel.measure(centres, rows, len(rows), scores)
        return
    rounding = (centres.shape[1] + 4) * ROUNDING
    for row in range(len(rows)):
        value = rows[row].astype(np.float64)
        squares = np.square(value - centres).sum(axis=1)
        size = float((np.abs(value * centres) + np.square(centres)).sum(axis=1).max())
        place = int(squares.argmin())
        first, second = float(squares[place]), float(np.delete(squares, place).min(initial=np.inf))
        is_certain = len(squares) == 1 or second - first > 4.0 * (size + second) * rounding
        scores[row, 0] = place if is_certain else np.nan
        distance = np.sqrt(first)
        scores[row, 1] = _certain(distance * (1.0 - rounding), distance * (1.0 + rounding))


def surely(link: str, sums: NDArray[Any], slack: NDArray[Any]) -> Any:
    """Return the scores of sums that are known but for a slack; NaN where a score is not certain."""
    return _certain(*_linked(link, sums, slack))


def _certain(low: Any, high: Any) -> Any:
    """Return the float32 that both ends round to; NaN where they differ."""
    first, last = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return np.where(first == last, first, np.float32(np.nan))


def _linked(link: str, sums: NDArray[Any], slack: NDArray[Any]) -> tuple[Any, Any]:
    """Return between what a score lies."""
    if link == "identity":
        return sums - slack, sums + slack
    if link == "sigmoid":
        low, high = (
            1.0 / (1.0 + np.exp(-np.clip(each, -MOST, MOST))) for each in (sums - slack, sums + slack)
        )
        return low * (1.0 - SPREAD), high * (1.0 + SPREAD)
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    wide = 4.0 * slack.max(axis=1, keepdims=True) + SPREAD + sums.shape[1] * ROUNDING
    return shares * (1.0 - wide), shares * (1.0 + wide)
