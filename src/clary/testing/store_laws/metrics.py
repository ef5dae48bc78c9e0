# ruff: noqa: D102 - the name of a test is the sentence it proves
"""Laws of metric points."""

import math

from clary.store import metrics
from clary.store.database import Store
from clary.store.metrics import Series
from clary.testing.store_laws.samples import HERE


class MetricLaws:
    """What metric points promise."""

    def test_points_come_back_by_series_and_time(self, store: Store) -> None:
        store.write(
            metrics.append,
            [
                (*HERE, "ns", "loss", {"b": "2", "a": "1"}, 20, 0.5, "None"),
                (*HERE, "ns", "loss", {"a": "1", "b": "2"}, 10, 0.75, "None"),
                (*HERE, "ns", "loss", {"a": "1"}, 10, 3.0, "Count"),
                (*HERE, "ns", "loss", {"a": "1"}, 11, math.nan, "Count"),
                ("other", HERE[1], "ns", "loss", {"a": "1"}, 10, 4.0, "Count"),
            ],
        )
        wanted = (*HERE, "ns", "loss", {"a": "1", "b": "2"})
        assert store.read(metrics.points, *wanted) == [(10, 0.75, "None"), (20, 0.5, "None")]
        assert store.read(metrics.points, *wanted, 11, 20) == []
        assert store.read(metrics.points, *wanted, 10, 20) == [(10, 0.75, "None")]
        assert store.read(metrics.points, *HERE, "ns", "loss", {"a": "1"}) == [(10, 3.0, "Count")]
        assert store.read(metrics.points, *HERE, "ns", "loss", {}) == []

    def test_series_are_found_by_what_tells_them_apart(self, store: Store) -> None:
        for name, dimensions in (("acc", {"job": "a"}), ("loss", {"job": "a"}), ("loss", {"job": "b"})):
            store.write(metrics.append, [(*HERE, "ns", name, dimensions, 1, 1.0, "None")])
        every = [
            Series("ns", "acc", {"job": "a"}),
            Series("ns", "loss", {"job": "a"}),
            Series("ns", "loss", {"job": "b"}),
        ]
        assert store.read(metrics.series, *HERE) == every
        assert store.read(metrics.series, *HERE, "ns", {"job": "a"}) == every[:2]
        assert store.read(metrics.series, *HERE, "ns", name="loss") == every[1:]
        assert store.read(metrics.series, *HERE, "none") == []
        assert store.read(metrics.series, *HERE, after=every[0], limit=1) == every[1:2]
        assert store.write(metrics.drop, *HERE, {"job": "a"}) == 2
        assert store.read(metrics.series, *HERE) == every[2:]
        assert store.read(metrics.points, *HERE, "ns", "loss", {"job": "a"}) == []

    def test_a_point_may_stand_for_many_samples(self, store: Store) -> None:
        point = (*HERE, "ns", "latency", {"v": "a"}, 10, 2.5, "Microseconds")
        store.write(metrics.append_counted, [(point, 40.0)])
        wanted = (*HERE, "ns", "latency", {"v": "a"})
        assert store.read(metrics.samples, *wanted) == [(10, 2.5, "Microseconds", 40.0)]
        assert store.read(metrics.points, *wanted) == [(10, 2.5, "Microseconds")]
