"""The control plane, seen from the edge: its records, its pushes, and the requests that it answers."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clary.gateway.edge import faults
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.head import Lines
from clary.gateway.edge.legs import Routed
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.peers import PASSED_ON, Nearest, Peers, someone_well
from clary.gateway.edge.relay import AtMost, Away, Refused, connect, forward, framing, passed_on
from clary.gateway.edge.tables import Table
from clary.gateway.edge.upstream import Address, Pool, Upstream
from clary.kernel.clock import from_epoch_ms
from clary.wire.credential import Credential

_LOG = logging.getLogger(__name__)
REST_S = 4.0
"""That an unused connection is kept; below uvicorn's 5 s, so that never the other side closes it."""
SILENCE_S = 15.0
"""Without a line on the stream of pushes; pings come every 5 s."""
TELL_S = 5.0
"""For the answer to what was told."""
_PAUSE_S = 0.2
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SAFE_VERBS = ("Describe", "List", "Get", "Search", "BatchGet", "Query", "Filter", "Lookup")


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Where the objects are, and the identity that may do everything there."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str


@dataclass(frozen=True, slots=True)
class Lab:
    """A notebook instance in service: its socket, and the key that signs its sessions."""

    address: str
    seal: str


class ControlPlane:
    """Caches over the control plane's records, and the way there."""

    def __init__(
        self,
        socket: Path,
        limits: Limits,
        clock: Callable[[], float],
        route: Callable[[str, dict[str, Any]], Routed],
    ) -> None:
        self._limits = limits
        self.pool = Pool(Address(path=str(socket)), clock, rest_s=REST_S)
        self.credentials = Table(self._fetching("credential"), _credential)
        self.buckets = Table(self._fetching("bucket"), _account)
        self.routes = Table(self._fetching("route"), route)
        self.notebooks = Table(self._fetching("notebook"), lambda _key, document: Lab(**document))
        self.stores = Table(self._fetching("objects"), lambda _key, document: ObjectStore(**document))
        self._tables: dict[str, Table[Any]] = {
            "credential": self.credentials,
            "bucket": self.buckets,
            "route": self.routes,
            "notebook": self.notebooks,
        }
        self.is_watching = False
        """Pushes are heard: what is cached is what the control plane has."""
        self.peers = Peers(limits, clock)
        self._others: list[dict[str, str]] = []
        """Edges of other nodes, as the control plane said last: `url` and `authority`."""

    # Records.

    def _fetching(self, kind: str) -> Callable[[str], Any]:
        async def fetch(key: str) -> dict[str, Any] | None:
            path = "/".join(
                quote(part, safe="") for part in ("", "internal", kind, *key.split("/") * bool(key))
            )
            patience_s = 0.0 if self._knows(kind, key) else self._limits.away_s
            status, body = await self._get(path, patience_s)
            if status == 404:
                return None
            if status != 200:
                raise Away(f"the control plane answered {status} to {path}")
            return dict(json.loads(body))

        return fetch

    def _knows(self, kind: str, key: str) -> bool:
        table: Table[Any] = self.stores if kind == "objects" else self._tables[kind]
        return table.knows(key)

    async def _get(self, path: str, patience_s: float) -> tuple[int, bytes]:
        return await self._asked("GET", _ask_head(path), patience_s)

    async def ask(self, path: str, question: Mapping[str, Any], patience_s: float) -> dict[str, Any]:
        """Ask the control plane what it must hear in JSON; perhaps twice, when it dies before it answers.

        Raises
        ------
        Away
            It does not answer, or not with an answer.
        """
        body = json.dumps(question).encode()
        status, answer = await self._asked("POST", _tell_head(path, len(body)) + body, patience_s)
        if status != 200:
            raise Away(f"the control plane answered {status} to {path}")
        return dict(json.loads(answer))

    async def _asked(self, method: str, request: bytes, patience_s: float) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        while True:
            upstream = await connect(self.pool, max(0.0, deadline - loop.time()))
            gather = _Gather()
            upstream.ask(gather, method, request)
            try:
                answer = await asyncio.wait_for(gather.whole, max(patience_s, 5.0))
            except (ConnectionError, TimeoutError) as error:
                upstream.abort()
                if loop.time() >= deadline:
                    raise Away(str(error) or "no answer in time") from error
                await asyncio.sleep(_PAUSE_S / 10)
            else:
                self.pool.give(upstream)
                return answer

    async def tell(self, path: str, body: bytes) -> int:
        """Send the control plane what nobody waits for; return the status of its answer.

        Raises
        ------
        Away, OSError
            It does not answer.
        """
        upstream = await connect(self.pool, 0.0)
        gather = _Gather()
        upstream.ask(gather, "POST", _tell_head(path, len(body)) + body)
        try:
            status, _answer = await asyncio.wait_for(gather.whole, TELL_S)
        except BaseException:
            upstream.abort()
            raise
        self.pool.give(upstream)
        return status

    async def object_store(self) -> ObjectStore:
        """Return the object store in use."""
        found = self.stores.get("") or await self.stores.find("")
        if found is None:
            raise Away("the control plane knows of no object store")
        return found

    # Pushes.

    async def watch(self) -> None:
        """Hear the control plane's pushes, for ever; what is cached turns old when they are interrupted."""
        while True:
            stream = _Stream(self._hear, self._interrupted)
            upstream: Upstream | None = None
            try:
                upstream = await self.pool.open()
                upstream.ask(stream, "GET", _ask_head("/internal/watch"))
                while not stream.over.done():
                    await asyncio.wait((stream.over,), timeout=SILENCE_S / 3)
                    if upstream.clock() - upstream.seen > SILENCE_S:
                        break
            except OSError as error:
                _LOG.debug("the control plane is away: %s", error)
            finally:
                if upstream is not None:
                    upstream.abort()
                self.is_watching = False
            await asyncio.sleep(_PAUSE_S)

    def _interrupted(self) -> None:
        self.is_watching = True
        for table in (*self._tables.values(), self.stores):
            table.age()

    def _hear(self, line: bytes) -> None:
        try:
            push = json.loads(line)
            kind = push["kind"]
            if kind in self._tables:
                self._tables[kind].push(push["key"], push["value"])
            elif kind == "peers":
                self._others = push["value"]["peers"]
        except (ValueError, KeyError, TypeError) as error:
            _LOG.error("the control plane pushed what is no record: %r: %r", line[:200], error)

    # Requests.

    async def answer(
        self, exchange: Exchange, target: bytes | None = None, given: Lines | None = None
    ) -> None:
        """Have the control plane answer `exchange`, with its own target and headers unless given others."""
        head, limit = exchange.head, self._limits.control_bytes
        too_long = faults.too_long(head, limit)
        if (head.length or 0) > limit:
            exchange.answer(too_long.status, too_long.lines, too_long.body)
            return
        peer = b"x-clary-peer: %b\r\n" % exchange.peer.encode()
        patience_s = 0.0 if PASSED_ON in head.fields else self._limits.away_s
        others = self._elsewhere() if patience_s else []
        nearest, loop = Nearest(self.pool, others), asyncio.get_running_loop()
        deadline = loop.time() + patience_s

        def whole() -> bytes:
            lines = [each for each in given or head.lines if not each[0].lower().startswith(b"x-clary-")]
            first = b"%b %b HTTP/1.1\r\n" % (head.method.encode(), target or head.target)
            ours = peer if nearest.is_own else b"%b: 1\r\n" % PASSED_ON.encode()
            return b"".join((first, passed_on(lines), ours, framing(exchange), b"\r\n"))

        try:
            await forward(
                exchange,
                lambda: nearest,
                whole,
                patience_s=patience_s,
                answer_s=self._limits.answer_s,
                may_repeat=_is_safe(exchange),
                is_chunked=head.chunked,
                alter=lambda: AtMost(limit, Refused(too_long.status, too_long.lines, too_long.body)),
            )
        except (Away, TimeoutError) as error:
            _LOG.warning("%s %s: the control plane is away: %s", head.method, head.path, error)
            await someone_well([self.pool, *others], deadline)  # whom a client meets that tries again at once
            away = faults.away(head, "Clary's control plane does not answer; it may be restarting.")
            exchange.answer(away.status, away.lines, away.body)

    def _elsewhere(self) -> list[Pool]:
        """Return who else may answer a request."""
        return [self.peers.pool(each["url"], each["authority"]) for each in self._others]


