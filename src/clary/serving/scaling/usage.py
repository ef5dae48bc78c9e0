"""What the edges counted of each variant: the last minutes in memory, the rest as points for CloudWatch.

edge ──counts, a few times a second──▶ take ─▶ last minutes ─▶ scaling: counted, per_minute
                                         └───▶ windows ─drain─▶ samples ─▶ store, once a second at most
"""

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

AWAITED_S = 10.0
"""Edges repeat once a second that somebody waits."""
HORIZON_S = 900.0
"""How far back counts are kept."""
NAMESPACE = "AWS/SageMaker"
"""Source: developer guide, "Monitor Amazon SageMaker AI with Amazon CloudWatch"."""

Measured = tuple[str, float, str, float]
"""(metric, value, unit, how many samples of it)"""


class Key(NamedTuple):
    """A variant of an endpoint, or one container of its model."""

    account: str
    region: str
    endpoint: str
    variant: str
    container: str = ""
    """Of a model with several."""


@dataclass(slots=True)
class Counts:
    """What was counted of a variant in some time."""

    n: int = 0
    n_4xx: int = 0
    n_5xx: int = 0
    n_model_4xx: int = 0
    n_model_5xx: int = 0
    n_in_place: int = 0
    model_s: float = 0.0
    model_most_s: float = 0.0
    overhead_s: float = 0.0
    n_received: int = 0
    n_sent: int = 0
    n_hits: int = 0
    n_cold: int = 0
    n_no_capacity: int = 0
    n_compared: int = 0
    n_apart: int = 0
    apart: float = 0.0

    def add(self, other: "Counts") -> None:
        """Count what another counted."""
        for each in fields(Counts):
            name = each.name
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name == "model_most_s" else mine + theirs)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "Counts":
        """Read counts as an edge sends them; members that are not known are passed over."""
        return cls(**{each.name: document[each.name] for each in fields(cls) if each.name in document})


class Usage:
    """The counts of every variant; methods may be called from any thread."""

    def __init__(self, since_s: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[Key, deque[tuple[float, Counts]]] = {}
        self._windows: dict[Key, Counts] = {}
        self._awaited: dict[Key, float] = {}
        self._since_s = since_s

    def take(self, report: Iterable[tuple[Key, Counts]], now_s: float) -> None:
        """Take what one edge counted until now."""
        with self._lock:
            for key, counts in report:
                self._windows.setdefault(key, Counts()).add(counts)
                seconds = self._seconds.setdefault(key, deque())
                if seconds and now_s - seconds[-1][0] < 1.0:
                    seconds[-1][1].add(counts)
                else:
                    seconds.append((now_s, Counts()))
                    seconds[-1][1].add(counts)
                while now_s - seconds[0][0] > HORIZON_S:
                    seconds.popleft()

    def counted(self, key: Key, now_s: float, window_s: float) -> Counts:
        """Return what was counted of a variant in the last `window_s`."""
        total = Counts()
        with self._lock:
            for moment, counts in reversed(self._seconds.get(key, ())):
                if now_s - moment > window_s:
                    break
                total.add(counts)
        return total

    def per_minute(self, key: Key, now_s: float, window_s: float) -> float:
        """Return the invocations of a variant a minute, from the last `window_s`."""
        return self.counted(key, now_s, window_s).n * 60.0 / window_s

    def last(self, key: Key) -> float | None:
        """Return when a variant was last asked, in seconds of the epoch; None where it never was."""
        with self._lock:
            seconds = self._seconds.get(key)
            return seconds[-1][0] if seconds else None

    def drain(self) -> dict[Key, Counts]:
        """Return what came since the last call, and begin anew."""
        with self._lock:
            windows, self._windows = self._windows, {}
        return windows

    def awaits(self, key: Key, now_s: float) -> None:
        """Hear that somebody waits for a variant that has no instance."""
        with self._lock:
            self._awaited[key] = now_s

    def is_awaited(self, key: Key, now_s: float) -> bool:
        """Say whether somebody has waited for a variant just now."""
        with self._lock:
            return now_s - self._awaited.get(key, -math.inf) < AWAITED_S

    def is_new(self, now_s: float, window_s: float) -> bool:
        """Say whether nothing can be known yet of the last `window_s`: the control plane has just started."""
        return now_s - self._since_s < window_s

    def forget(self, account: str, region: str, endpoint: str) -> None:
        """Drop what is known of an endpoint that is no more."""
        with self._lock:
            for key in [each for each in self._seconds if each[:3] == (account, region, endpoint)]:
                del self._seconds[key]


def samples(counts: Counts, n_instances: int, per: str = "Instance") -> Sequence[Measured]:
    """Return the service's metrics of a variant, or of an inference component.

    Parameters
    ----------
    n_instances : int
        Instances, or copies, that answered.
    per : str
        `Instance` or `Copy`.

    Notes
    -----
    An error metric has a 1 for each error and a 0 for each other invocation, so that its average is the
    share of errors. The latency has its greatest value as one sample and the mean of the others as the rest:
    sum, maximum and count are exact.
    """
    n = counts.n
    if not n:
        return ()
    n_model = counts.n_model_4xx + counts.n_model_5xx
    found: list[Measured] = [
        ("Invocations", 1.0, "None", n),
        (f"InvocationsPer{per}", 1.0 / max(1, n_instances), "None", n),
    ]
    for name, n_errors in (
        ("Invocation4XXErrors", counts.n_4xx - counts.n_model_5xx),
        ("Invocation5XXErrors", counts.n_5xx + counts.n_model_5xx),
        ("InvocationModelErrors", n_model),
    ):
        found += _split(name, n_errors, n)
    if per == "Copy":
        found += _split("NoCapacityInvocationFailures", counts.n_no_capacity, n)
    if counts.n_compared:  # of a shadow; metrics of Clary's own
        found += _split("ShadowDisagreements", counts.n_apart, counts.n_compared)
        found += [("ShadowDistance", counts.apart / counts.n_compared, "None", counts.n_compared)]
    if n_asked := counts.n_hits + counts.n_cold:  # of a multi-model endpoint
        found += _split("ModelCacheHit", counts.n_hits, n_asked)
    most = counts.model_most_s
    found += [("ModelLatency", most * 1e6, "Microseconds", 1)]
    if n > 1:
        rest = max(0.0, counts.model_s - most) / (n - 1)
        found += [("ModelLatency", rest * 1e6, "Microseconds", n - 1)]
    found += [("OverheadLatency", max(0.0, counts.overhead_s) / n * 1e6, "Microseconds", n)]
    return found


def container_samples(counts: Counts) -> Sequence[Measured]:
    """Return the service's metrics of one container among several.

    Source: developer guide, "Monitor Amazon SageMaker AI with Amazon CloudWatch", dimension ContainerName.
    """
    left_out = {"InvocationsPerInstance", "InvocationModelErrors"}
    if not counts.overhead_s:  # in a row, the edge's part is the whole row's
        left_out.add("OverheadLatency")
    return [
        ("ContainerLatency" if name == "ModelLatency" else name, value, unit, n)
        for name, value, unit, n in samples(counts, 1)
        if name not in left_out
    ]


def _split(name: str, n_errors: int, n: int) -> list[Measured]:
    n_errors = max(0, min(n, n_errors))
    pairs = ((1.0, n_errors), (0.0, n - n_errors))
    return [(name, value, "None", count) for value, count in pairs if count]
