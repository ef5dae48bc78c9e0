"""Date parts: year, month, weekday and so on, as numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.features.base import Learned

PERIODS = {
    "month": (1, 12),
    "day": (1, 31),
    "weekday": (0, 7),
    "hour": (0, 24),
    "minute": (0, 60),
    "day_of_year": (1, 366),
}
"""First value and length of what comes round again."""
_PARTS = {
    "year": lambda at: at.dt.year,
    "quarter": lambda at: at.dt.quarter,
    "month": lambda at: at.dt.month,
    "week": lambda at: at.dt.isocalendar().week,
    "day": lambda at: at.dt.day,
    "weekday": lambda at: at.dt.day_of_week,
    "day_of_year": lambda at: at.dt.day_of_year,
    "hour": lambda at: at.dt.hour,
    "minute": lambda at: at.dt.minute,
    "is_weekend": lambda at: (at.dt.day_of_week >= 5).where(at.notna()),
    "days": lambda at: (at - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1),
}
PARTS = tuple(_PARTS)


class DateParts(Learned):
    """Numbers of a date: `parts` of each column; what is no date becomes missing.

    Parameters
    ----------
    parts : sequence of str
        Of `PARTS`; `days` counts from 1970.
    is_cyclic : bool
        Give what comes round again as sine and cosine, so that December is beside January.
    date_format : str, optional
        As `strptime` has it; any ISO date without. Texts without a zone are UTC.
    """

    def __init__(
        self,
        *,
        parts: Sequence[str] = ("year", "month", "day", "weekday", "hour", "is_weekend"),
        is_cyclic: bool = False,
        date_format: str | None = None,
    ) -> None:
        self.parts = parts
        self.is_cyclic = is_cyclic
        self.date_format = date_format

    def _begin(self) -> None:
        unknown = [each for each in self.parts if each not in PARTS]
        if unknown:
            raise ValueError(f"parts {unknown}: they must be of {', '.join(PARTS)}")

    def _apply(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        columns: list[Any] = []
        for name in self.columns_:
            at = self._dates(rows[name])
            for part in self.parts:
                value = _PARTS[part](at).astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
                if self.is_cyclic and part in PERIODS:
                    first, length = PERIODS[part]
                    angle = 2 * np.pi * (value - first) / length
                    columns += [np.sin(angle), np.cos(angle)]
                else:
                    columns.append(value)
        return np.column_stack(columns)

    def _dates(self, values: pd.Series) -> pd.Series:
        if pd.api.types.is_numeric_dtype(values):
            return pd.to_datetime(values, unit="s", utc=True, errors="coerce")
        given = self.date_format or "ISO8601"
        return pd.to_datetime(values, utc=True, errors="coerce", format=given)

    def _names(self, given: list[str]) -> list[str]:
        names = []
        for name in given:
            for part in self.parts:
                is_round = self.is_cyclic and part in PERIODS
                names += [f"{name}_{part}_sin", f"{name}_{part}_cos"] if is_round else [f"{name}_{part}"]
        return names