def _is_safe(exchange: Exchange) -> bool:
    """Tell whether a request may be sent twice: it changes nothing."""
    head = exchange.head
    _, _, operation = head.fields.get("x-amz-target", "").rpartition(".")
    return head.method in _SAFE_METHODS or operation.startswith(_SAFE_VERBS)


def _ask_head(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: control\r\n\r\n".encode()


def _tell_head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: control\r\ncontent-length: {length}\r\n\r\n".encode()


def _account(_key: str, document: dict[str, Any]) -> str:
    return str(document["account"])


def _credential(key: str, document: dict[str, Any]) -> Credential:
    expires_ms = document.get("expires_ms")
    return Credential(
        access_key_id=key,
        secret=document["secret"],
        account=document["account"],
        principal=document["principal"],
        session_token=document.get("session_token"),
        expires=None if expires_ms is None else from_epoch_ms(expires_ms),
    )


class _Gather:
    """Listener that keeps a whole answer."""

    def __init__(self) -> None:
        self.whole: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._pieces: list[bytes] = []

    def answer_head(self, status: int, _lines: Lines, _length: int | None) -> None:
        self._status = status

    def answer_body(self, chunk: bytes) -> None:
        self._pieces.append(chunk)

    def answer_end(self) -> None:
        if not self.whole.done():
            self.whole.set_result((self._status, b"".join(self._pieces)))

    def lost(self, error: ConnectionError) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)

    def upstream_full(self) -> None:
        pass

    def upstream_ready(self) -> None:
        pass


class _Stream:
    """Listener that cuts an endless answer into lines."""

    def __init__(self, hear: Callable[[bytes], None], opened: Callable[[], None]) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hear = hear
        self._opened = opened
        self._is_open = False
        self._rest = b""

    def answer_head(self, status: int, _lines: Lines, _length: int | None) -> None:
        if status == 200:
            self._is_open = True
            self._opened()
        else:
            self.answer_end()

    def answer_body(self, chunk: bytes) -> None:
        if not self._is_open:
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line:
                self._hear(line)

    def answer_end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def lost(self, _error: ConnectionError) -> None:
        self.answer_end()

    def upstream_full(self) -> None:
        pass

    def upstream_ready(self) -> None:
        pass
