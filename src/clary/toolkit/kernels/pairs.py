"""Entities and addresses: how well the two go together, one pair a call.

An address is its 32 bits times weights, plus the vectors of its known prefixes, through layers; an entity is
a row of a table. See `algorithms/ipinsights`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

LENGTHS = (8, 12, 16, 20, 24)
"""Bits of prefixes that may have vectors."""


@cache
def compiled() -> ModuleType | None:
    """Return the compiled half; None without numba."""
    try:
        from clary.toolkit.kernels import _pairs  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return _pairs
