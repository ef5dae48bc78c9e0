"""Replicas that speak HTTP: containers, asked at `/invocations` over connections that are kept.

invocation ─▶ ask ─▶ a connection at rest, or a new one ─▶ answer ─▶ the same frame as any replica's
                        └ it was closed meanwhile: once more, on a new one
"""

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

from clary.compute.invocations import is_owner_alive
from clary.gateway.edge import gates
from clary.gateway.edge.head import Lines
from clary.gateway.edge.replicas import MOST_ASKED, MOST_ASKED_BYTES, Asker
from clary.gateway.edge.upstream import Address, Pool, Upstream
from clary.serving.frames import MAX_FRAME_BYTES, Frame

SCHEME = "http://"
REST_S = 30.0
"""That a connection may rest; servers that close theirs sooner are noticed."""
HEADERS = {
    "content_type": "Content-Type",
    "accept": "Accept",
    "attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "target_model": "X-Amzn-SageMaker-Target-Model",
    "target_container": "X-Amzn-SageMaker-Target-Container-Hostname",
    "inference_id": "X-Amzn-SageMaker-Inference-Id",
    "session_id": "X-Amzn-SageMaker-Session-Id",
    "explanations": "X-Amzn-SageMaker-Enable-Explanations",
}
"""Members of a frame's header, and what a container calls them."""
_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
_OURS = b"x-amzn-sagemaker-"


class _OwnPool(Pool):
    """Connections to one container, and to none that has its address after it."""

    def __init__(self, replica: str) -> None:
        parts = urlsplit(replica)
        where = Address(host=parts.hostname or "", port=parts.port or 80)
        super().__init__(where, time.monotonic, rest_s=REST_S)
        self._replica = replica

    async def open(self) -> Upstream:
        """Return a new connection.

        Raises
        ------
        OSError
            Nobody listens there, or another container does.
        """
        if gates.is_gated(self._replica):
            behind = Upstream(time.monotonic)
            await gates.connect(self._replica, behind)
            return behind
        upstream = await super().open()
        if not is_owner_alive(self._replica):
            upstream.abort()
            raise ConnectionRefusedError("it has ended")
        return upstream


class ContainerConnection:
    """The connections to one container; to its askers it is as one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.seen = 0.0
        """When it was last asked."""
        self._host = urlsplit(address).netloc.encode() or b"localhost"
        self.pool = _OwnPool(address)
        self._calls: dict[int, _Call] = {}
        self._n_asked = 0
        self._n_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Open a first connection.

        Raises
        ------
        OSError
            Nobody listens there.
        """
        first = await self.pool.open()
        first.is_reusable = True
        self.pool.give(first)

    def ask(self, asker: Asker, header: bytes, now: float) -> None:
        """Send one request."""
        self._n_asked += 1
        self.seen = now
        members = json.loads(header)
        call = self._calls[self._n_asked] = _Call(self, self._n_asked, asker, members)
        self._n_bytes += len(asker.body)
        self.send(call, self._head(members, len(asker.body)))

    def send(self, call: "_Call", head: bytes) -> None:
        """Send a call's request, perhaps once more."""
        task = self._loop.create_task(call.go(head))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _head(self, members: dict[str, Any], length: int) -> bytes:
        lines = [b"POST /invocations HTTP/1.1\r\nHost: ", self._host, b"\r\nContent-Length: %d\r\n" % length]
        for member, name in HEADERS.items():
            if value := members.get(member):
                lines.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
        return b"".join(lines) + b"\r\n"

    @property
    def n_in_flight(self) -> int:
        """Requests not yet answered."""
        return len(self._calls)

    @property
    def is_full(self) -> bool:
        """Whether another request would only wait."""
        return len(self._calls) >= MOST_ASKED or self._n_bytes >= MOST_ASKED_BYTES

    def over(self, call: "_Call") -> None:
        """Forget a call that has its answer."""
        if self._calls.pop(call.number, None) is not None:
            self._n_bytes -= len(call.asker.body)

    def sweep(self, now: float) -> None:
        """Tell those that waited too long, and close what rested too long."""
        for call in tuple(self._calls.values()):
            if call.asker.deadline <= now:
                call.give_up()
                call.asker.late()
        self.pool.sweep()

    def close(self) -> None:
        """Close connections that nobody needs any more."""
        self.pool.close()


