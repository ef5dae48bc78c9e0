# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of what runs log over time."""

import math

from clary.store import trials
from clary.store.database import Store
from clary.store.trials import Point

ARN = "arn:component"


class TrialLaws:
    """What series of trial components promise."""

    def test_points_come_back_in_the_order_they_were_logged(self, store: Store) -> None:
        logged = [Point("loss", 5, 1, 0.5), Point("loss", 3, None, math.inf), Point("loss", 3, 0, -1e-300)]
        store.write(trials.append, ARN, [*logged[:2], Point("auc", 1, 0, 1.0)])
        store.write(trials.append, ARN, logged[2:])
        found = store.read(trials.points, ARN, "loss")
        assert [point for _, point in found] == logged
        assert store.read(trials.names, ARN) == ["auc", "loss"]
        after, _ = found[0]
        assert [point for _, point in store.read(trials.points, ARN, "loss", after=after, limit=1)] == [
            logged[1]
        ]

    def test_a_value_that_is_no_number_survives(self, store: Store) -> None:
        store.write(trials.append, ARN, [Point("loss", 1, 1, math.nan)])
        ((_, point),) = store.read(trials.points, ARN, "loss")
        assert math.isnan(point.value)

    def test_dropped_series_are_gone_and_others_stay(self, store: Store) -> None:
        for arn in (ARN, "arn:other"):
            store.write(trials.append, arn, [Point("loss", 1, 1, 1.0)])
        store.write(trials.drop, ARN)
        assert store.read(trials.points, ARN, "loss") == []
        assert len(store.read(trials.points, "arn:other", "loss")) == 1
