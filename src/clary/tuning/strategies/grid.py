"""Grid search: every combination of categories, once, in an order that the seed decides."""

import random
from typing import ClassVar

from clary.tuning.study import Study


class Grid:
    """Goes through all combinations of categories."""

    name: ClassVar[str] = "Grid"
    learns: ClassVar[bool] = False

    def propose(self, study: Study, index: int) -> dict[str, str] | None:
        """Return combination `index` of the shuffled grid."""
        parameters = study.space.parameters
        n_values = int(study.space.n_values)
        if index > n_values:
            return None
        order = list(range(n_values))
        random.Random(study.seed).shuffle(order)  # noqa: S311 - an order, not a secret
        rest, places = order[index - 1], []
        for parameter in parameters:
            rest, place = divmod(rest, int(parameter.n_values))
            places.append(place)
        return study.space.values(places)


STRATEGY = Grid()
