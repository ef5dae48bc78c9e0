"""Random search: every combination drawn anew, on the scales of the ranges."""

import math
from typing import ClassVar

from clary.tuning import _optuna
from clary.tuning.study import Study

REDRAWS = 50
"""Times that a combination is drawn again because it has been tried."""


class Random:
    """Draws at random, and nothing twice."""

    name: ClassVar[str] = "Random"
    learns: ClassVar[bool] = False

    def propose(self, study: Study, index: int) -> dict[str, str] | None:
        """Draw, again where it has been tried: a small space is searched through."""
        draw = _optuna.drawer(study, study.seed_of(index))
        if math.isinf(study.space.n_values):
            return draw()
        tried = {study.space.units(trial.values) for trial in study.trials}
        if len(tried) >= study.space.n_values:
            return None
        for _ in range(REDRAWS):
            values = draw()
            if study.space.units(values) not in tried:
                break
        return values


STRATEGY = Random()
