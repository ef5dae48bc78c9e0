"""Values of a category: in an order of their own, whatever their types."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return the values sorted; where they do not compare, by their text."""
    found = list(values)
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=lambda value: (type(value).__name__, str(value)))


def column_of(values: Sequence[Any]) -> NDArray[Any]:
    """Return values as a column of objects."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def is_missing(values: pd.Series) -> pd.Series:
    """Return which values are None or NaN."""
    return values.isna()
