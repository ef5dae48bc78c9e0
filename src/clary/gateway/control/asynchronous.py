"""Runs asynchronous invocations: each a record until its answer, or why there is none, lies in S3.

edge ──job──▶ record ─▶ queue ──a replica has room──▶ thread: S3 ─▶ replica ─▶ S3 ─▶ record is gone
"""

import base64
import json
import logging
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from clary.engine.world import World
from clary.gateway.control.answers import as_json
from clary.gateway.control.claims import claim
from clary.kernel.clock import epoch_ms, now
from clary.kernel.errors import CustomerError
from clary.services.s3.bucket import owner_of
from clary.services.sagemaker import _async_notices
from clary.serving.ask import ask
from clary.serving.frames import FrameError
from clary.serving.scaling.usage import NAMESPACE, Counts, Key, Usage
from clary.store import listing, metrics, records
from clary.store.listing import Query
from clary.store.records import Record
from clary.toolkit.objects import Objects, split_uri
from clary.wire.http import Request, Response

NOUN = "AsyncInvocation"
SCOPE = ("clary", "-")
"""Account and region of the records: their endpoints' are in the documents."""
WIDTH = 32
"""Invocations that run at a time, of all endpoints."""
PER_INSTANCE = 4
"""Where the configuration names no `MaxConcurrentInvocationsPerInstance`."""
TTL_S, TIMEOUT_S = 21_600, 900
"""Source: API reference, InvokeEndpointAsync: six hours, fifteen minutes."""
UNTYPED = "binary/octet-stream"
"""Content type of objects that were put without one."""
LOOK_S = 0.5
TELL_S = 5.0
ADOPT_S = 5.0
"""How often a node looks for what a lost one left."""
MAX_TRIES = 3

log = logging.getLogger(__name__)


