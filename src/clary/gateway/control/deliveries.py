"""Posts notifications to their subscribers: each a record until it is taken, or given up.

publish ──durable──▶ queue of its subscription ──one at a time──▶ POST ──2xx──▶ record is gone
                         ▲                                          │ 5xx, 429, nobody: again, later
                         └──────────────────────────────────────────┘ 4xx, tries used up: a line in the log
"""

import base64
import heapq
import http.client
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from clary.engine.world import World
from clary.gateway.control.answers import as_json
from clary.gateway.control.claims import claim
from clary.kernel.clock import epoch_ms
from clary.services.sns import _signing
from clary.services.sns._records import DELIVERIES, DELIVERY, every
from clary.services.sns.subscription import RETRY, confirm, remove
from clary.store import logs, records
from clary.store.base import Stale
from clary.store.records import Record
from clary.wire.http import Request, Response

WIDTH = 16
"""Posts at a time; as many more for those whose subscriber was slow or failed the last time."""
SLOW_S = 1.0
TIMEOUT_S = 15.0
"""Source: developer guide, "Amazon SNS message delivery retries": 15 s for an HTTP/S endpoint to answer."""
TOO_MANY = 429
LOOK_S = 5.0

log = logging.getLogger(__name__)

Due = tuple[float, int, str]
"""When, in which order, and the delivery's key; what is posted stays in the store until then."""


class Deliveries:
    """The queues, one for each subscription: a slow subscriber waits for itself alone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._queues: dict[str, list[Due]] = defaultdict(list)
        self._busy: set[str] = set()
        self._slow: set[str] = set()
        self._n = 0
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._pools = [ThreadPoolExecutor(WIDTH, thread_name_prefix=name) for name in ("deliver", "slowly")]
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)
        world.extras["deliver"] = self.take
        world.extras["adopt"] = self.adopt

    def start(self) -> "Deliveries":
        """Begin; first with what an earlier life left."""
        self.adopt()
        self._thread.start()
        return self

    def adopt(self) -> None:
        """Take what others left that are gone; of what one alive has in hand, the claim keeps us away."""
        self.take(self._world.store.read(every, *DELIVERIES, DELIVERY))

    def close(self) -> None:
        """End; what was not taken is posted by the next life."""
        self._closing.set()
        self._awake.set()
        self._thread.join()
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def take(self, made: list[Record]) -> None:
        """Post deliveries that are durable, from any thread."""
        with self._lock:
            for each in made:
                self._put(each.document["subscription"], each.document["due"], each.key)
        self._awake.set()

    def _put(self, subscription: str, due: float, key: str) -> None:
        self._n += 1
        heapq.heappush(self._queues[subscription], (due, self._n, key))

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                wait_s = self._hand_out()
            except Exception:
                log.exception("notifications wait")
                wait_s = 1.0
            self._awake.wait(wait_s)
            self._awake.clear()

    def _hand_out(self) -> float:
        """Give what is due to the pools; return when to look again."""
        now, next_s = self._world.clock().timestamp(), LOOK_S
        with self._lock:
            for subscription in list(self._queues):
                queue = self._queues[subscription]
                if subscription in self._busy:
                    continue
                if not queue:
                    del self._queues[subscription]
                    self._slow.discard(subscription)
                elif queue[0][0] > now:
                    next_s = min(next_s, queue[0][0] - now)
                else:
                    self._busy.add(subscription)
                    key = heapq.heappop(queue)[2]
                    self._pools[subscription in self._slow].submit(self._do, subscription, key)
        return max(0.01, next_s)

    def _do(self, subscription: str, key: str) -> None:
        begun, status, due = time.monotonic(), 0, 0.0
        try:
            record = self._world.store.read(records.find, *DELIVERIES, DELIVERY, key)
            if record is not None:
                record, due = claim(self._world, record, 2 * TIMEOUT_S)
            if record is not None and not due:
                status, why = post(record.document)
                due = self._settle(record, status, why)
        except Exception:
            log.exception("a notification for %s", subscription)
            due = self._world.clock().timestamp() + 1.0
        with self._lock:
            is_slow = not 200 <= status < 300 or time.monotonic() - begun > SLOW_S
            (self._slow.add if is_slow else self._slow.discard)(subscription)
            self._busy.discard(subscription)
            if due and not self._closing.is_set():
                self._put(subscription, due, key)
        self._awake.set()

    def _settle(self, record: Record, status: int, why: str) -> float:
        """Forget a delivery that was taken or given up; else return when it is tried again."""
        document = record.document
        tries = document["tries"] + 1
        policy = {name: document["policy"].get(name, RETRY[name][0]) for name in RETRY}
        is_taken = 200 <= status < 300
        is_refused = 400 <= status < 500 and status != TOO_MANY
        if is_taken or is_refused or tries > policy["numRetries"]:
            self._world.store.write(records.delete, *DELIVERIES, DELIVERY, record.key)
            if not is_taken:
                self._tell(document, why, tries)
            return 0.0
        span = policy["maxDelayTarget"] - policy["minDelayTarget"]
        share = (tries - 1) / max(1, policy["numRetries"] - 1)
        due: float = self._world.clock().timestamp() + policy["minDelayTarget"] + span * share
        try:
            again = replace(record, document={**document, "tries": tries, "due": due})
            self._world.store.write(records.update, again)
        except Stale:
            return 0.0
        return due

    def _tell(self, document: Mapping[str, Any], why: str, tries: int) -> None:
        """Say in the topic's log that a delivery was given up."""
        headers, ms = document["headers"], epoch_ms(self._world.clock())
        _, _, _, region, account, name = headers["x-amz-sns-topic-arn"].split(":")
        said = {
            "status": "FAILURE",
            "messageId": headers["x-amz-sns-message-id"],
            "destination": document["endpoint"],
            "attempts": tries,
            "providerResponse": why,
        }
        line = [(ms, json.dumps(said))]
        self._world.store.write(
            logs.append, account, region, f"sns/{region}/{account}/{name}", "failures", line, ms
        )

    # Links in messages.

    def answer(self, request: Request) -> Response:
        """Answer a visit to SubscribeURL or UnsubscribeURL: who has the link may use it."""
        given = {name: values[0] for name, values in parse_qs(request.query).items()}
        if given.get("Action") == "ConfirmSubscription":
            arn = confirm(self._world, given.get("TopicArn", ""), given.get("Token", ""))
            if arn:
                return as_json({"SubscriptionArn": arn})
        if given.get("Action") == "Unsubscribe" and remove(self._world, given.get("SubscriptionArn", "")):
            return as_json({})
        return as_json({"message": "the link is not valid, or not any more"}, 404)

    def certificate(self, _request: Request) -> Response:
        """Return the certificate by which signatures are checked."""
        body = _signing.certificate(self._world.settings.data_dir)
        return Response(200, {"content-type": "application/x-pem-file"}, body)


def post(document: Mapping[str, Any]) -> tuple[int, str]:
    """Post a notification; return the status, 0 where nobody answered, and what was said."""
    address = urlsplit(document["endpoint"])
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    headers = dict(document["headers"])
    if address.username is not None:
        pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT_S)
    try:
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection.request("POST", target, document["body"].encode(), headers)
        answer = connection.getresponse()
        text = answer.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    else:
        return answer.status, f"{answer.status} {answer.reason}: {text}"
    finally:
        connection.close()
