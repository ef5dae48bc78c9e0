"""Connections to replicas: one each, many invocations in flight on it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from clary.gateway.edge import gates
from clary.serving.frames import Decoder, Frame, FrameError, framed

if TYPE_CHECKING:
    from clary.gateway.edge.http_replicas import ContainerConnection

MOST_ASKED = 1024
"""Invocations in flight at one replica; more are refused, for they would wait longer than clients do."""
MOST_ASKED_BYTES = 256 * 1024 * 1024
"""Of their bodies."""
_WRITE_BUFFER_BYTES = 4 * 1024 * 1024
SILENT_S = 60.0
"""How long an address that did not answer comes last, and is tried beside the invocations, not by one."""
_LAST = 1 << 30
"""Load of an address that was not reached a moment ago."""


class Asker(Protocol):
    """Waits for a replica's answer; hears exactly one of the three, an answer perhaps in parts."""

    deadline: float
    body: bytes

    def answered(self, frame: Frame) -> None:
        """Take the answer, or a part of it: its header's `more` says that others follow."""

    def broken(self, reason: str) -> None:
        """Hear that the replica went away before it answered."""

    def late(self) -> None:
        """Hear that the answer did not come in time; one that comes later is dropped."""


class ReplicaConnection(asyncio.Protocol):
    """The connection to one replica."""

    def __init__(self, address: str, gone: Callable[["ReplicaConnection"], None]) -> None:
        self.address = address
        self._gone = gone
        self._decoder = Decoder()
        self._asking: dict[int, Asker] = {}
        self._n_asked = 0
        self._n_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._outbox: list[bytes] = []
        self.seen = 0.0
        """When it was last asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)

    def ask(self, asker: Asker, header: bytes, now: float) -> None:
        """Send one request: its header as it goes out, and its asker's body."""
        self._n_asked = number = (self._n_asked + 1) & 0xFFFFFFFF
        self.seen = now
        body = asker.body
        self._asking[number] = asker
        self._n_bytes += len(body)
        if not self._outbox:
            # Requests of one turn of the loop leave in one write, and reach the replica as a batch.
            self._loop.call_soon(self._flush)
        self._outbox += framed(number, header, body)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(outbox))

    @property
    def n_in_flight(self) -> int:
        """Requests not yet answered."""
        return len(self._asking)

    @property
    def is_full(self) -> bool:
        """Whether another request would only wait."""
        return len(self._asking) >= MOST_ASKED or self._n_bytes >= MOST_ASKED_BYTES

    def data_received(self, data: bytes) -> None:
        """Take bytes of answers."""
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            self._break(f"the replica does not speak in frames: {error}")
            return
        for frame in frames:
            asker = self._asking.pop(frame.request_id, None)
            if asker is None:
                continue
            if frame.header.get("more"):
                self._asking[frame.request_id] = asker  # at the end of the line: its deadline is a new one
            else:
                self._n_bytes -= len(asker.body)
            asker.answered(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the replica is gone."""
        self._break(str(exc) if exc else "the replica closed the connection")

    def _break(self, reason: str) -> None:
        self._gone(self)
        self._transport.abort()
        asking, self._asking = self._asking, {}
        self._n_bytes = 0
        for asker in asking.values():
            asker.broken(reason)

    def close(self) -> None:
        """Close a connection that nobody needs any more."""
        self._transport.close()

    def sweep(self, now: float) -> None:
        """Tell those that waited too long; they were asked in order."""
        while self._asking:
            number, asker = next(iter(self._asking.items()))
            if asker.deadline > now:
                return
            del self._asking[number]
            self._n_bytes -= len(asker.body)
            asker.late()


Connection: TypeAlias = "ReplicaConnection | ContainerConnection"
"""To a replica, in either of the two languages."""


class Replicas:
    """Every replica that is connected, by address."""

    def __init__(self, *, rest_s: float) -> None:
        self._rest_s = rest_s
        self._open: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Task[Connection]] = {}
        self._silent: dict[str, float] = {}
        """Addresses on other machines that were not reached, and when."""
        self.get = self._open.get
        """Return the connection to an address, or None when it is not open."""

    def load(self, address: str) -> int:
        """Return how many invocations are in flight at `address`."""
        connection = self._open.get(address)
        if connection is not None:
            return connection.n_in_flight
        return _LAST if address in self._silent else 0

    async def connect(self, address: str) -> Connection:
        """Return the connection to `address`, opening it if need be.

        Raises
        ------
        OSError
            Nobody listens there.
        """
        connection = self._open.get(address)
        if connection is not None:
            return connection
        return await asyncio.shield(self._begin(address))

    def _begin(self, address: str) -> "asyncio.Task[Connection]":
        task = self._opening.get(address)
        if task is None:
            task = self._opening[address] = asyncio.create_task(self._connect(address))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _connect(self, address: str) -> Connection:
        try:
            if address.startswith("http://") or address.endswith(gates.HTTP_END):
                return await self._connect_container(address)
            connection = ReplicaConnection(address, self._gone)
            if gates.is_gated(address):
                await gates.connect(address, connection)
            else:
                await asyncio.get_running_loop().create_unix_connection(lambda: connection, address)
            self._open[address] = connection
            return connection
        except TimeoutError:
            self._silent.setdefault(address, asyncio.get_running_loop().time())
            raise
        finally:
            self._opening.pop(address, None)

    async def _connect_container(self, address: str) -> Connection:
        from clary.gateway.edge.http_replicas import ContainerConnection  # noqa: PLC0415 - they know each other

        container = ContainerConnection(address)
        await container.connect()
        self._open[address] = container
        return container

    def _gone(self, connection: ReplicaConnection) -> None:
        if self._open.get(connection.address) is connection:
            del self._open[connection.address]

    def close(self) -> None:
        """Close every connection."""
        while self._open:
            self._open.popitem()[1].close()

    def sweep(self, now: float) -> None:
        """Look for answers that are late, and for connections that nobody uses."""
        if self._silent:
            recent = asyncio.get_running_loop().time() - SILENT_S
            left = {address: at for address, at in self._silent.items() if at > recent}
            self._silent = {address: at for address, at in left.items() if address not in self._open}
            for address in self._silent:
                self._begin(address)
        for connection in tuple(self._open.values()):
            connection.sweep(now)
            if not connection.n_in_flight and connection.seen and now - connection.seen > self._rest_s:
                del self._open[connection.address]
                connection.close()
