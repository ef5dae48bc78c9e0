"""One edge process: its listener, its clock, and the list of who answers what."""

import asyncio
import logging
import socket
from collections.abc import Coroutine
from typing import Any

from clary.gateway.certificates import Authority
from clary.gateway.connect import ConnectProxy
from clary.gateway.edge import faults
from clary.gateway.edge.accesslog import AccessLog
from clary.gateway.edge.callers import Callers
from clary.gateway.edge.classify import Kind, classify, scope
from clary.gateway.edge.connection import Connection
from clary.gateway.edge.control import ControlPlane
from clary.gateway.edge.exchange import Exchange
from clary.gateway.edge.express import Express
from clary.gateway.edge.head import Head
from clary.gateway.edge.inplace import InPlace
from clary.gateway.edge.invoke import Invoke
from clary.gateway.edge.legs import Routing
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.metrics import Metrics
from clary.gateway.edge.notebooks import Notebooks
from clary.gateway.edge.objects import Objects
from clary.gateway.edge.registry import Registry
from clary.gateway.edge.replicas import Replicas
from clary.gateway.edge.stages.base import PACKAGE as STAGES
from clary.gateway.edge.stages.base import Site, Stage
from clary.gateway.edge.tallies import Tallies
from clary.gateway.edge.tls import TlsLayer
from clary.gateway.listener import BACKLOG
from clary.kernel import registry
from clary.kernel.settings import Settings
from clary.serving.policies.weighted import Weighted

_LOG = logging.getLogger(__name__)
REPLICA_REST_S = 300.0
"""That a connection to a replica is kept without an invocation."""