class _Call:
    """One request to a container, and its answer as it comes."""

    def __init__(self, door: ContainerConnection, number: int, asker: Asker, members: dict[str, Any]) -> None:
        self.number = number
        self.asker = asker
        self._door = door
        self._takes_parts = bool(members.get("stream"))
        self._upstream: Upstream | None = None
        self._head = b""
        self._is_fresh = False
        self._answer: dict[str, Any] | None = None
        self._is_over = False
        self._body: list[bytes] = []
        self._n_body = 0

    async def go(self, head: bytes) -> None:
        """Send it on a connection at rest, or on a new one."""
        self._head = head
        try:
            self._upstream = await (self._door.pool.open() if self._is_fresh else self._door.pool.take())
        except OSError as error:
            self._end()
            self.asker.broken(f"its container does not listen ({error.strerror or error})")
            return
        if self._is_over:  # it was given up meanwhile
            self._door.pool.give(self._upstream)
            return
        self._upstream.ask(self, "POST", head + self.asker.body)  # in one packet, where it fits one

    # From the connection.

    def answer_head(self, status: int, lines: Lines, length: int | None) -> None:
        """Take the answer's head."""
        self._answer = header_of(status, lines)
        self._takes_parts = self._takes_parts and status < 400

    def answer_body(self, chunk: bytes) -> None:
        """Take a piece of the answer: a part of its own where the client takes parts."""
        if self._is_over:
            return
        if self._takes_parts:
            header, self._answer = self._answer or {}, {}
            self.asker.answered(Frame(self.number, {**header, "more": True}, chunk))
            return
        self._n_body += len(chunk)
        if self._n_body > MAX_FRAME_BYTES:
            self.give_up()
            text = f"the container's answer is longer than {MAX_FRAME_BYTES} bytes".encode()
            self.asker.answered(Frame(self.number, {"status": 500, "content_type": "text/plain"}, text))
            return
        self._body.append(chunk)

    def answer_end(self) -> None:
        """Hand the answer over."""
        if self._is_over:
            return
        upstream = self._upstream
        self._end()
        if upstream is not None:
            self._door.pool.give(upstream)
        self.asker.answered(Frame(self.number, self._answer or {}, b"".join(self._body)))

    def lost(self, error: ConnectionError) -> None:
        """Hear that the connection ended: an old one may have been closed as it was used."""
        if self._is_over:
            return
        if self._answer is None and not self._is_fresh:
            self._is_fresh = True
            self._door.send(self, self._head)
            return
        self._end()
        self.asker.broken(str(error))

    def upstream_full(self) -> None:
        """Go on: the whole request is in memory anyway."""

    def upstream_ready(self) -> None:
        """Go on."""

    def give_up(self) -> None:
        """Want the answer no more."""
        upstream = self._upstream
        self._end()
        if upstream is not None:
            upstream.abort()

    def _end(self) -> None:
        self._is_over, self._upstream = True, None
        self._door.over(self)


def header_of(status: int, lines: Lines) -> dict[str, Any]:
    """Return the head of a container's answer as a frame's header has it."""
    header: dict[str, Any] = {"status": status if status != 204 else 200}
    for name, value in lines:
        lower = name.lower()
        if lower == b"content-type":
            header["content_type"] = value.decode("latin-1")
        elif lower == _ATTRIBUTES:
            header["attributes"] = value.decode("latin-1")
        elif lower.startswith(_OURS):
            header.setdefault("headers", {})[name.decode("latin-1")] = value.decode("latin-1")
    return header
