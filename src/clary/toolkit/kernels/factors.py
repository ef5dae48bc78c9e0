"""Factorization machines on sparse rows: slopes of a mini-batch, and a step against them.

    weights  (n_features, 1 + n_factors)  float32  of each column: its weight, then its factors

Source: Rendle (2010), "Factorization Machines", doi:10.1109/ICDM.2010.127.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.toolkit.kernels import linear

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

MEMORY = 0.999
"""Share of the running mean square that each step keeps."""


@cache
def compiled() -> ModuleType | None:
    """Return the compiled half; None without numba."""
    try:
        from clary.toolkit.kernels import _factors  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _factors


def scored(rows: Any, weights: NDArray[Any], bias: float) -> NDArray[Any]:
    """Return the machine's output before any link, in the precision of the weights.

    Parameters
    ----------
    rows : ndarray or CSR matrix, shape (n_rows, n_features)
    """
    sums = np.asarray(rows @ weights)
    squared = rows.multiply(rows) if hasattr(rows, "multiply") else rows * rows
    squares = np.asarray(squared @ (weights[:, 1:] * weights[:, 1:]))
    found: NDArray[Any] = bias + sums[:, 0] + 0.5 * (sums[:, 1:] ** 2 - squares).sum(axis=1)
    return found


def answer(rows: NDArray[Any], weights: NDArray[Any], bias: float, link: str, scores: NDArray[Any]) -> None:
    """Write what `scored` says of rows, and its link makes of it, where any order of adding up says it.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_features)
        Float32, C order.
    weights : ndarray, shape (n_features, 1 + n_factors)
        Float64, C order.
    link : str
        `identity` or `sigmoid`.
    scores : ndarray, shape (n_most, 1)
        Float32, C order; written. NaN where the order would count.
    """
    kernel = compiled()
    if kernel is not None:
        sums = np.empty((2, weights.shape[1]))
        kernel.answer(weights, bias, linear.LINKS.index(link), rows, len(rows), sums, scores)
        return
    values = rows.astype(np.float64)
    sizes, squares = np.abs(values) @ np.abs(weights), (values**2) @ (weights[:, 1:] ** 2)
    total = scored(values, weights, bias)
    size = abs(bias) + sizes[:, 0] + (sizes[:, 1:] ** 2 + squares).sum(axis=1)
    slack = size * ((sum(weights.shape) + 8) * linear.ROUNDING)
    found = linear.surely(link, total[:, None], slack[:, None])
    scores[: len(rows)] = np.where(
        (np.abs(total) > linear.MOST)[:, None] & (link != "identity"), np.nan, found
    )


class Slopes:
    """What one mini-batch says: of each column that occurs, the slope of its weight and factors."""

    def __init__(self, n_features: int) -> None:
        self._places = np.full(n_features, -1, np.int32)
        self._touched = np.empty(n_features, np.int32)
        self._slope = np.empty((0, 0), np.float32)

    def of(
        self, table: Any, labels: Any, chosen: Any, weights: Any, bias: float, *, is_binary: bool
    ) -> tuple[Any, Any, float, Any]:
        """Return the columns that occur, their slopes' sums, that of the bias, and the scores.

        Parameters
        ----------
        table : CSR matrix
            Float32, with int64 starts and int32 columns.
        chosen : ndarray of int64
            Its rows that make the batch.
        """
        kernel = compiled()
        if kernel is None:
            return _slopes(table[chosen], labels[chosen], weights, bias, is_binary=is_binary)
        n_values = int((table.indptr[chosen + 1] - table.indptr[chosen]).sum())
        n_most = min(len(self._places), n_values)
        if len(self._slope) < n_most:
            self._slope = np.empty((n_most, weights.shape[1]), np.float32)
        scores = np.empty(len(chosen), np.float32)
        n_touched, bias_slope = kernel.slopes(
            table.indptr, table.indices, table.data, labels, chosen, weights, np.float32(bias), is_binary,
            self._places, self._touched, self._slope, scores,
        )  # fmt: skip
        n_columns = int(n_touched)
        return self._touched[:n_columns], self._slope[:n_columns], bias_slope, scores


def _slopes(
    rows: Any, labels: Any, weights: Any, bias: float, *, is_binary: bool
) -> tuple[Any, Any, float, Any]:
    """Return what the kernel does, by products of sparse matrices."""
    touched, places = np.unique(rows.indices, return_inverse=True)
    shape = (rows.shape[0], len(touched))
    dense = type(rows)((rows.data, places.astype(np.int32), rows.indptr), shape=shape)
    own = weights[touched]
    scores: Any = scored(dense, own, bias).astype(np.float32)
    if is_binary:
        scores = 1 / (1 + np.exp(-scores))
    apart = scores - labels
    sums = np.asarray(dense @ own)
    sums[:, 0] = 1
    slope = np.asarray(dense.T @ (apart[:, None] * sums))
    slope[:, 1:] -= np.asarray(dense.multiply(dense).T @ apart)[:, None] * own[:, 1:]
    return touched.astype(np.int32), slope, float(apart.sum()), scores


def step(
    touched: Any,
    slope: Any,
    weights: Any,
    means: Any,
    rates: Any,
    decays: Any,
    *,
    scale: float,
    most: float,
    epsilon: float,
    n_steps: int,
) -> None:
    """Move weights against their slopes, each group by one step size over its slopes' root mean square.

    Parameters
    ----------
    touched : ndarray of int32, shape (n_touched,)
    slope : ndarray, shape (n_touched, 1 + n_factors)
        Float32; written over.
    means : ndarray, shape (2,)
        Running mean squares of weights' and factors' slopes; changed.
    rates, decays : ndarray, shape (2,)
        Of weights and factors.
    scale, most : float
        By what slopes are multiplied, and then clipped.
    n_steps : int
        Steps so far, with this one.
    """
    kernel = compiled()
    if kernel is not None:
        kernel.step(touched, slope, weights, means, rates, decays, scale, most, epsilon, float(n_steps))
        return
    if not len(touched):
        return
    slope = np.clip(slope * np.float32(scale), -most, most)
    for group, part in enumerate((slice(0, 1), slice(1, None))):
        own = slope[:, part] + np.float32(decays[group]) * weights[touched, part]
        means[group] = MEMORY * means[group] + (1 - MEMORY) * float((own.astype(np.float64) ** 2).mean())
        size = rates[group] / (np.sqrt(means[group] / (1 - MEMORY**n_steps)) + epsilon)
        weights[touched, part] -= np.float32(size) * own
