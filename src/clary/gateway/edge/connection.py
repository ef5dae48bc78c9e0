"""One client's connection: HTTP/1.1 in, answers out in the order of the requests."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from clary.gateway.edge.classify import Kind
from clary.gateway.edge.exchange import Exchange, status_line
from clary.gateway.edge.intake import Intake
from clary.gateway.edge.tls import TlsTransport

if TYPE_CHECKING:
    from clary.gateway.edge.server import Edge

TLS_HANDSHAKE = 0x16
"""First byte of a TLS connection; no HTTP method begins with it."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WRITE_BUFFER_BYTES = 1024 * 1024
"""Answer bytes queued for a client before its source is asked to wait."""


class Connection(Intake):
    """Runs one request at a time, holds pipelined ones back, and watches the clock.

    `authority` is the host name that a CONNECT asked for, when the connection came through the proxy.
    """

    __slots__ = ("_advancing", "_held", "_queue", "authority", "close_after", "is_tls")

    def __init__(self, edge: "Edge", authority: str = "") -> None:
        super().__init__(edge)
        self.authority = authority
        self.is_tls = False
        self.close_after = False
        """Close once the answer under way is out."""
        self._queue: deque[Exchange] = deque()
        self._advancing = False
        self._held = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else "127.0.0.1"
        self.is_tls = isinstance(transport, TlsTransport)
        self._edge.opened(self)

    def eof_received(self) -> bool:
        """Hear that the client sends no more: finish what it asked for, then close."""
        self.close_after = True
        is_done = self._active is None and not self._queue
        return not (self._drops or is_done or self._filling is not None or self.is_tls)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the connection is gone."""
        self._edge.closed(self)
        for exchange in (self._active, *self._queue):
            if exchange is not None and not exchange.is_answered:
                exchange.left()
                self._edge.over(exchange)
        self._active = self._filling = None
        self._queue.clear()

    def pause_writing(self) -> None:
        """Hear that the client takes answers slower than they come."""
        self._blocked_since = self._edge.clock()
        if self._active is not None:
            self._active.full()

    def resume_writing(self) -> None:
        """Hear that the client has caught up."""
        self._blocked_since = 0.0
        if self._active is not None:
            self._active.ready()

    # Requests, from the reading half.

    def _begin(self) -> None:
        head = self._head()
        self._n_left = head.length or 0
        exchange = self._filling = self._edge.exchange(self, head)
        if self._active is None:
            self._activate(exchange)
            return
        if exchange.is_tunnel:
            # Behind another request there is no telling where the tunnel begins: not found, and the end.
            exchange.kind = Kind.HIDDEN
            head.keeps_alive = False
        self._queue.append(exchange)
        self._gate()

    def _invocation(self, n_bytes: int) -> Exchange:
        return self._edge.invocation(self, self._head(), n_bytes)

    def _is_other(self, data: bytes) -> bool:
        if self.is_tls:
            return False
        if data[0] == TLS_HANDSHAKE:
            self._edge.speak_tls(self.hand_over(), data)
            return True
        if not self._is_near():
            self._refuse(426, "this machine alone may do without TLS: https://")
            return True
        return False

    def _is_near(self) -> bool:
        """Tell whether the client is on this machine, so that nobody can read along."""
        peer = self.peer.removeprefix("::ffff:")
        if peer == "::1" or peer.startswith("127."):
            return True
        own = self._transport.get_extra_info("sockname")
        return isinstance(own, tuple) and self.peer == own[0]

    def _upgrade(self, rest: bytes) -> None:
        """Go on behind a CONNECT or a notebook's WebSocket, or ignore the wish for another protocol."""
        exchange = self._active
        if exchange is not None and exchange.is_tunnel:
            self._edge.connect(self, exchange, rest)
            return
        self._parser = httptools.HttpRequestParser(self)
        if rest and not self._transport.is_closing():
            self.data_received(rest)

    # Exchanges.

    def _activate(self, exchange: Exchange) -> None:
        self._active = exchange
        if exchange.head.expects_continue and not exchange.is_complete:
            self._transport.write(_CONTINUE)
        self._edge.start(exchange)

    def answered(self, exchange: Exchange) -> None:
        """Hear that an answer is out; when its request is not yet in, the rest is read and dropped."""
        self._edge.over(exchange)

    def finished(self, exchange: Exchange) -> None:
        """Hear that an exchange is over: begin the next."""
        if exchange is not self._active:
            return
        self._active = None
        if self.close_after or not exchange.head.keeps_alive:
            self.close()
            return
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._active is None and self._queue:
                self._activate(self._queue.popleft())
        finally:
            self._advancing = False
        self._gate()

    def closing_line(self, exchange: Exchange) -> bytes:
        """Return the blank line, with a Connection header before it where one is due.

        What it says is kept: an answer without it is never the connection's last.
        """
        if self._edge.is_draining:
            self.close_after = True
        if self.close_after or not exchange.head.keeps_alive:
            return b"connection: close\r\n\r\n"
        return b"connection: keep-alive\r\n\r\n" if exchange.head.is_http10 else b"\r\n"

    # Flow.

    def pause(self, exchange: Exchange) -> None:
        """Stop reading for `exchange`."""
        if exchange in {self._filling, self._active} and not self._held:
            self._held = True
            self._gate()

    def resume(self, exchange: Exchange) -> None:
        """Read on for `exchange`."""
        if exchange is self._active and self._held:
            self._held = False
            self._seen = self._edge.clock()
            self._gate()

    def _gate(self) -> None:
        if self._transport.is_closing():
            return
        if self._held or self._queue:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def write(self, chunk: bytes) -> None:
        """Queue bytes for the client."""
        self._transport.write(chunk)

    def writelines(self, chunks: tuple[bytes, ...]) -> None:
        """Queue pieces for the client."""
        self._transport.writelines(chunks)

    def close(self) -> None:
        """Close once what is queued is out."""
        if self._filling is None or self.is_tls or self._transport.is_closing():
            self._transport.close()
            return
        # Bytes left unread would make the kernel reset the connection and the client lose the answer.
        self._drops = True
        self._active = self._filling = None
        self._seen = self._edge.clock()
        self._transport.write_eof()
        self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def hand_over(self) -> asyncio.Transport:
        """Give the transport away: it speaks plain HTTP no more."""
        self._edge.closed(self)
        if self._active is not None:
            self._active.status = 200
            self._edge.over(self._active)
            self._active = None
        return self._transport

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what is not a request, and close."""
        exchange = self._active
        if self._transport.is_closing():
            return
        if exchange is not None and exchange.has_started and not exchange.is_answered:
            self._transport.abort()
            return
        if exchange is None or not exchange.is_answered:
            text = reason.encode() + b"\n"
            head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
            self._transport.write(status_line(status) + head + text)
        if exchange is not None and not exchange.is_answered:
            exchange.left()
            self._edge.over(exchange)
        self._drops = True
        self._active = self._filling = None
        if self.is_tls:
            self._transport.close()
        else:
            self._transport.write_eof()

    # The clock.

    def expire(self, now: float) -> None:
        """Close when the client took too long; called every sweep."""
        limits = self.limits
        if self._drops:
            if now - self._seen > limits.drain_s:
                self._transport.abort()
        elif self._blocked_since:
            if now - self._blocked_since > limits.stall_s:
                self._transport.abort()
        elif self._filling is not None:
            if not self._held and not self._queue and now - self._seen > limits.stall_s:
                self._late()
        elif self._in_head:
            if now - self._head_since > limits.head_s:
                self._refuse(408, f"the head did not arrive within {limits.head_s:g} s")
        elif self._active is None and (
            now - max(self._seen, self._edge.draining_since) > limits.drain_s
            if self._edge.is_draining
            else now - self._seen > limits.idle_s
        ):
            self._transport.close()

    def _late(self) -> None:
        exchange = self._active
        if exchange is None or exchange.has_started:
            self._transport.abort()
            return
        self.close_after = True
        exchange.answer(408, b"content-type: text/plain\r\n", b"the body stalled\n")
        self._transport.close()
