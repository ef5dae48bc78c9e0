"""What the edge counts, in Prometheus' text format."""

import os
from bisect import bisect_left
from collections.abc import Callable

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class _Series:
    """Requests of one kind and one class of status."""

    __slots__ = ("buckets", "n", "n_received", "n_sent", "total_s")

    def __init__(self) -> None:
        self.n = 0
        self.total_s = 0.0
        self.n_received = 0
        self.n_sent = 0
        self.buckets = [0] * (len(BOUNDS_S) + 1)


class Metrics:
    """Counts of one edge process; labelled with its process id, since several share the port."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, int], _Series] = {}
        self.n_connections = 0
        self.n_replica_losses = 0

    def count(self, kind: str, status: int, took_s: float, n_received: int, n_sent: int) -> None:
        """Count one request."""
        key = (kind, status // 100)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        series.n += 1
        series.total_s += took_s
        series.n_received += n_received
        series.n_sent += n_sent
        series.buckets[bisect_left(BOUNDS_S, took_s)] += 1

    def text(self, n_open: int, n_in_flight: int) -> str:
        """Return everything counted."""
        edge = f'edge="{os.getpid()}"'
        lines = [
            *_gauge("clary_edge_connections", "Connections open.", edge, n_open),
            *_gauge("clary_edge_in_flight", "Requests being answered.", edge, n_in_flight),
            *_counter("clary_edge_connections_total", "Connections taken.", edge, self.n_connections),
            *_counter(
                "clary_edge_replica_losses_total",
                "Replicas lost under a request.",
                edge,
                self.n_replica_losses,
            ),
            *self._per_series("clary_edge_requests_total", "Requests answered.", edge, lambda one: one.n),
            *self._per_series(
                "clary_edge_received_bytes_total",
                "Bytes of requests' bodies.",
                edge,
                lambda one: one.n_received,
            ),
            *self._per_series(
                "clary_edge_sent_bytes_total", "Bytes of answers' bodies.", edge, lambda one: one.n_sent
            ),
            *self._durations(edge),
        ]
        return "\n".join(lines) + "\n"

    def _per_series(self, name: str, what: str, edge: str, value: Callable[[_Series], int]) -> list[str]:
        lines = [f"# HELP {name} {what}", f"# TYPE {name} counter"]
        for (kind, status), series in sorted(self._series.items()):
            lines.append(f'{name}{{{edge},kind="{kind}",code="{_class(status)}"}} {value(series)}')
        return lines

    def _durations(self, edge: str) -> list[str]:
        name = "clary_edge_request_seconds"
        lines = [f"# HELP {name} From a request's head to the end of its answer.", f"# TYPE {name} histogram"]
        for (kind, status), series in sorted(self._series.items()):
            labels = f'{edge},kind="{kind}",code="{_class(status)}"'
            total = 0
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), series.buckets, strict=True):
                total += count
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {total}')
            lines += (f"{name}_sum{{{labels}}} {series.total_s:.6f}", f"{name}_count{{{labels}}} {series.n}")
        return lines


def _class(status: int) -> str:
    return f"{status}xx" if status else "gone"


def _gauge(name: str, what: str, labels: str, value: int) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} gauge", f"{name}{{{labels}}} {value}"]


def _counter(name: str, what: str, labels: str, value: int) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} counter", f"{name}{{{labels}}} {value}"]
