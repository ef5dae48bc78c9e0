"""Steps of time: where a series begins, what the calendar says, how far back a season lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms.deepar._hyperparameters import frequency

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNITS = {"min": "m", "H": "h", "D": "D", "W": "D", "M": "M"}
"""NumPy's names; weeks are counted in days from a Monday."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")
_MONDAY = 4
"""Days from 1970-01-01, a Thursday, to the first Monday."""
_SEASONS: dict[str, tuple[float, ...]] = {
    "min": (60, 1440, 2 * 1440, 3 * 1440, 7 * 1440),
    "H": (24, 48, 72, 168, 336, 504, 672),
    "D": (7, 14, 21, 28, 35, 42, 49, 56, 364),
    "W": (4, 8, 12, 52, 104),
    "M": (12, 24, 36),
}
"""Units that a season takes. Source: developer guide, "DeepAR Hyperparameters", and the field's calendars."""
_NEIGHBOURS = 4
"""Seasons that are seen with the steps beside them."""
_NEAR = {"min": 5, "H": 3, "D": 6, "W": 3, "M": 3}
"""Last values that are seen directly, beside seasons and their neighbours."""


@dataclass(frozen=True)
class Clock:
    """The step of time that all series of a model have."""

    time_freq: str
    has_year: bool = True
    """Whether the time of year says something: where a year was not seen, its end would be news."""

    @cached_property
    def _step(self) -> tuple[int, str]:
        return frequency(self.time_freq)

    @cached_property
    def lags(self) -> NDArray[np.int64]:
        """Steps back at which the network sees the past, rising."""
        n, unit = self._step
        found = set(range(1, _NEAR[unit] + 1))
        for place, season in enumerate(_SEASONS[unit]):
            steps = round(season / n)
            found |= {steps} if place >= _NEIGHBOURS else {steps - 1, steps, steps + 1}
        return np.array(sorted(each for each in found if each > 0))

    @cached_property
    def season(self) -> int:
        """The lag that most resembles now: the longest of the first week, month or year."""
        n, unit = self._step
        whole = {"min": 10_080, "H": 168, "D": 7, "W": 52, "M": 12}[unit]
        return max(1, round(whole / n))

    def lags_ahead(self, n_ahead: int, n_seasons: int) -> list[int]:
        """Return `lags`, and those by which the last of `n_ahead` steps sees that many seasons."""
        end = n_ahead + n_seasons * self.season
        return sorted({*self.lags.tolist(), *range(self.season, end, self.season)})

    def place(self, start: str) -> int:
        """Return the unit of time that `start` lies in; ValueError when it is no time."""
        if not _TIME.fullmatch(start.strip()):
            raise ValueError(start)
        moment = np.datetime64(start.strip().replace(" ", "T"), "s")
        unit = self._step[1]
        number = int(moment.astype(f"datetime64[{_UNITS[unit]}]").astype(np.int64))
        return (number - _MONDAY) // 7 if unit == "W" else number

    def features(self, places: NDArray[np.int64], n_steps: int) -> NDArray[np.float32]:
        """Return what the calendar says of series' first steps.

        Parameters
        ----------
        places : ndarray, shape (n_series,)
            Units of time of each series' first step.

        Returns
        -------
        ndarray, shape (n_series, n_steps, n_features)
            Float32: sine and cosine of each part's share of its cycle.
        """
        n, unit = self._step
        numbers = places[:, None] + n * np.arange(n_steps)
        if unit == "W":
            numbers = numbers * 7 + _MONDAY
        times = numbers.astype(f"datetime64[{_UNITS[unit]}]")
        angles = [2 * np.pi * share for share in _shares(times, unit, has_year=self.has_year)]
        waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
        return np.stack(waves, -1).astype(np.float32)

    def after(self, place: int, n_steps: int) -> int:
        """Return the unit of time some steps later."""
        return place + self._step[0] * n_steps

    @property
    def year(self) -> float:
        """Steps of a year."""
        n, unit = self._step
        return {"min": 525_960, "H": 8766, "D": 365.25, "W": 52.2, "M": 12}[unit] / n

    @property
    def n_features(self) -> int:
        """Columns of `features`."""
        return int(self.features(np.zeros(1, np.int64), 1).shape[-1])


def _shares(times: NDArray[Any], unit: str, *, has_year: bool) -> list[NDArray[np.float64]]:
    """Return how far each part of a time is through its cycle."""
    months = times.astype("datetime64[M]")
    days = times.astype("datetime64[D]")
    number = days.astype(np.int64)
    found = []
    if unit != "M":
        found.append((number - months.astype("datetime64[D]").astype(np.int64)) / 31)
        day_of_year = (number - days.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)) / 366
    else:
        day_of_year = (months.astype(np.int64) % 12) / 12
    if has_year or unit == "M":
        found.append(day_of_year)
    if unit in {"D", "H", "min"}:
        found.append(((number - _MONDAY) % 7) / 7)
    if unit in {"H", "min"}:
        found.append((times.astype("datetime64[h]").astype(np.int64) % 24) / 24)
    if unit == "min":
        found.append((times.astype("datetime64[m]").astype(np.int64) % 60) / 60)
    return found
