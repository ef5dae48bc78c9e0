"""The work of one host: its objects, several at once, each split, asked, assembled and published whole.

list ─▶ this host's ─▶ [published before? skip] ─▶ stream ─▶ split ─▶ model ─▶ parts ─▶ publish
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from clary.compute.agent.batch.base import Model, PayloadError
from clary.compute.agent.batch.plan import Plan
from clary.kernel.errors import CustomerError
from clary.toolkit import pipe
from clary.toolkit.channels import Item
from clary.toolkit.object_faults import CancelledError, ObjectsUnavailableError
from clary.toolkit.objects import Objects
from clary.toolkit.transform import split
from clary.toolkit.transform.output import Output, drop_stale_uploads, metadata_of
from clary.toolkit.transform.records import RecordError

AT_ONCE = 4
"""Objects: while one is opened or published, others are read."""
AHEAD = 64
"""Answers of one object that wait for an earlier one."""
MARK = "clary-transform-job"
"""Metadata of every output: which job made it."""
STALE_MARGIN = timedelta(minutes=5)
"""By how much the clocks of store and machine may differ."""

log = logging.getLogger(__name__)


@dataclass
class Tally:
    """How the objects of a host fared."""

    published: list[Item] = field(default_factory=list)
    n_skipped: int = 0
    """Published by an earlier attempt."""
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    """Objects that failed: name, status (0 without one), and why."""


class Work:
    """Transforms objects.

    Parameters
    ----------
    tell : callable
        Takes a line of the data log.
    began : datetime
        When the job was created.
    """

    def __init__(
        self,
        objects: Objects,
        plan: Plan,
        model: Model,
        tell: Callable[[str], None],
        *,
        attempt: int,
        began_ms: int,
    ) -> None:
        self._objects = objects
        self._plan = plan
        self._model = model
        self._tell = tell
        self._is_again = attempt > 1
        self._began = datetime.fromtimestamp(began_ms / 1000, UTC) - STALE_MARGIN
        self._lock = threading.Lock()
        self.tally = Tally()

    def run(self, items: Sequence[Item]) -> Tally:
        """Transform every object; one that fails does not keep the others from it.

        Raises
        ------
        ModelGoneError
            The model's program ended.
        CancelledError
            Everything was called off.
        ObjectsUnavailableError
            The store stays away.
        """
        n_at_once = min(AT_ONCE, len(items))
        with (
            ThreadPoolExecutor(max(1, n_at_once), "object") as pool,
            ThreadPoolExecutor(max(1, n_at_once), "upload") as uploads,
        ):
            tasks = [pool.submit(self._one, item, uploads) for item in items]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                self._objects.cancel.set()
                for task in tasks:
                    task.cancel()
                raise
        self.tally.published.sort(key=lambda item: item.name)
        return self.tally

    def _one(self, item: Item, uploads: ThreadPoolExecutor) -> None:
        uri = f"{self._plan.output}/{item.name}.out"
        if self._is_again and self._is_published(uri):
            with self._lock:
                self.tally.published.append(item)
                self.tally.n_skipped += 1
            return
        output = Output(self._objects, uri, uploads, {MARK: self._plan.job})
        try:
            self._transform(item, output)
        except (PayloadError, RecordError, split.SplitError, CustomerError) as error:
            output.abort()
            if self._objects.cancel.is_set():  # it fails because all is called off
                raise CancelledError from error
            self._fail(item, error)
        except BaseException:
            output.abort()
            raise
        else:
            with self._lock:
                self.tally.published.append(item)

    def _is_published(self, uri: str) -> bool:
        """Say whether an earlier attempt of this job published; what else it left there is dropped."""
        metadata = metadata_of(self._objects, uri)
        if metadata is not None and metadata.get(MARK) == self._plan.job:
            return True
        drop_stale_uploads(self._objects, uri, self._began)
        return False

    def _transform(self, item: Item, output: Output) -> None:
        waiting: deque[Future[bytes]] = deque()
        n_written = 0
        try:
            for payload in self._payloads(item):
                waiting.append(self._model.ask(payload))
                while waiting and (waiting[0].done() or len(waiting) > AHEAD):
                    output.write(waiting.popleft().result())
                    n_written += 1
            while waiting:
                output.write(waiting.popleft().result())
                n_written += 1
            output.publish()
        except PayloadError as error:
            raise PayloadError(error.status, error.message + self._where(item, n_written)) from error
        finally:
            for future in waiting:
                future.cancel()

    def _payloads(self, item: Item) -> Iterator[bytes]:
        plan = self._plan
        strategy = split.MULTI if plan.is_single_lines and self._model.takes_stretches else plan.strategy
        return split.payloads(
            self._pieces(item), split=plan.split, strategy=strategy, limit_bytes=plan.limit_bytes
        )

    def _where(self, item: Item, n_payloads: int) -> str:
        """Say where a payload begins that has so many before it; the object is read again."""
        if self._plan.split != split.LINE or not n_payloads:
            return ""
        try:
            before = itertools.islice(self._payloads(item), n_payloads)
            n_lines = sum(each.count(b"\n") + (not each.endswith(b"\n")) for each in before)
        except (CustomerError, ObjectsUnavailableError):
            return ""
        return f"\n(this payload begins at line {n_lines + 1} of the object)"

    def _pieces(self, item: Item) -> Iterator[bytes]:
        assert item.entry is not None
        pieces = self._objects.stream(item.entry.uri)
        return pipe.inflate(pieces, item.entry.uri) if self._plan.channel.compression == "Gzip" else pieces

    def _fail(self, item: Item, error: Exception) -> None:
        """Say in the data log what went wrong with an object. Source: the service's own lines."""
        assert item.entry is not None
        name = f"{item.entry.bucket}/{item.entry.key}"
        status = error.status if isinstance(error, PayloadError) else 400
        lines = _lines(error)
        for line in lines:
            self._tell(f"{name}: {line}")
        with self._lock:
            why = lines[0] if len(lines) == 1 else f"{lines[0]}: {' '.join(lines[3:])}"
            self.tally.failures.append((name, status, why))


def _lines(error: Exception) -> list[str]:
    if not isinstance(error, PayloadError):
        return [str(error)]
    if error.status == 0:
        return ["Unable to get response from algorithm", "", "Message:", error.message]
    head = "ClientError:" if error.status < 500 else "Bad HTTP status received from algorithm:"
    return [f"{head} {error.status}", "", "Message:", *(error.message.splitlines() or [""])]


def stamp(text: str) -> str:
    """Return a line of the data log. Source: the service's own."""
    now = time.time()
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{second}.{int(now * 1000) % 1000:03d}:[sagemaker logs]: {text}"
