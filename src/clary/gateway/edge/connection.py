"""One client's connection: HTTP/1.1 in, answers out in the order of the requests."""

import asyncio
import logging
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, cast

import httptools

from clary.gateway.edge.classify import Kind
from clary.gateway.edge.exchange import Exchange, status_line
from clary.gateway.edge.express import MOST_BODY_BYTES, Shape
from clary.gateway.edge.head import Head
from clary.gateway.edge.limits import Limits
from clary.gateway.edge.tls import TlsTransport

if TYPE_CHECKING:
    from clary.gateway.edge.server import Edge

_LOG = logging.getLogger(__name__)
TLS_HANDSHAKE = 0x16
"""First byte of a TLS connection; no HTTP method begins with it."""
PLAIN_BYTES = 64 * 1024
"""Rest of a body from which on it goes past the parser."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WRITE_BUFFER_BYTES = 1024 * 1024
"""Answer bytes queued for a client before its source is asked to wait."""


class _TooLong(Exception):  # noqa: N818 - never leaves this file
    """The head is longer than the limit."""


class Connection(asyncio.Protocol):
    """Parses requests, runs one at a time, holds pipelined ones back, and watches the clock.

    `authority` is the host name that a CONNECT asked for, when the connection came through the proxy.
    """

    __slots__ = (
        "_active",
        "_advancing",
        "_blocked_since",
        "_drops",
        "_edge",
        "_express",
        "_filling",
        "_head_bytes",
        "_head_since",
        "_held",
        "_in_head",
        "_is_fresh",
        "_is_plain",
        "_n_left",
        "_names",
        "_parser",
        "_pieces",
        "_queue",
        "_seen",
        "_target",
        "_transport",
        "_values",
        "authority",
        "close_after",
        "is_tls",
        "limits",
        "peer",
    )

    def __init__(self, edge: "Edge", authority: str = "") -> None:
        self._edge = edge
        self.authority = authority
        self.limits: Limits = edge.limits
        self.peer = ""
        self.is_tls = False
        self.close_after = False
        """Close once the answer under way is out."""
        self._active: Exchange | None = None
        self._filling: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._advancing = False
        self._held = False
        self._drops = False
        self._is_fresh = True
        self._in_head = False
        self._is_plain = False
        self._n_left = 0
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._pieces: list[bytes] = []
        self._express: Shape | None = None
        self._target = b""
        self._head_bytes = 0
        self._head_since = 0.0
        self._seen = edge.clock()
        self._blocked_since = 0.0
        self._parser = httptools.HttpRequestParser(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else "127.0.0.1"
        self.is_tls = isinstance(transport, TlsTransport)
        self._edge.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._seen = self._edge.clock()
        if self._is_fresh:
            self._is_fresh = False
            if data[0] == TLS_HANDSHAKE and not self.is_tls:
                self._edge.speak_tls(self.hand_over(), data)
                return
        if self._drops:
            return
        if self._is_plain or self._n_left >= PLAIN_BYTES:
            self._take_plain(data)
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__ or error
            if isinstance(cause, _TooLong):
                self._refuse(431, f"a request's head holds at most {self.limits.head_bytes} bytes")
                return
            _LOG.error("a request from %s failed in the edge", self.peer, exc_info=cause)
            self._refuse(500, "internal failure")
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP/1.1: {error}")
        else:
            if self._express is not None:
                self._leave_express()
            if self._in_head and self._head_bytes > self.limits.head_bytes:
                self._refuse(431, f"a request's head holds at most {self.limits.head_bytes} bytes")

    def _take_plain(self, data: bytes) -> None:
        """Take a piece of a long body past the parser, which would copy it."""
        self._is_plain = True
        rest = data[self._n_left :]
        if rest:
            data = data[: self._n_left]
        self._n_left -= len(data)
        if self._filling is not None:
            self._filling.feed(data)
        if not self._n_left:
            self._is_plain = False
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()
            if rest and not self._transport.is_closing():
                self.data_received(rest)

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

    # The parser.

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._names = []
        self._values = []
        self._target = b""
        self._in_head = True
        self._head_since = self._seen

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped."""
        if self._filling is None:
            self._names.append(name)
            self._values.append(value)

    def on_headers_complete(self) -> None:
        """Take a whole head."""
        self._in_head = False
        parser, edge = self._parser, self._edge
        if (
            edge.is_express
            and self._active is None
            and not self._blocked_since
            and edge.express.is_target(self._target)
            and parser.get_method() == b"POST"
        ):
            shape = edge.express.shape(tuple(self._names))
            if shape.is_plain and parser.should_keep_alive():
                length = int(self._values[shape.length])
                if length <= MOST_BODY_BYTES and self._head_bytes <= self.limits.head_bytes:
                    self._n_left = length
                    self._express = shape
                    return
        if self._head_bytes > self.limits.head_bytes:
            pairs = zip(self._names, self._values, strict=True)
            if len(self._target) + sum(len(name) + len(value) + 4 for name, value in pairs) > (
                self.limits.head_bytes
            ):
                raise _TooLong
        self._begin()

    def _head(self) -> Head:
        parser = self._parser
        return Head(
            parser.get_method().decode("ascii"),
            self._target,
            list(zip(self._names, self._values, strict=True)),
            is_http10=parser.get_http_version() == "1.0",
            keeps_alive=parser.should_keep_alive(),
            upgrades=parser.should_upgrade(),
        )

    def _begin(self) -> None:
        """Have the request answered whose head is here."""
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

    def _leave_express(self) -> None:
        """Go the long way: the body is not here to its end."""
        self._express = None
        n_left, pieces = self._n_left, self._pieces
        self._pieces = []
        self._begin()
        self._n_left = n_left
        for piece in pieces:
            if self._filling is not None:
                self._filling.feed(piece)

    def _go_express(self, shape: Shape) -> None:
        """Answer a whole request in one go, or have it answered with what is known of it already."""
        begun, express = perf_counter(), self._edge.express
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        leg = express.leg(shape, self._target, self._values, body)
        if leg is None:
            self._begin()
            exchange, self._filling = self._filling, None
            if exchange is not None:
                exchange.feed(body)
                exchange.feed_end()
            return
        answer = express.in_place(leg, shape, self._values, body, begun)
        if answer is not None:
            self._transport.write(answer)
            return
        exchange = self._active = self._edge.invocation(self, self._head(), len(body))
        express.send(exchange, leg, shape, self._values, body)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._n_left -= len(body)
        if self._express is not None:
            self._pieces.append(body)
        elif self._filling is not None:
            self._filling.feed(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        exchange, self._filling = self._filling, None
        self._head_bytes = 0
        shape, self._express = self._express, None
        if shape is not None:
            self._go_express(shape)
            return
        if exchange is not None:
            exchange.feed_end()

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
