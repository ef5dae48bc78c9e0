"""Random projections that keep distances, drawn anew from their seed wherever they are needed.

Source: Achlioptas (2003), doi:10.1016/S0022-0000(03)00025-4, for signs; Ailon and Chazelle (2009),
doi:10.1137/060673096, for the transform: random signs, a Hadamard transform, and some of its rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