class Edge:
    """Everything that the connections of one process share."""

    def __init__(
        self,
        settings: Settings,
        *,
        limits: Limits | None = None,
        access_log: AccessLog | None = None,
        upstream_proxy: str = "",
    ) -> None:
        self.limits = limits or Limits()
        self.is_draining = False
        self.draining_since = 0.0
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        self.metrics = Metrics()
        self._access_log = access_log
        self._settings = settings
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_in_flight = 0
        clock = self._loop.time
        self.tallies = Tallies()
        self.inplace = InPlace(clock)
        self._routing = Routing(self.tallies, self.inplace.seat)
        self.control = ControlPlane(settings.control_socket, self.limits, clock, self._routing.parse)
        self.replicas = Replicas(rest_s=REPLICA_REST_S)
        callers = Callers(self.control)
        self._objects = Objects(self.control, callers, self.limits, clock)
        self._invoke = Invoke(
            self.control,
            callers,
            self.replicas,
            Weighted(),
            self.inplace,
            self.limits,
            self.metrics,
            clock,
            self.spawn,
        )
        self._routing.stages = self._stages()
        self.express = Express(self.control, self._invoke, self.inplace, self.metrics)
        self.is_express = access_log is None
        """Invocations may go the express way; not while exchanges are noted, or a drain goes on."""
        own = (settings.tls_certificate, settings.tls_key)
        self.authority = Authority(settings.data_dir, (socket.getfqdn().lower(), settings.host), own)
        self._proxy = ConnectProxy(self, upstream_proxy)
        self._notebooks = Notebooks(self.control, self.limits, settings, clock)
        self._registry = Registry(self.control, self.limits, clock)

    def _stages(self) -> list[Stage]:
        """Make the stages of invocations, one of each file of their folder."""
        site = Site(
            control=self.control,
            replicas=self.replicas,
            tallies=self.tallies,
            limits=self.limits,
            clock=self.clock,
            spawn=self.spawn,
        )
        return [member.make(site) for _, member in registry.members(STAGES)]

    # Requests.

    def exchange(self, connection: Connection, head: Head) -> Exchange:
        """Return the exchange of a head that just arrived."""
        self._n_in_flight += 1
        signer = scope(head)
        kind = classify(head, signer)
        return Exchange(connection, head, kind, signer, self._loop.time())

    def invocation(self, connection: Connection, head: Head, n_received: int) -> Exchange:
        """Return the exchange of an invocation that is here to its end."""
        self._n_in_flight += 1
        exchange = Exchange(connection, head, Kind.INVOKE, None, self._loop.time())
        exchange.n_received = n_received
        exchange.is_complete = True
        return exchange

    def start(self, exchange: Exchange) -> None:
        """Have an exchange answered: the routing rule, in one place."""
        match exchange.kind:
            case Kind.INVOKE if exchange.signer is not None:
                self._invoke.start(exchange, exchange.signer)
            case Kind.CONTROL:
                if not self._notebooks.keeps_apart(exchange):
                    self.spawn(self.control.answer(exchange), exchange)
            case Kind.NOTEBOOK if not exchange.is_tunnel:
                self.spawn(self._notebooks.answer(exchange), exchange)
            case Kind.REGISTRY:
                self.spawn(self._registry.answer(exchange), exchange)
            case Kind.OBJECTS:
                self.spawn(self._objects.answer(exchange), exchange)
            case Kind.EDGE:
                lines = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
                exchange.answer(
                    200, lines, self.metrics.text(len(self._connections), self._n_in_flight).encode()
                )
            case Kind.HOME:
                exchange.answer(303, b"location: /_clary/console/\r\n")
            case Kind.CONNECT | Kind.NOTEBOOK:
                pass  # goes on in `connect`, once the parser lets go of the connection
            case _:
                exchange.answer(404, b"content-type: text/plain\r\n", b"not found\n")

    def connect(self, connection: Connection, exchange: Exchange, rest: bytes) -> None:
        """Open what a CONNECT, or a WebSocket's head, asks for; `rest` came behind it."""
        door = self._notebooks if exchange.kind is Kind.NOTEBOOK else self._proxy
        self.spawn(door.open(connection, exchange, rest), exchange)

    def speak_tls(self, transport: asyncio.Transport, first: bytes = b"", authority: str = "") -> None:
        """Go on with TLS on a connection that `first` was read from."""
        context = self.authority.context(authority or _reached(transport))
        TlsLayer(context, Connection(self, authority)).begin(transport, first)

    def spawn(self, work: Coroutine[Any, Any, None], exchange: Exchange) -> None:
        """Run `work` for `exchange`; whatever it raises is logged, and answered 500."""
        task = self._loop.create_task(work)
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            if done.cancelled():
                return
            error = done.exception()
            if error is not None:
                head = exchange.head
                _LOG.error("%s %s failed in the edge", head.method, head.path, exc_info=error)
                exchange.answer(*faults.fault(head, "InternalFailure", "An internal error occurred.", 500))

        task.add_done_callback(over)

    # What connections report.

    def opened(self, connection: Connection) -> None:
        """Take a new connection into the books."""
        self.metrics.n_connections += 1
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        """Strike a connection from the books."""
        self._connections.discard(connection)

    def over(self, exchange: Exchange) -> None:
        """Count an exchange that was answered, or whose client left."""
        self._n_in_flight -= 1
        took_s = self._loop.time() - exchange.since
        self.metrics.count(exchange.kind, exchange.status, took_s, exchange.n_received, exchange.n_sent)
        if self._access_log is not None:
            self._access_log.note(exchange, took_s)

    # Life.

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then let what is in flight finish."""
        server = await self._loop.create_server(lambda: Connection(self), sock=listener, backlog=BACKLOG)
        watch = self._loop.create_task(self.control.watch())
        sweep = self._loop.create_task(self._sweep())
        try:
            await stop.wait()
            await self._take_waiting(listener)
            server.close()
            await self.drain()
        finally:
            left = (watch, sweep, *self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            for stage in self._routing.stages:
                stage.close()
            self.inplace.close()
            self.replicas.close()
            self._objects.close()
            self._notebooks.close()
            self._registry.close()
            self.control.peers.close()
            self.control.pool.close()
            if self._access_log is not None:
                self._access_log.close()

    async def _take_waiting(self, listener: socket.socket) -> None:
        """Take the connections that the kernel already accepted: closing the listener would reset them."""
        while True:
            try:
                taken, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                _LOG.warning("a waiting connection could not be taken: %s", error)
                return
            taken.setblocking(False)
            await self._loop.connect_accepted_socket(lambda: Connection(self), taken)

    async def drain(self) -> None:
        """Wait until every connection is closed; the answer to its next request is its last."""
        self.is_draining = True
        self.is_express = False
        self.draining_since = self.clock()
        turn_s = min(0.05, self.limits.sweep_s)
        await asyncio.sleep(turn_s)  # connections just accepted come into the books a turn of the loop later
        while self._connections:  # noqa: ASYNC110 - connections end one by one, each by its own clock
            await asyncio.sleep(turn_s)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.limits.sweep_s)
            await asyncio.sleep(0)  # what came while the loop stood still is read before anyone is late
            now = self.clock()
            for connection in tuple(self._connections):
                connection.expire(now)
            self.replicas.sweep(now)
            for stage in self._routing.stages:
                stage.sweep(now)
            self.inplace.sweep()
            self.control.pool.sweep()
            self._objects.sweep()
            self._notebooks.sweep()
            self._registry.sweep()
            self.control.peers.sweep()
            if self._access_log is not None:
                self._access_log.flush()


def _reached(transport: asyncio.Transport) -> str:
    """Return the address at which a client arrived: one that asks for an address sends no name."""
    own = transport.get_extra_info("sockname")
    address = str(own[0]).removeprefix("::ffff:") if isinstance(own, tuple) else ""
    return "" if address.startswith("127.") or address == "::1" else address
