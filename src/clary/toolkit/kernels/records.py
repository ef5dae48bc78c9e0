"""Protobuf records of RecordIO, scanned and gathered by compiled loops.

The first use of all compiles for three seconds; from a warm cache it takes 50 ms.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def compiled() -> Any:
    """Return the module of the compiled loops; None without numba."""
    try:
        from clary.toolkit.kernels import _records  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _records
