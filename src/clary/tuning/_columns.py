"""The space as columns of a matrix: one for a number, one for each of a parameter's categories."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.tuning.space import LOGARITHMIC, REVERSE, Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DIGITS = 9
"""Points are the same where so many digits of all their columns are."""


class Columns:
    """The columns of some parameters, and what can be done with rows of them."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters = sorted(parameters, key=lambda each: each.name)
        counts = [len(each.values) if each.kind == "Categorical" else 0 for each in self.parameters]
        self.width = sum(count or 1 for count in counts)
        self.bends = np.array([not count for count in counts for _ in range(count or 1)], dtype=bool)
        self._counts = counts
        starts = np.cumsum([0, *(count or 1 for count in counts)]).tolist()
        self._at = [slice(low, high) for low, high in pairwise(starts)]

    def encode(self, points: Sequence[Mapping[str, Any]]) -> Floats:
        """Return the rows of some points: a unit for a number, its place in the list for a category."""
        rows = np.zeros((len(points), self.width))
        for parameter, at, count in self._parts():
            values = np.array([float(point[parameter.name]) for point in points])
            rows[:, at] = values[:, None] == np.arange(count) if count else values[:, None]
        return rows

    def decode(self, row: Floats) -> dict[str, Any]:
        """Return the point of a row: the greatest of a parameter's categories."""
        return {
            parameter.name: int(row[at].argmax()) if count else float(row[at][0])
            for parameter, at, count in self._parts()
        }

    def spread(self, units: Floats) -> Floats:
        """Return the rows of points that have one number in [0, 1) for each parameter."""
        rows = np.zeros((len(units), self.width))
        for place, (_, at, count) in enumerate(self._parts()):
            chosen = units[:, place, None]
            rows[:, at] = np.floor(chosen * count) == np.arange(count) if count else chosen
        return rows

    def snapped(self, rows: Floats) -> Floats:
        """Return the points nearest to rows that can be tried: whole numbers, one of the categories."""
        found = np.empty_like(rows)
        for parameter, at, count in self._parts():
            part = rows[:, at]
            if count:
                found[:, at] = part.argmax(axis=1)[:, None] == np.arange(count)
            else:
                found[:, at] = _whole(parameter, np.clip(part, 0.0, 1.0))
        return found

    def marks(self, rows: Floats) -> list[bytes]:
        """Return what each row is told apart by."""
        return [row.tobytes() for row in np.round(rows, DIGITS) + 0.0]

    def scatter(self, rng: np.random.Generator, n: int) -> Floats:
        """Return rows anywhere."""
        return np.asarray(rng.random((n, self.width)))

    def around(self, rng: np.random.Generator, centres: Floats, radius: float, n: int) -> Floats:
        """Return `n` rows near each centre: some columns are moved, the others stay."""
        rows = np.repeat(centres, n, axis=0)
        moves = rng.random(rows.shape) < max(0.3, 1.5 / self.width)
        steps = np.where(self.bends, radius * rng.standard_normal(rows.shape), 0.0)
        swaps = np.where(self.bends, 0.0, 1.01 * rng.random(rows.shape) * (rng.random(rows.shape) < 0.3))
        moved = rows + moves * (steps + swaps)
        return np.asarray(np.clip(moved, 0.0, np.where(self.bends, 1.0, 2.0)))

    def _parts(self) -> Iterable[tuple[Parameter, slice, int]]:
        return zip(self.parameters, self._at, self._counts, strict=True)


def _whole(parameter: Parameter, units: Floats) -> Floats:
    """Return the units of the values that units of a number stand for, as `Parameter` rounds them."""
    low, high = parameter.ends
    if parameter.kind != "Integer" or high == low:
        return units if high > low else np.full_like(units, 0.5)
    at = low + units * (high - low)
    if parameter.scale == LOGARITHMIC:
        at = np.exp(at)
    elif parameter.scale == REVERSE:
        at = -np.expm1(-at)
    whole = np.clip(np.floor(at + 0.5), parameter.low, parameter.high)
    if parameter.scale == LOGARITHMIC:
        whole = np.log(whole)
    elif parameter.scale == REVERSE:
        whole = -np.log1p(-whole)
    return np.asarray(np.clip((whole - low) / (high - low), 0.0, 1.0))