class Invocations:
    """The queues, one for each endpoint."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._queues: dict[Key, deque[dict[str, Any]]] = defaultdict(deque)
        self._running: dict[Key, int] = defaultdict(int)
        self._known: set[str] = set()
        """Ids of jobs that are queued, or run."""
        self._told_s = self._adopted_s = 0.0
        self._backlogged: set[Key] = set()
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="asynchronous")
        self._thread = threading.Thread(target=self._run, name="asynchronous", daemon=True)

    def start(self) -> "Invocations":
        """Begin; first with what an earlier life left."""
        self._adopt()
        self._thread.start()
        return self

    def _adopt(self) -> None:
        """Queue what an earlier life left, or a node that is lost: the endpoint's own node answers it."""
        self._adopted_s = time.monotonic()
        for record in self._world.store.read(_every):
            job = dict(record.document)
            with self._lock:
                if job["id"] not in self._known:
                    self._known.add(job["id"])
                    self._queues[Key(*job["variant"])].append(job)

    def close(self) -> None:
        """End; what runs is run again by the next life."""
        self._closing.set()
        self._awake.set()
        self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def answer(self, request: Request) -> Response:
        """Take a job of an edge: it is durable when this answers."""
        job = json.loads(request.body) | {"since": self._world.clock().timestamp()}
        moment = self._world.clock()
        record = Record(*SCOPE, NOUN, job["id"], "", "Queued", moment, moment, job)
        self._world.store.write(records.insert, record)
        with self._lock:
            self._known.add(job["id"])
            self._queues[Key(*job["variant"])].append(job)
        self._awake.set()
        return as_json({})

    def _run(self) -> None:
        while not self._closing.is_set():
            self._awake.wait(LOOK_S)
            self._awake.clear()
            try:
                if self._world.node and time.monotonic() - self._adopted_s > ADOPT_S:
                    self._adopt()
                for key in list(self._queues):
                    self._serve(key)
                self._tell()
            except Exception:
                log.exception("asynchronous invocations wait")
                self._closing.wait(1.0)

    def _serve(self, key: Key) -> None:
        """Hand out what the endpoint has room for."""
        with self._lock:
            if not self._queues[key]:
                if not self._running[key]:
                    del self._queues[key], self._running[key]
                return
        record = self._world.store.read(records.find, key.account, key.region, "Endpoint", key.endpoint)
        if record is None:
            self._drop(key)
            return
        route = record.private.get("route") or {}
        if route.get("node", "") != self._world.node and self._world.node:
            self._leave(key)
            return
        entries = [each for each in route.get("variants", ()) if each["replicas"]]
        replicas = [each for entry in entries for each in entry["replicas"]]
        if not replicas:
            usage: Usage = self._world.extras["usage"]
            if record.status == "InService" and not usage.is_awaited(
                key, self._world.clock().timestamp() + 8.0
            ):
                usage.awaits(key, self._world.clock().timestamp())
                self._world.wake(record.arn)
            return
        most = entries[0].get("asynchronous", {}).get("most", PER_INSTANCE) * len(replicas)
        with self._lock:
            while self._queues[key] and self._running[key] < most:
                job = self._queues[key].popleft()
                self._running[key] += 1
                self._pool.submit(self._do, key, job, random.choice(replicas)["address"])  # noqa: S311 - no secret

    def _leave(self, key: Key) -> list[dict[str, Any]]:
        """Forget the jobs of an endpoint here; its own node has them, or takes them."""
        with self._lock:
            jobs = list(self._queues.pop(key, ()))
            self._known.difference_update(job["id"] for job in jobs)
        return jobs

    def _drop(self, key: Key) -> None:
        """Forget the jobs of an endpoint that was deleted."""
        for job in self._leave(key):
            self._world.store.write(records.delete, *SCOPE, NOUN, job["id"])

    def _do(self, key: Key, job: dict[str, Any], address: str) -> None:
        begun = time.monotonic()
        is_done, counts = True, Counts(n=1)
        if not self._claim(job):
            with self._lock:
                self._running[key] -= 1
                self._known.discard(job["id"])
            return
        try:
            self._answer(job, address, key)
        except _RefusedError as refused:
            counts.n_4xx, counts.n_model_4xx = 1, int(refused.status < 500)
            counts.n_model_5xx = int(refused.status >= 500)
            self._fail(key, job, str(refused), refused.body)
        except (OSError, ConnectionError):
            job["tries"] = job.get("tries", 0) + 1
            is_done = job["tries"] >= MAX_TRIES
            counts = Counts()
            if is_done:
                self._fail(key, job, "The replica went away before it answered.")
        except Exception as error:
            log.exception("an asynchronous invocation of %s failed", key.endpoint)
            self._fail(key, job, f"{type(error).__name__}: {error}")
        finally:
            counts.model_s = counts.model_most_s = time.monotonic() - begun if counts.n else 0.0
            usage: Usage = self._world.extras["usage"]
            usage.take([(key, counts)], self._world.clock().timestamp())
            if is_done and not self._closing.is_set():
                self._world.store.write(records.delete, *SCOPE, NOUN, job["id"])
            with self._lock:
                self._running[key] -= 1
                if is_done:
                    self._known.discard(job["id"])
                else:
                    self._queues[key].appendleft(job)
            self._awake.set()

    def _claim(self, job: Mapping[str, Any]) -> bool:
        """Say whether this control plane is to answer a job; where it is the only one, always."""
        if not self._world.node:
            return True
        record = self._world.store.read(records.find, *SCOPE, NOUN, job["id"])
        timeout_s = float(job.get("InvocationTimeoutSeconds", TIMEOUT_S))
        return record is not None and not claim(self._world, record, timeout_s + 60.0)[1]

    def _answer(self, job: Mapping[str, Any], address: str, key: Key) -> None:
        age_s = self._world.clock().timestamp() - job["since"]
        ttl_s = job.get("RequestTTLSeconds", TTL_S)
        if age_s > ttl_s:
            text = f"The request expired: it waited longer than {ttl_s} s (RequestTTLSeconds)."
            raise _RefusedError(text, 500)
        objects: Objects = self._world.extras["objects"]
        timeout_s = float(job.get("InvocationTimeoutSeconds", TIMEOUT_S))
        try:
            header, body = self._question(job, key)
            frame = ask(address, header, body, timeout_s=timeout_s)
        except (CustomerError, FrameError) as error:
            raise _RefusedError(str(error), 400) from error
        except TimeoutError:
            raise _RefusedError(f"The model did not answer within {timeout_s:.0f} s.", 500) from None
        status = frame.header.get("status", 200)
        if status >= 400:
            side = "client" if status < 500 else "server"
            text = frame.body[:4096].decode(errors="replace")
            named = frame.header.get("container", "primary")
            raise _RefusedError(
                f'Received {side} error ({status}) from {named} with message "{text}"', status, frame.body
            )
        content_type = frame.header.get("content_type") or "application/octet-stream"
        try:
            objects.put(self._own(key, job["output"]), frame.body, content_type=content_type)
        except CustomerError as error:
            raise _RefusedError(str(error), 400) from error
        _async_notices.completed(self._world, job, content_type, frame.body)

    def _question(self, job: Mapping[str, Any], key: Key) -> tuple[dict[str, Any], bytes]:
        """Return a question's header and body; its content type is the object's own where none was given."""
        header = dict(job["header"])
        if "body" in job:
            return header, base64.b64decode(job["body"])
        objects: Objects = self._world.extras["objects"]
        uri = self._own(key, job["input"])
        if "content_type" not in header:
            bucket, name = split_uri(uri)
            found = objects.ask("download", uri, lambda client: client.head_object(Bucket=bucket, Key=name))
            if found.get("ContentType") not in {None, UNTYPED}:
                header["content_type"] = found["ContentType"]
        return header, objects.read(uri)

    def _fail(self, key: Key, job: Mapping[str, Any], text: str, body: bytes = b"") -> None:
        """Leave why there is no answer where the configuration wants it, and tell."""
        log.info("asynchronous invocation %s of %s: %s", job["id"], key.endpoint, text)
        if job["failure"]:
            objects: Objects = self._world.extras["objects"]
            try:
                objects.put(self._own(key, job["failure"]), text.encode(), content_type="text/plain")
            except CustomerError as error:
                log.warning("the failure of %s cannot be written: %s", job["id"], error)
        _async_notices.failed(self._world, job, text, body)

    def _own(self, key: Key, uri: str) -> str:
        """Return a URI whose bucket is the endpoint's account's.

        Raises
        ------
        CustomerError
            It is another's, or nobody's.
        """
        bucket, _key = split_uri(uri)
        owner = self._world.store.read(owner_of, bucket)
        if owner is None or owner.account != key.account:
            raise CustomerError(f'"{uri}": there is no such bucket in account {key.account}.')
        return uri

    def _tell(self) -> None:
        """Tell CloudWatch how much waits, while something does and once more when nothing does."""
        moment = time.monotonic()
        if moment - self._told_s < TELL_S:
            return
        self._told_s = moment
        with self._lock:
            waiting = {key: len(queue) for key, queue in self._queues.items() if queue}
            oldest = {key: queue[0]["since"] for key, queue in self._queues.items() if queue}
        keys, self._backlogged = self._backlogged | set(waiting), set(waiting)
        if not keys:
            return
        ms, now_s = epoch_ms(now()), self._world.clock().timestamp()

        def unit(conn: Connection) -> None:
            rows: list[metrics.Point] = []
            for key in keys:
                record = records.find(conn, key.account, key.region, "Endpoint", key.endpoint)
                served = record.private.get("served", ()) if record else ()
                n = sum(len(variant["Replicas"]) for variant in served)
                size = waiting.get(key, 0)
                head = (key.account, key.region, NAMESPACE)
                values = {
                    "ApproximateBacklogSize": float(size),
                    "ApproximateBacklogSizePerInstance": size / max(1, n),
                    "HasBacklogWithoutCapacity": float(bool(size) and not n),
                    "ApproximateAgeOfOldestRequest": now_s - oldest.get(key, now_s),
                }
                dimensions = {"EndpointName": key.endpoint}
                rows += [(*head, name, dimensions, ms, value, "None") for name, value in values.items()]
            metrics.append(conn, rows)

        self._world.store.write(unit)


class _RefusedError(Exception):
    """There is no answer; the text says why."""

    def __init__(self, text: str, status: int, body: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.body = body
        """What the model said."""


def _every(conn: Connection) -> list[Record]:
    """Return every job, oldest first."""
    found: list[Record] = []
    query = Query(account=SCOPE[0], region=SCOPE[1], noun=NOUN, sort="created", descending=False, limit=1000)
    while True:
        page = listing.page(conn, query)
        found += page.records
        if page.next is None:
            return found
        query = replace(query, after=page.next)
