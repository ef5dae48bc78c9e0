"""Random projections that keep distances, drawn anew from their seed wherever they are needed.

Source: Achlioptas (2003), doi:10.1016/S0022-0000(03)00025-4, for signs; Ailon and Chazelle (2009),
doi:10.1137/060673096, for the transform: random signs, a Hadamard transform, and some of its rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _gpu
from clary.algorithms._answers import product
from clary.algorithms.knn import _device

if TYPE_CHECKING:
    from numpy.typing import NDArray


def projection(kind: str, n_columns: int, target: int, seed: int) -> NDArray[np.float64]:
    """Return the matrix that rows are multiplied with, shape (n_columns, target).

    Notes
    -----
    `RandomState` draws the same in every version of NumPy.
    """
    draw = np.random.RandomState(seed)
    if kind == "sign":
        return np.asarray((2.0 * draw.randint(0, 2, (n_columns, target)) - 1) / np.sqrt(target))
    size = 1 << max(0, int(n_columns - 1).bit_length())
    signs = 2.0 * draw.randint(0, 2, n_columns) - 1
    chosen = draw.choice(size, target, replace=target > size)
    odd = np.bitwise_count(np.arange(n_columns)[:, None] & chosen[None, :]) & 1
    return np.asarray(signs[:, None] * (1.0 - 2.0 * odd) / np.sqrt(target))


def placed(matrix: NDArray[np.float64]) -> Any:
    """Return a projection where rows are reduced: as it is, or on the device that there is."""
    gpu = _gpu.find()
    return matrix if gpu is None else gpu.put(matrix)


def reduced(rows: NDArray[np.float32], matrix: Any) -> NDArray[np.float32]:
    """Return the product of rows and a placed projection."""
    gpu = _gpu.find()
    if gpu is None:
        return product(rows, matrix).astype(np.float32)
    return _device.product(gpu, rows, matrix)
