"""What edges count of endpoints: taken from their posts, kept for scaling, written as CloudWatch metrics."""

import json
import logging
import threading

from sqlalchemy import Connection

from clary.engine.world import World
from clary.gateway.control.answers import as_json
from clary.kernel.clock import epoch_ms
from clary.serving import components
from clary.serving.scaling.usage import NAMESPACE, Counts, Key, Usage, container_samples, samples
from clary.store import metrics, records
from clary.wire.http import Request, Response

FLUSH_S = 1.0
"""How soon counts are metrics."""
BUSY_FLUSH_S = 5.0
"""How often while an endpoint is asked without a pause: a row a metric each time."""

log = logging.getLogger(__name__)


class Meter:
    """Takes counts; a thread of its own writes them down."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.usage: Usage = world.extras.setdefault("usage", Usage(world.clock().timestamp()))
        self._has_more = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)

    def start(self) -> "Meter":
        """Begin to write."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Write what is left, and end."""
        self._closing.set()
        self._has_more.set()
        self._thread.join()

    def answer(self, request: Request) -> Response:
        """Take what one edge counted since it last told."""
        told = json.loads(request.body)["counts"]
        report = [(Key(*place), Counts.parse(counts)) for *place, counts in told]
        self.usage.take(report, self._world.clock().timestamp())
        self._has_more.set()
        return as_json({})

    def wake(self, request: Request) -> Response:
        """Hear of an edge that somebody waits for a variant without instances; its endpoint looks at once."""
        key = Key(*json.loads(request.body)["variant"])
        self.usage.awaits(key, self._world.clock().timestamp())
        record = self._world.store.read(records.find, key.account, key.region, "Endpoint", key.endpoint)
        if record is not None:
            self._world.wake(record.arn)
        return as_json({})

    def _run(self) -> None:
        pause_s = FLUSH_S
        while not self._closing.is_set():
            is_busy = self._has_more.wait(FLUSH_S)
            self._has_more.clear()
            self._closing.wait(pause_s)
            # After a pause the next counts are seen at once; while it goes on, less often.
            pause_s = min(BUSY_FLUSH_S, pause_s + FLUSH_S) if is_busy else FLUSH_S
            try:
                self.flush()
            except Exception:
                log.exception("metrics of endpoints could not be written")

    def flush(self) -> None:
        """Write what came since the last time."""
        windows = self.usage.drain()
        if not windows:
            return
        ms = epoch_ms(self._world.clock())

        def unit(conn: Connection) -> None:
            rows: list[tuple[metrics.Point, float]] = []
            for key, counts in windows.items():
                dimensions = components.dimensions(key.endpoint, key.variant)
                measured = samples(counts, _instances(conn, key), _per(key))
                if key.container:
                    dimensions["ContainerName"] = key.container
                    measured = container_samples(counts)
                head = (key.account, key.region, NAMESPACE)
                rows += [((*head, name, dimensions, ms, value, unit), n) for name, value, unit, n in measured]
            metrics.append_counted(conn, rows)

        self._world.store.write(unit)


def _per(key: Key) -> str:
    return "Copy" if components.named(key.endpoint) else "Instance"


def _instances(conn: Connection, key: Key) -> int:
    """Return how many replicas a variant has in service."""
    record = records.find(conn, key.account, key.region, *components.noun_and_key(key.endpoint))
    served = record.private.get("served", ()) if record else ()
    return sum(len(variant["Replicas"]) for variant in served if variant["VariantName"] == key.variant)
