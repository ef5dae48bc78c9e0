"""Protobuf records of RecordIO, scanned and gathered by compiled loops.

The first use of all compiles for three seconds; from a warm cache it takes 50 ms.
"""

from __future__ import annotations

import sys
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


def is_loaded() -> bool:
    """Tell whether the loops are in memory, as in the zygote's forks: then small bodies are worth it."""
    return f"{__package__}._records" in sys.modules
