"""CSV of numbers, straight into a float32 buffer: plain ones only, just as the careful parser reads."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@cache
def compiled() -> Callable[[bytes, int, NDArray[Any]], int] | None:
    """Return the compiled parser; None without numba."""
    try:
        from clary.toolkit.kernels import _csv  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    found: Callable[[bytes, int, NDArray[Any]], int] = _csv.parse
    return found


def is_loaded() -> bool:
    """Say whether the compiled parser is in this process, as in what a zygote forks."""
    return "clary.toolkit.kernels._csv" in sys.modules


def parse(body: bytes, rows: NDArray[Any], delimiter: int = 0x2C) -> int:
    """Read rows of numbers into the front of a buffer.

    Parameters
    ----------
    rows : ndarray, shape (n_most, n_columns)
        Float32, C order; written. NaN where a field is empty.
    delimiter : int
        Its byte.

    Returns
    -------
    int
        Rows read; -1 where the body is anything but rows of `n_columns` plain numbers, or more than fit;
        `rows` may be written to in part then.
    """
    kernel = compiled()
    if kernel is not None:
        return kernel(body, delimiter, rows)
    from clary.toolkit.formats import csv  # noqa: PLC0415 - only where there is no kernel
    from clary.toolkit.formats.base import FormatError  # noqa: PLC0415 - as above

    try:
        with np.errstate(over="ignore"):
            found = csv.decode(body, chr(delimiter))
    except FormatError:
        return -1
    if found.ndim != 2 or found.shape[1] != rows.shape[1] or not 0 < found.shape[0] <= rows.shape[0]:
        return -1
    rows[: found.shape[0]] = found
    return int(found.shape[0])
