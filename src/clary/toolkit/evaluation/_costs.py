"""What errors cost, and the decisions that cost least."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.toolkit.evaluation._counts import Counts, Sweep
from clary.toolkit.evaluation.base import Vector


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Money lost by one row of each outcome; a gain is negative."""

    missed: float
    """A positive called negative."""
    alarm: float
    """A negative called positive."""
    hit: float = 0.0
    rejection: float = 0.0

    @classmethod
    def read(cls, given: Any) -> "Costs | None":
        """Return costs of two classes.

        Parameters
        ----------
        given : Costs, mapping, matrix, path or None
            `{"missed": 2500, "alarm": 40}`, or rows of the actual class 0 and 1 by columns of the called one.

        Raises
        ------
        ValueError
            They are no costs; the text says how they are written.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, str | Path):
            given = json.loads(Path(given).read_text())
        try:
            if isinstance(given, Mapping):
                return cls(**{str(name): float(value) for name, value in given.items()})
            (rejection, alarm), (missed, hit) = np.asarray(given, dtype=np.float64)
            return cls(missed=float(missed), alarm=float(alarm), hit=float(hit), rejection=float(rejection))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f'costs {given!r}: write {{"missed": 2500, "alarm": 40}} (and "hit", "rejection" where being '
                "right costs or gains), or [[rejection, alarm], [missed, hit]]"
            ) from error

    @property
    def matrix(self) -> list[list[float]]:
        """Rows of the actual class by columns of the called one."""
        return [[self.rejection, self.alarm], [self.missed, self.hit]]

    @property
    def break_even(self) -> float:
        """Probability from which calling a row positive costs less. Source: Elkan (2001), IJCAI."""
        alarm, missed = self.alarm - self.rejection, self.missed - self.hit
        return alarm / (alarm + missed) if alarm + missed > 0 else 0.5

    def of(self, counts: Counts) -> Vector:
        """Return what counts cost in all."""
        return (
            counts.fn * self.missed
            + counts.fp * self.alarm
            + counts.tp * self.hit
            + counts.tn * self.rejection
        )

    def best(self, sweep: Sweep) -> int:
        """Return the place of the threshold that costs least; of several, the nearest to the break-even."""
        cost = self.of(sweep.counts)
        ties = np.flatnonzero(cost <= cost.min() + 1e-12 * max(1.0, float(np.abs(cost).max())))
        return int(ties[np.argmin(np.abs(sweep.thresholds[ties] - self.break_even))])


def cost_matrix(given: Any, classes: list[str]) -> NDArray[np.float64] | None:
    """Return costs of several classes: rows of the actual class by columns of the called one.

    Parameters
    ----------
    given : matrix, nested mapping by class, path or None
        Of a mapping, what is not named costs 1, and being right 0.

    Raises
    ------
    ValueError
        A class is unknown, or the matrix has another shape.
    """
    if given is None:
        return None
    if isinstance(given, str | Path):
        given = json.loads(Path(given).read_text())
    n = len(classes)
    if isinstance(given, Mapping):
        found = 1.0 - np.eye(n)
        for actual, row in given.items():
            for called, value in row.items():
                unknown = [each for each in (str(actual), str(called)) if each not in classes]
                if unknown:
                    raise ValueError(f"costs: class {unknown[0]!r} is not one of {', '.join(classes)}")
                found[classes.index(str(actual)), classes.index(str(called))] = float(value)
        return found
    matrix = np.asarray(given, dtype=np.float64)
    if matrix.shape != (n, n):
        raise ValueError(
            f"costs: the matrix is {matrix.shape}; it must be {n} x {n}, for {', '.join(classes)}"
        )
    return matrix
